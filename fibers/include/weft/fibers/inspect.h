// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Looking at a run: which tasks there are, and what each of them waits for.

#pragma once

#include <cstdint>
#include <source_location>
#include <string>
#include <vector>

#include "weft/fibers/detail/requirements.h"

namespace weft::fibers {

struct DumpOptions {
  // Below each task, the functions on its stack: see describe_frame in backtrace.h.
  bool backtraces = false;
};

// The tree of tasks and nurseries of this run, one line a task: name, Task::id(), state, what it
// waits for, the deadline over it, where it was started.
//
//   main #2  running  started at run.cc:95
//   └─ nursery at server.cc:31
//      ├─ accept #3  waiting for readable fd 7  started at server.cc:33
//      └─ client 12 #15  waiting for sleep, deadline in 1.5s  started at server.cc:40
//
// Throws UsageError outside a run.
//
// Blocks: no.
// Cancel: not a checkpoint.
// Threads: the run's own only.
std::string dump_task_tree();
std::string dump_task_tree(const DumpOptions& options);

// Who waits for whom. One line for each waiting task, with the tasks that have to go on first, as
// far as that is known: a nursery's tasks, the owner of a Lock, the holders of a CapacityLimiter's
// tokens, the breakers of a ParkingLot. Then one line for each cycle among them; only a
// cancellation can end a cycle. The number behind a name is Task::id().
//
//   main #2 waits for tasks of a nursery: reader #3, writer #4
//   reader #3 waits for Lock.acquire, held by writer #4
//   writer #4 waits for Lock.acquire, held by reader #3
//   a cycle: reader #3 -> writer #4 -> reader #3
//
// Throws UsageError outside a run. See deadlock_report.h for when nothing can happen any more.
//
// Blocks: no.
// Cancel: not a checkpoint.
// Threads: the run's own only.
std::string dump_waits();

// A task that has not ended: a snapshot.
struct LivingTask {
  std::uint64_t id = 0;  // Task::id().
  std::string name;
  std::source_location spawn_site;
  std::string waiting_for;  // Empty: not waiting.
  // "task 'client 12' #14, started at server.cc:40, waiting for readable fd 7"
  std::string describe() const;
};

// All tasks of this thread. This includes tasks of runs that are not running: in a suspended
// greenlet, of a guest between two ticks, and of a guest run that was abandoned. Inside a run it
// includes the root task and main. Between runs there should be none: see testing/left_over.h.
//
// Blocks: no.
// Cancel: not a checkpoint.
// Threads: any.
std::vector<LivingTask> living_tasks();

// The last warning of this run about a Cancelled that somebody caught and did not throw on; empty
// if there was none. Throws UsageError outside a run.
//
// Blocks: no.
// Cancel: not a checkpoint.
// Threads: the run's own only.
std::string last_swallowed_cancelled();

namespace detail {
// The tree, with the lines that `describe` gives for each frame of each task if it is not null.
using DescribeFrame = std::vector<std::string> (*)(const void* address);
std::string task_tree(DescribeFrame describe);
}  // namespace detail

}  // namespace weft::fibers
