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
// fibers::main does (weft/fibers/main.h), except that Ctrl-C comes in steps, as in asyncio.run:
//
//   - The first one cancels the body. When that has unwound, everything else in the loop is
//     cancelled and cleans up, and SIGINT ends the program. A body that catches the Cancelled and
//     returns has decided otherwise: the program ends with its status. One that throws an error
//     instead has it printed (in asyncio.run that alone comes out, and the status is 1).
//   - One more does not wait for what cleans up. It raises KeyboardInterrupt where the body still
//     waits, in a shielded scope too; after the body it cancels once more what is left.
//
// Blocks: the thread, until the run is over.
// Cancel: does not apply.
// Threads: the main thread.
template <class F>
int main(F&& fn, const fibers::RunOptions& options = {}, const GroupOptions& groups = {}) {
  const auto body = [&](loop::EventLoop& loop) {
    return fibers::detail::cancelled_by_interrupt(
        [&] { return fibers::detail::exit_status([&] { return detail::call_body(fn, loop); }); });
  };
  return fibers::detail::run_program([&] { return run(body, options, groups); });
}

}  // namespace weft::shim

namespace weft {
using shim::main;
}  // namespace weft
