// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// From callbacks to tasks: starting Trio-flavoured functions where nobody can wait for them.
//
//   auto fetch = trio_as_aio([](int id) { return ask_the_server(id); });   // may sleep, may block
//   loop.call_soon([&] {
//     fetch(7).add_done_callback([](loop::Future<int> f) { use(f.result()); });
//   });

#pragma once

#include <functional>
#include <source_location>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include "weft/loop/future.h"
#include "weft/shim/detail/trio_call.h"

namespace weft::shim {

// Starts `fn` as a task of the loop and returns a future of its result, at once. The task begins in
// turn with the loop's callbacks: what was given to call_soon before runs before, what comes after
// waits until it has begun. It has a copy of the context variables of whoever calls this. It sees
// cancellation from these sides only:
//   - future.cancel(message): true, unless done. `fn` gets Cancelled at its wait; the future stays
//     pending until it has ended, and then is cancelled with the message if that went through. If
//     `fn` swallows it and returns, that is the result; another error wins, too; from a group with
//     Cancelled in it, the future gets the rest. Before its turn: `fn` is never called, and the
//     future is cancelled at once.
//   - the end of the open_loop block: the future is cancelled. A loop that is none of open_loop's,
//     such as a SyncLoop's or a Runner's, cancels it when it is closed.
// A KeyboardInterrupt out of `fn` is the future's, and ends the loop's block or run as well. Throws
// UsageError where current_loop() is null.
// (trio-asyncio: trio_as_future, run_trio.)
//
// Blocks: no.
// Cancel: not a checkpoint.
// Threads: the run's own only.
template <class F>
auto run_trio(F&& fn, std::source_location site = std::source_location::current())
    -> loop::Future<std::decay_t<std::invoke_result_t<std::decay_t<F>&>>> {
  return detail::start_trio_call(std::forward<F>(fn), site);
}

// A callable that does run_trio with its arguments, which are copied or moved.
//
// Blocks: no.
// Cancel: not a checkpoint.
// Threads: the run's own only.
template <class F>
auto trio_as_aio(F&& fn, std::source_location site = std::source_location::current()) {
  return [fn = std::forward<F>(fn), site]<class... A>(A&&... args) {
    return run_trio(
        [fn, args = std::tuple<std::decay_t<A>...>(std::forward<A>(args)...)]() mutable {
          return std::apply(fn, std::move(args));
        },
        site);
  };
}

// The same for a task that nobody asks for a result. Its error goes to the loop's exception
// handler, which by default ends the block of open_loop; of a group with Cancelled in it, the rest.
// A KeyboardInterrupt ends the block whatever the handler is.
// Nobody waits for it either, so `fn` may capture by reference what start_soon's may: see
// nursery.h.
//
// Blocks: no.
// Cancel: not a checkpoint.
// Threads: the run's own only.
template <class F>
void run_trio_task(F&& fn, std::source_location site = std::source_location::current()) {
  detail::start_trio_task(std::forward<F>(fn), site);
}

}  // namespace weft::shim

namespace weft {
using shim::run_trio;
using shim::run_trio_task;
using shim::trio_as_aio;
}  // namespace weft
