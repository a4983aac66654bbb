// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// All tasks of a loop: as a table, and as a tree of who awaits whom. For a debug handler, a signal
// handler of the loop, or a test that hangs. For another process see tools/gdb/weft.py.
//
//   loop.add_signal_handler(SIGQUIT, [] { std::cerr << pstree(); });
//
//   └── (T) Task-1
//       └──  main() at crawl.cc:40
//           ├── (T) Task-2
//           │   └──  fetch(std::string) at crawl.cc:17
//           └── (T) Task-3
//
// (asyncio: python -m asyncio ps PID, pstree PID, 3.14.)

#pragma once

#include <string>

#include "weft/fibers/detail/requirements.h"

namespace weft::loop {

class EventLoop;

// A line for each task that is not done, the oldest first: its name, what it does, where it is, who
// awaits it.
//
// Blocks: no; reads debug information, as fibers::describe_frame() does.
// Cancel: not a checkpoint.
// Threads: the loop's own only.
std::string ps(const EventLoop& loop);
// Of every loop of this thread, also of those that do not run.
//
// Blocks: no, as above.
// Cancel: not a checkpoint.
// Threads: any; the others' loops are not seen.
std::string ps();

// Those that nobody awaits, and below each what it awaits; a task of fibers that awaits tasks
// stands for them, with an (F). One that two await is there twice. If some await each other in a
// circle, each circle is named first, and the tree has the others.
//
// Blocks: no, as above.
// Cancel: not a checkpoint.
// Threads: the loop's own only.
std::string pstree(const EventLoop& loop);
std::string pstree();

}  // namespace weft::loop
