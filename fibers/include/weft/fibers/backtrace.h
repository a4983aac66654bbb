// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Where a task is, in terms of the program: the functions on its stack, also of a task that waits.
//
//   for (const void* address : backtrace(task)) puts(describe_address(address).c_str());
//
// (Trio: Task.iter_await_frames.)

#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace weft::fibers {

class Task;

// The return addresses on the task's stack, innermost first, `most` at the most; of the running
// task those of the call that asks. Empty for a task that has not begun to run, and on machines
// other than x86-64. Throws UsageError for a task of another run.
//
// Blocks: no.
// Cancel: not a checkpoint.
// Threads: the run's own only.
std::vector<const void*> backtrace(const Task& task, std::size_t most = 64);

// The function that an address of a backtrace lies in, as the program wrote it; the address itself
// where the program was stripped of its symbols.
//
// Blocks: no; reads the program's file, and keeps it open.
// Cancel: not a checkpoint.
// Threads: any.
std::string describe_address(const void* address);

}  // namespace weft::fibers
