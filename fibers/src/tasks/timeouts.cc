// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/timeouts.h"

#include "weft/fibers/lowlevel.h"

namespace weft::fibers {

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
