// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// How a program with an event loop begins and ends: weft::run as all of main().
//
//   int main() {
//     return weft::main([](weft::EventLoop& loop) {
//       loop.call_soon([] { puts("a callback"); });
//       weft::fibers::sleep(1s);
//     });
//   }

#pragma once

#include "weft/fibers/main.h"
#include "weft/shim/open_loop.h"

namespace weft::shim {

// Runs `fn(loop)`, or `fn()`, as weft::run does, and returns the exit status for the program's own
// main(): what `fn` returns if that is an int, else 0. Errors, Ctrl-C and SIGPIPE are dealt with as
// fibers::main does (weft/fibers/main.h): at a Ctrl-C the body is interrupted where it waits; when
// it has unwound, everything else in the loop is cancelled and cleans up. One more Ctrl-C does not
// wait for that: it cancels once more what cleans up.
//
// Blocks: the thread, until the run is over.
// Cancel: does not apply.
// Threads: the main thread.
template <class F>
int main(F&& fn, const fibers::RunOptions& options = {}, const GroupOptions& groups = {}) {
  const auto body = [&](loop::EventLoop& loop) {
    return fibers::detail::exit_status([&] { return detail::call_body(fn, loop); });
  };
  return fibers::detail::run_program([&] { return run(body, options, groups); });
}

}  // namespace weft::shim

namespace weft {
using shim::main;
}  // namespace weft
