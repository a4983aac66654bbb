// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// For layers that let foreign code run in a task's turn: another library's fibers on stacks of
// their own, a C library's callbacks. Not for use outside weft.

#pragma once

#include "weft/fibers/detail/requirements.h"

namespace weft::fibers::detail {

class Scheduler;
struct TaskLocals;

// While it lives the thread is in the run, but in none of its tasks: in_trio_task() is false, and a
// wait is a UsageError. Everything else may be done to the run. Context variables are the task's.
// Does nothing outside a task.
class OutsideTask {
 public:
  OutsideTask();
  OutsideTask(const OutsideTask&) = delete;
  OutsideTask& operator=(const OutsideTask&) = delete;
  ~OutsideTask();

  // False where there was none.
  bool left_task() const { return run_ != nullptr; }

 private:
  Scheduler* run_ = nullptr;
  void* task_ = nullptr;
  TaskLocals** locals_ = nullptr;
  bool checks_captures_ = false;
};

// Calls `function(argument)` outside the task, as above, and on the stack of the scheduler.
// That one stays in the processor's caches where each of many tasks would need its own stack for
// it, and a task's stack need not have the room. What it throws comes out here.
void call_outside_task(void (*function)(void*), void* argument);
template <class F>
void call_outside_task(F& function) {
  call_outside_task([](void* argument) { (*static_cast<F*>(argument))(); }, &function);
}

}  // namespace weft::fibers::detail
