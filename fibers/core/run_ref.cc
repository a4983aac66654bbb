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

OutsideTask::OutsideTask()
    : run_(tls_scheduler != nullptr && tls_scheduler->running() != nullptr ? tls_scheduler
                                                                           : nullptr) {
  if (run_ == nullptr) return;
  locals_ = set_callback_locals(place_of_own_locals());
  task_ = run_->leave_task();
  // The check compares places on the task's stack, and the code may be on another one.
  checks_captures_ = std::exchange(run_->checks_captures, false);
}

OutsideTask::~OutsideTask() {
  if (run_ == nullptr) return;
  run_->checks_captures = checks_captures_;
  run_->return_to_task(static_cast<TaskBlock*>(task_));
  set_callback_locals(locals_);
}

}  // namespace detail

RunRef current_run() {
  return RunRef(detail::current_scheduler());
}

}  // namespace weft::fibers
