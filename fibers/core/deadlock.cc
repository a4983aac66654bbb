// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What a clock that jumps does when the run is idle: it jumps, or the run is in a deadlock.

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "fibers/core/scheduler.h"
#include "fibers/core/text.h"
#include "weft/fibers/clock.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/inspect.h"

namespace weft::fibers {
namespace detail {

namespace {

// How long, in real time, another thread or process may take to answer.
constexpr Duration kSilence = std::chrono::seconds(10);

// Virtual time cannot pass. If nobody outside holds a token and no descriptor is watched, nothing
// else can happen either; otherwise something may, but not after a long silence.
bool something_happens(Scheduler& run) {
  Poller& poller = run.poller();
  const bool hope = poller.io().watched() > 0 || poller.tokens() > 0;
  // Asked last: a thread that has just let go of the last token may have called before that.
  return (hope && poller.look(kSilence) > 0) || poller.entries()->anything_new() ||
         run.interrupt().requested();
}

// A Ctrl-C that a wait has refused stays pending, whatever else comes of the run.
class KeepInterrupt {
 public:
  explicit KeepInterrupt(PendingInterrupt& place) : place_(place), kept_(place.take()) {}
  KeepInterrupt(const KeepInterrupt&) = delete;
  KeepInterrupt& operator=(const KeepInterrupt&) = delete;
  ~KeepInterrupt() { place_.set(std::move(kept_)); }

 private:
  PendingInterrupt& place_;
  PendingInterrupt::Reason kept_;
};

// Offers the pending interrupt to `task`, as if it were the main one. True if it has been taken.
bool offer(PendingInterrupt& interrupt, TaskBlock& task) {
  TaskBlock* const main = std::exchange(interrupt.main_task, &task);
  attempt_delivery(task);
  interrupt.main_task = main;
  return !interrupt.is_pending();
}

// Nothing is ready, and no deadline is left to jump to. Unless something from outside comes after
// all, raises DeadlockError in the main task, or in another one if that has ended or its wait
// refuses.
void report_deadlock(Scheduler& run) {
  if (something_happens(run)) return run.poller().run_entries();
  const std::string text =
      concat({"nothing in this run can ever happen again:\n", dump_waits(), dump_task_tree()});
  PendingInterrupt& interrupt = run.interrupt();
  const KeepInterrupt keep(interrupt);
  auto reason = std::make_shared<CancelReason>();
  reason->source = "deadlock";
  reason->interrupt = std::make_exception_ptr(DeadlockError(text));
  interrupt.set(std::move(reason));
  if (interrupt.main_task != nullptr && offer(interrupt, *interrupt.main_task)) return;
  // The main task has ended, or its wait has refused to be cancelled: any other will do, the
  // innermost first, whose error then comes up through the nurseries.
  const std::vector<TaskBlock*> tasks = run.all_tasks();
  for (auto task = tasks.rbegin(); task != tasks.rend(); ++task) {
    if (offer(interrupt, **task)) return;
  }
  std::fputs(text.c_str(), stderr);
  std::abort();
}

}  // namespace

}  // namespace detail

void Clock::jump_or_report(detail::Scheduler& run) {
  detail::Deadlines& deadlines = run.deadlines();
  if (deadlines.size() <= run.armed_warnings) return detail::report_deadlock(run);
  autojump(deadlines.earliest());
  deadlines.expire(run.now());
}

}  // namespace weft::fibers
