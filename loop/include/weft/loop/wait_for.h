// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Waits for one thing, but not longer than so.
//
//   int answer = co_await wait_for(ask(question), 1s);                  // in a coroutine
//   int answer = await(wait_for([&] { return await(other); }, 1s));     // on a stack
//
// (asyncio.wait_for, as of 3.12: on top of timeout().)

#pragma once

#include <type_traits>
#include <utility>

#include "weft/fibers/clock.h"
#include "weft/loop/coro.h"
#include "weft/loop/ensure_future.h"
#include "weft/loop/errors.h"
#include "weft/loop/timeout.h"

namespace weft::loop {

namespace detail {

// Cancels it, and waits until it is done.
Coro<void> cancel_and_wait(FutureBase future);

// The time was up from the beginning.
template <class T>
Coro<T> wait_for_at_once(Future<T> future) {
  if (!future.done()) {
    co_await cancel_and_wait(future);
    if (future.cancelled()) throw TimeoutError();
  }
  co_return take_outcome(std::move(future));
}

template <class A>
Coro<Awaited<A>> wait_in_task(A awaitable, fibers::Duration timeout) {
  using T = Awaited<A>;
  auto limit = std::make_shared<TimeoutCore>(fibers::later(get_running_loop().time(), timeout));
  if constexpr (std::is_same_v<A, Coro<T>>) {
    co_return co_await run_limited<T>(std::move(limit), std::move(awaitable));
  } else {
    Future<T> future = ensure_future(std::move(awaitable));
    try {
      co_return co_await run_limited<T>(std::move(limit), future);
    } catch (const TimeoutError&) {
      // A result that has come together with the time wins.
      if (!future.done() || future.cancelled()) throw;
    }
    co_return take_outcome(std::move(future));
  }
}

template <class A>
Coro<Awaited<A>> start_wait_for(A awaitable, fibers::Duration timeout) {
  using T = Awaited<A>;
  if (timeout <= fibers::Duration::zero()) {
    Future<T> future = as_future(std::move(awaitable), loop_of(awaitable));
    co_return co_await wait_for_at_once(std::move(future));
  }
  if (current_task()) {
    co_return co_await wait_in_task(std::move(awaitable), timeout);
  } else {
    // A callback, or a task that is none of the loop's.
    EventLoop& loop = loop_of(awaitable);
    Task<T> task = loop.create_task(wait_in_task(std::move(awaitable), timeout));
    co_return co_await task;
  }
}

}  // namespace detail

// What awaiting it gives; TimeoutError if it takes longer. When the time is up it is cancelled and
// waited for: what it throws then, other than CancelledError, comes out, and what it returns is
// returned. Cancelling whoever waits cancels it. A coroutine runs inside the calling task; a
// function becomes a task. A timeout of 0 or less: the result of a future that is done; a coroutine
// or function is never begun. Duration::max(): no limit.
//
// Blocks: whoever awaits it.
// Cancel: cancels what it waits for, and waits for its end.
// Threads: the loop's own only.
template <Awaitable A>
auto wait_for(A&& awaitable, fibers::Duration timeout) -> Coro<Awaited<A>> {
  return detail::start_wait_for<std::decay_t<A>>(std::forward<A>(awaitable), timeout);
}

}  // namespace weft::loop
