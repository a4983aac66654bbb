// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The run of this thread.

#pragma once

#include "fibers/core/check.h"
#include "fibers/core/scheduler.h"

namespace weft::fibers::detail {

// The run of this thread; null outside one. A plain word, constant-initialised: reading it costs
// a load. Safe to cache, for a task never leaves its thread.
extern constinit thread_local Scheduler* tls_scheduler;

inline Scheduler& current_scheduler() {
  Scheduler* scheduler = tls_scheduler;
  WEFT_REQUIRE(
      scheduler != nullptr,
      "this has to be called inside weft::fibers::run(), and a greenlet is outside the run "
      "that has switched to it; do it in the task, or give the greenlet a run()");
  return *scheduler;
}
inline Scheduler& scheduler_of_task() {
  Scheduler& scheduler = current_scheduler();
  static_cast<void>(scheduler.running_task());
  return scheduler;
}
inline bool Scheduler::is_of_this_thread() const {
  return this == tls_scheduler || exceptions_ == thread_exception_state();
}

}  // namespace weft::fibers::detail
