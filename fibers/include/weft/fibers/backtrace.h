// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Where a task is, in terms of the program: the functions on its stack, also of a task that waits.
//
//   for (const void* address : backtrace(task)) {
//     for (const std::string& line : describe_frame(address)) puts(line.c_str());
//   }
//
// (Trio: Task.iter_await_frames.)

#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "weft/fibers/detail/requirements.h"

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

// What an address of a backtrace stands for, a line each: the functions that the compiler has
// inlined there, innermost first, and then the function that they are inlined into.
//
//   read_line(Reader&) at server.cc:31, inlined [server+0x2a1f]
//   serve(Connection&) at server.cc:52 [server+0x2a1f]
//
// In brackets is the place in the file, which addr2line understands. Inlined layers of std::invoke
// and of weft's kernel are left out. Files, lines and inlined functions come from the program's
// debug information (-g, or a file below /usr/lib/debug), which is read by libdw (Debian: libdw1)
// if weft was built with its headers and the machine has it. Else there is one line, with the name
// that the program's table of symbols has, or "??".
//
// Blocks: no; reads files, which takes milliseconds for each that is new, and keeps what it has
//   read. A short-lived thread does that, for it needs more stack than a task may have.
// Cancel: not a checkpoint.
// Threads: any.
std::vector<std::string> describe_frame(const void* address);

// Only the name of the function that an address of a backtrace lies in; the address itself where
// the program was stripped of its symbols.
//
// Blocks: no; reads the program's file, and keeps it open.
// Cancel: not a checkpoint.
// Threads: any.
std::string describe_address(const void* address);

}  // namespace weft::fibers
