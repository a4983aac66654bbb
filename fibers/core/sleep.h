// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A sleeping task: a timer on its stack, and one wait. There is no cancel scope around it, so its
// end is no cancellation.

#pragma once

#include "fibers/core/deadlines.h"
#include "fibers/core/park.h"
#include "fibers/core/scheduler.h"

namespace weft::fibers::detail {

// Wakes its task at `when`. Armed from here to the end of the wait, however that comes about.
class Sleeper : private DeadlineNode {
 public:
  Sleeper(TaskBlock& task, Instant end) : task_(task) {
    fire = &wake;
    task.scheduler->deadlines().arm(*this, end);
  }
  Sleeper(const Sleeper&) = delete;
  Sleeper& operator=(const Sleeper&) = delete;
  ~Sleeper() { disarm(); }

  // For park(): a cancellation wins as long as the timer has not fired.
  static Abort abort(void* self, const RaiseCancel& /*raise*/) {
    static_cast<Sleeper*>(self)->disarm();
    return Abort::kSucceeded;
  }
  WaitingFor waiting_for() const { return {.what = kWhat, .on = this}; }

  // When the present wait of `task` ends by itself; kForever if it is no sleep.
  static Instant end_of_wait(const TaskBlock& task) {
    if (task.state != TaskState::kWaiting || task.wait_info.what != kWhat) return kForever;
    return static_cast<const Sleeper*>(task.wait_info.on)->when;
  }

 private:
  static constexpr char kWhat[] = "sleep";

  static void wake(DeadlineNode& timer) {
    TaskBlock& task = static_cast<Sleeper&>(timer).task_;
    // Otherwise somebody has rescheduled it in the meantime.
    if (task.state == TaskState::kWaiting) task.scheduler->wake(task);
  }
  void disarm() {
    if (bucket >= 0) task_.scheduler->deadlines().disarm(*this);
  }

  TaskBlock& task_;
};

}  // namespace weft::fibers::detail
