// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// How a program begins and ends: run() as all of main().
//
//   int main(int argc, char** argv) {
//     return weft::fibers::main([&] { serve(argc, argv); });
//   }
//
// Only the return value belongs after it: what has to happen in any case belongs inside.

#pragma once

#include <functional>
#include <type_traits>
#include <utility>

#include "weft/fibers/run.h"

namespace weft::fibers {

namespace detail {
// Calls `program` and ends as main() does. Never throws.
int run_program(const std::function<int()>& program) noexcept;
// Calls `body`, in the main task. The first Ctrl-C meanwhile cancels it, instead of raising
// KeyboardInterrupt where it waits. A KeyboardInterrupt comes out if it ends cancelled then, or
// without having heard of it, and one beside the error that it ends with. (asyncio: Runner.run)
int cancelled_by_interrupt(const std::function<int()>& body);

// The exit status that calling `fn` comes to.
template <class F>
int exit_status(F&& fn) {
  using R = std::invoke_result_t<F&>;
  static_assert(std::is_void_v<R> || std::is_same_v<R, int>,
                "what main() runs returns nothing, or the program's exit status as an int");
  if constexpr (std::is_void_v<R>) {
    std::invoke(fn);
    return 0;
  } else {
    return std::invoke(fn);
  }
}
}  // namespace detail

// Runs `fn` as run() does and returns the exit status for the program's own main() to return: what
// `fn` returns if that is an int, else 0.
//
//   - An error that comes out of the run is printed to standard error with everything in it, as
//     format_exception() does, and the status is 1. Where it was thrown is printed too if the
//     program has switched that on: see throw_backtrace.h.
//   - After a Ctrl-C the run unwinds as ever; then SIGINT ends the process by its default action,
//   so
//     that a shell reports 130 and stops a script. Standard output is flushed first; atexit()
//     functions and destructors of static objects do not run. Other errors beside the
//     KeyboardInterrupt are printed. A program that handles KeyboardInterrupt inside returns as any
//     other.
//   - SIGPIPE is ignored from here on, as in Python: writing to a closed pipe or socket is an error
//     of that call. Child processes get the default action back (ProcessOptions::restore_signals).
//
// The last two are about the process, so call it on the main thread. (Python: the interpreter's
// main. trio.run in a script.)
//
// Blocks: the thread, until the run is over.
// Cancel: does not apply.
// Threads: the main thread.
template <class F>
int main(F&& fn, const RunOptions& options = {}) {
  return detail::run_program([&] { return run([&] { return detail::exit_status(fn); }, options); });
}

}  // namespace weft::fibers
