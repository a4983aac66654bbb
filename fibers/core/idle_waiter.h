// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A task in wait_all_tasks_blocked.

#pragma once

#include "weft/fibers/clock.h"

namespace weft::fibers::detail {

class TaskBlock;

// Lies on the task's stack. The scheduler's list has those with the smallest cushion first.
struct IdleWaiter {
  Duration cushion;
  TaskBlock* task;
  IdleWaiter* next;
};

}  // namespace weft::fibers::detail
