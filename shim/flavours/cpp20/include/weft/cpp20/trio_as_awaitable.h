// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// From C++20 coroutines to tasks: a function that waits as tasks do, awaited.
//
//   cppcoro::task<int> serve(Connection connection) {        // any coroutine type
//     int status = co_await weft::trio_as_awaitable([&] {
//       return ask_the_database(connection.user());          // sleeps, blocks, opens nurseries
//     });
//     ...
//   }
//
// The coroutine may run anywhere on the run's thread: in a task, in a callback of a loop, in a
// callback of the loop whose guest the run is. Nothing is allocated, unless the coroutine's promise
// offers a std::stop_token.

#pragma once

#include <concepts>
#include <source_location>
#include <type_traits>
#include <utility>

#include "weft/cpp20/detail/call.h"
#include "weft/fibers/nursery.h"

namespace weft::cpp20 {

// What to co_await, once: a call of `fn` in a new task, with the context variables of who awaits.
// The coroutine gets what `fn` returns or throws, and goes on in that task when `fn` has ended: a
// call that waits there is that task's. The task is one of the open_loop block that the coroutine
// runs in, if it runs in one, and else a system task. Its waits throw Cancelled when
//   - the task of the loop is cancelled that runs the coroutine, a loop::Coro;
//   - the std::stop_token is stopped that the promise of the coroutine offers (get_stop_token()),
//   on
//     whichever thread;
//   - the coroutine is destroyed; then nobody waits for `fn`, and what that refers to outlives it;
//   - the block, or the run, ends.
// If that comes through, the coroutine gets loop::CancelledError, or the promise's
// unhandled_stopped() if it has one; of a group with Cancelled in it, the rest. Before its turn,
// `fn` is not called. To await it throws UsageError outside the run's thread.
//
// Blocks: the coroutine that awaits it.
// Cancel: as above.
// Threads: the run's own only.
template <class F>
requires std::invocable < std::decay_t<F>
& > auto trio_as_awaitable(F&& fn, std::source_location site = std::source_location::current()) {
  using Fn = std::decay_t<F>;
  using R = std::decay_t<std::invoke_result_t<Fn&>>;
  return detail::CallAwaitable<R, Fn>(std::forward<F>(fn), nullptr, site);
}
// The same in a task of `nursery`, which outlives the wait; its scope cancels `fn`, too.
//
// Blocks: the coroutine that awaits it.
// Cancel: as above.
// Threads: the run's own only.
template <class F>
requires std::invocable < std::decay_t<F>
& > auto trio_as_awaitable(fibers::Nursery& nursery, F&& fn,
                           std::source_location site = std::source_location::current()) {
  using Fn = std::decay_t<F>;
  using R = std::decay_t<std::invoke_result_t<Fn&>>;
  return detail::CallAwaitable<R, Fn>(std::forward<F>(fn), &nursery, site);
}

}  // namespace weft::cpp20

namespace weft {
using cpp20::trio_as_awaitable;
}  // namespace weft
