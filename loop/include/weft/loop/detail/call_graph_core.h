// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Who awaits whom. Nothing is kept for it: tasks stand among the callbacks of what they await, and
// callbacks of combinators say whom they stand for. Not for use outside weft.

#pragma once

#include <string>
#include <vector>

#include "weft/fibers/task.h"
#include "weft/loop/call_graph.h"
#include "weft/loop/detail/future_core.h"

namespace weft::loop::detail {

// The loops of this thread that are not gone, the oldest first.
std::vector<EventLoop*> loops_of_thread();

struct Awaiters {
  std::vector<FutureCore*> futures;  // And tasks.
  std::vector<const fibers::Task*> fibers;
};
// In the order in which they will hear of its end, each once.
Awaiters awaiters_of(const FutureCore& future);

// Where a task is, innermost first.
std::vector<FrameCallGraphEntry> frames_of(const TaskCore& task);
// "main #1".
std::string name_of_fiber(const fibers::Task& fiber);

}  // namespace weft::loop::detail
