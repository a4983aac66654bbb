// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The tasks in wait_all_tasks_blocked.

#pragma once

#include "weft/fibers/clock.h"

namespace weft::fibers::detail {

class TaskBlock;

// Lies on the task's stack.
struct IdleWaiter {
  Duration cushion;
  TaskBlock* task;
  IdleWaiter* next;
};

class IdleWaiters {
 public:
  bool empty() const { return first_ == nullptr; }
  // How long nothing may happen before the first of them are woken. Not of an empty list.
  Duration cushion() const { return first_->cushion; }
  void add(IdleWaiter& waiter);
  void remove(IdleWaiter& waiter);
  // Wakes those with the smallest cushion, together.
  void wake_first();

 private:
  IdleWaiter* first_ = nullptr;  // In the order of their cushions.
};

}  // namespace weft::fibers::detail
