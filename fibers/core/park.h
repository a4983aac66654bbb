// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The body of every wait. It is inlined into each kind of wait, for after a switch the processor
// mispredicts the returns on the way up: its guesses are the call sites of the task before. Each
// frame between a task and its switch costs some five nanoseconds.

#pragma once

#include "fibers/core/current_scheduler.h"
#include "fibers/core/returns.h"

namespace weft::fibers::detail {

inline bool may_be_cancelled(const Scheduler& scheduler, const TaskBlock& task) {
  return task.cancel_status->effectively_cancelled || scheduler.interrupt().is_due(task);
}

// The wait ended otherwise than with a value.
[[noreturn, gnu::cold]] void throw_wake(TaskBlock& task);
// Suspends, and warns from time to time that a cancellation is held back.
[[gnu::cold]] void suspend_while_unwinding(Scheduler& scheduler, TaskBlock& me);

// Suspends the running task until it is rescheduled. See wait_task_rescheduled.
[[gnu::always_inline]] inline void park(Scheduler& scheduler, AbortThunk abort, void* context,
                                        const WaitingFor& waiting_for) {
  TaskBlock& me = *scheduler.running();
  ++me.counts.schedule_points;
  ++me.counts.cancel_points;
  me.abort = abort;
  me.abort_context = context;
  me.wait_info = waiting_for;
  me.wake = Wake::kValue;
  me.state = TaskState::kWaiting;
  // After all that: a park hook may cancel the task.
  if (me.watched()) [[unlikely]]
    scheduler.before_cancel_point(me, waiting_for);
  if (may_be_cancelled(scheduler, me)) [[unlikely]]
    attempt_delivery(me);
  if (scheduler.uncaught() > 0) [[unlikely]] {
    suspend_while_unwinding(scheduler, me);
  } else {
    WEFT_LEAVES();
    scheduler.suspend(me);
  }
  if (me.wake != Wake::kValue) [[unlikely]]
    throw_wake(me);
}

// The block of a task that may be rescheduled now; UsageError if it may not.
inline TaskBlock& require_waiting(Task& task) {
  TaskBlock& block = block_of(task);
  WEFT_REQUIRE(block.scheduler->is_of_this_thread(),
               "reschedule() was called from another thread; use Token::run_sync_soon");
  WEFT_REQUIRE(block.state == TaskState::kWaiting,
               "reschedule() of a task that is not waiting, or has been rescheduled already");
  return block;
}

}  // namespace weft::fibers::detail
