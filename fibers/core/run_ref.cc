// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/run_ref.h"

#include <utility>

#include "fibers/core/current_scheduler.h"
#include "fibers/core/task_locals.h"
#include "weft/fibers/detail/outside_task.h"

namespace weft::fibers {

namespace detail {

EnteredRun::EnteredRun(Scheduler& run) : run_(run), before_(tls_scheduler) {
  if (before_ == &run_) return;
  locals_ = set_callback_locals(place_of_own_locals());
  running_ = run_.leave_task();
  tls_scheduler = &run_;
}

EnteredRun::~EnteredRun() {
  if (before_ == &run_) return;
  tls_scheduler = before_;
  run_.return_to_task(static_cast<TaskBlock*>(running_));
  set_callback_locals(locals_);
}

OutsideTask::OutsideTask() {
  if (tls_scheduler == nullptr || tls_scheduler->running() == nullptr) return;
  run_ = tls_scheduler;
  TaskBlock* const task = run_->leave_task();
  task_ = task;
  locals_ = set_callback_locals(&task->locals);
  // The check compares places on the task's stack, and the code may be on another one.
  checks_captures_ = std::exchange(run_->checks_captures, false);
}

OutsideTask::~OutsideTask() {
  if (run_ == nullptr) return;
  run_->checks_captures = checks_captures_;
  run_->return_to_task(static_cast<TaskBlock*>(task_));
  set_callback_locals(locals_);
}

#if defined(__x86_64__) && !defined(WEFT_FCONTEXT) && !defined(WEFT_ASAN) && !defined(WEFT_TSAN)

// In context_x86_64.S.
extern "C" void weft_call_on_stack(void* top, void (*function)(void*), void* argument);

void call_outside_task(void (*function)(void*), void* argument) {
  const OutsideTask guard;
  if (!guard.left_task()) return function(argument);
  weft_call_on_stack(tls_scheduler->own().point, function, argument);
}

#else

// Sanitizers would have to be told, and Boost.Context has no such call.
void call_outside_task(void (*function)(void*), void* argument) {
  const OutsideTask guard;
  function(argument);
}

#endif

}  // namespace detail

RunRef current_run() {
  return RunRef(detail::current_scheduler());
}

}  // namespace weft::fibers
