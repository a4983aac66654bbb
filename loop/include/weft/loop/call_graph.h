// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Who awaits a future, and who awaits those, and where they are.
//
//   print_call_graph(task);
//
//   * Task(name='Task-2', id=0x7f2c40)
//     + Call stack:
//     |   sleep(Duration) at coro.cc:140
//     |   fetch(std::string) at crawl.cc:17
//     + Awaited by:
//       * Task(name='Task-1', id=0x7f2b80)
//         ...
//
// Nothing is recorded for it while a program runs: the edges are read off the callbacks of futures.
// A coroutine is shown with the place where it begins, a function with a stack with its frames, as
// far as the program has debug information. (asyncio.graph, 3.14.)

#pragma once

#include <cstddef>
#include <cstdio>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "weft/loop/future.h"

namespace weft::loop {

// (asyncio.FrameCallGraphEntry.)
struct FrameCallGraphEntry {
  std::string frame;  // "fetch(std::string) at crawl.cc:17"
};

// (asyncio.FutureCallGraph.)
struct FutureCallGraph {
  FutureBase future;  // Empty for a task of fibers.
  std::string name;   // Of a task, else empty.
  // Innermost first; empty for a plain future.
  std::vector<FrameCallGraphEntry> call_stack;
  std::vector<FutureCallGraph> awaited_by;
  // It awaits itself, by way of the others: the graph is not followed any further.
  bool cycle = false;
};

struct CallGraphOptions {
  // How many frames of each stack: the innermost ones; a negative number: the outermost ones.
  std::ptrdiff_t limit = std::numeric_limits<std::ptrdiff_t>::max();
};

// The graph of a future or task, and of the task that runs here: nothing in a plain callback. Of a
// coroutine that runs at this moment only the outermost is known, of one that is done nothing.
//
// Blocks: no; reads debug information, as fibers::describe_frame() does.
// Cancel: not a checkpoint.
// Threads: the loop's own only.
FutureCallGraph capture_call_graph(const FutureBase& future, CallGraphOptions options = {});
std::optional<FutureCallGraph> capture_call_graph(CallGraphOptions options = {});
// The same as text, as above.
//
// Blocks: no, as capture_call_graph().
// Cancel: not a checkpoint.
// Threads: the loop's own only.
std::string format_call_graph(const FutureBase& future, CallGraphOptions options = {});
std::string format_call_graph(CallGraphOptions options = {});
// The same to a file.
//
// Blocks: no; writing to the file keeps the thread.
// Cancel: not a checkpoint.
// Threads: the loop's own only.
void print_call_graph(const FutureBase& future, std::FILE* file = stdout,
                      CallGraphOptions options = {});
void print_call_graph(std::FILE* file = stdout, CallGraphOptions options = {});

// For combinators of your own: says that `waiter` goes on when `future` is done, until it is done
// or the edge is taken away. Once, however often it is said. It is a callback of `future`, and
// keeps `waiter`.
//
// Blocks: no.
// Cancel: not a checkpoint.
// Threads: the loop's own only.
void future_add_to_awaited_by(const FutureBase& future, const FutureBase& waiter);
void future_discard_from_awaited_by(const FutureBase& future, const FutureBase& waiter);

}  // namespace weft::loop
