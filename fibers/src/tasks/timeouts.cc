// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/timeouts.h"

#include "weft/fibers/lowlevel.h"

namespace weft::fibers {

namespace {

// The end of a sleep is not worth an exception, which would cost more than everything else in it:
// when the deadline of its own scope wakes it, the wait simply returns.
struct Sleep {
  CancelScope scope;
  Task& task;

  Abort abort() {
    // The task itself is running: it was cancelled before it fell asleep, so from outside. It must
    // hear of that also if its time is up by now, or a loop of short sleeps could not be cancelled.
    const bool falling_asleep = in_trio_task() && &current_task() == &task;
    if (falling_asleep || !scope.cancel_called()) return Abort::kSucceeded;
    reschedule(task);
    return Abort::kFailed;
  }
};

void sleep_in(const CancelScopeOptions& deadline) {
  Sleep sleep{.scope = CancelScope(deadline), .task = current_task()};
  sleep.scope.run([&] {
    wait_task_rescheduled([&](const RaiseCancel&) { return sleep.abort(); }, {.what = "sleep"});
  });
}

}  // namespace

void sleep_until(Instant deadline) {
  if (deadline == kForever) sleep_forever();
  if (deadline <= current_time()) return checkpoint();
  sleep_in({.deadline = deadline});
}

void sleep(Duration length) {
  if (length == Duration::max()) sleep_forever();
  if (length == Duration::zero()) return checkpoint();
  sleep_in({.relative_deadline = detail::checked_timeout(length)});
}

void sleep_forever() {
  wait_task_rescheduled([](const RaiseCancel&) { return Abort::kSucceeded; },
                        {.what = "sleep_forever"});
  throw UsageError(
      "reschedule() was called for a task in sleep_forever(), which only ends by cancellation; "
      "give "
      "the task an Event to wait for instead");
}

namespace detail {
Duration checked_timeout(Duration length) {
  if (length < Duration::zero()) {
    throw UsageError(
        "a timeout must not be negative; for a time that may have passed use a deadline "
        "(move_on_at, fail_at, sleep_until)");
  }
  return length;
}
}  // namespace detail

}  // namespace weft::fibers
