// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Looking at a run: who is there, what does everyone wait for.

#pragma once

#include <string>

namespace weft::fibers {

struct DumpOptions {
  // Below each task, the functions on its stack: see backtrace.h.
  bool backtraces = false;
};

// The tree of tasks and nurseries of this run, one line a task: name, state, what it waits for, the
// deadline over it, where it was started.
//
//   main  running
//   └─ nursery at server.cc:31
//      ├─ accept  waiting for readable fd 7                    started at server.cc:33
//      └─ client 12  waiting for sleep, deadline in 1.5s       started at server.cc:40
//
// Throws UsageError outside a run.
//
// Blocks: no.
// Cancel: not a checkpoint.
// Threads: the run's own only.
std::string dump_task_tree(const DumpOptions& options = {});

}  // namespace weft::fibers
