// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What may be awaited, as a future. gather(), wait_for() and shield() take all of these alike:
//
//   Future<int>, Task<int>                    // themselves
//   Coro<int>                                 // becomes a task
//   [] { return await(other); }               // a function becomes a task with a stack
//   [&]() -> Coro<int> { ... }                // a function that returns a coroutine, one without
//
// (asyncio: ensure_future. There is no isfuture: the type says it.)

#pragma once

#include <concepts>
#include <functional>
#include <type_traits>
#include <utility>

#include "weft/loop/coro.h"
#include "weft/loop/event_loop.h"
#include "weft/loop/future.h"
#include "weft/loop/task.h"

namespace weft::loop {

namespace detail {

template <class A>
struct AwaitedOf {};
template <class T>
struct AwaitedOf<Future<T>> {
  using Type = T;
};
template <class T>
struct AwaitedOf<Task<T>> {
  using Type = T;
};
template <class T>
struct AwaitedOf<Coro<T>> {
  using Type = T;
};
template <class F>
requires std::invocable<F&>
struct AwaitedOf<F> {
  using Type = typename TaskOfFunction<F>::Value;
};

template <class A>
inline constexpr bool kIsFuture = std::derived_from<std::decay_t<A>, FutureBase>;

// Where those that are not futures yet run: the running loop, or that of the first future.
template <class... A>
EventLoop& loop_of(const A&... awaitables) {
  EventLoop* loop = running_loop();
  [[maybe_unused]] const auto look = [&loop](const auto& awaitable) {
    if constexpr (kIsFuture<decltype(awaitable)>) {
      if (loop == nullptr) loop = &awaitable.get_loop();
    }
  };
  (look(awaitables), ...);
  return loop != nullptr ? *loop : get_running_loop();
}

void require_loop_of(const FutureBase& future, const EventLoop& loop);

// Also of another loop.
template <class A>
auto as_future(A&& awaitable, EventLoop& loop) {
  if constexpr (kIsFuture<A>) {
    return std::decay_t<A>(std::forward<A>(awaitable));
  } else {
    return loop.create_task(std::forward<A>(awaitable));
  }
}

}  // namespace detail

// What awaiting an A gives; void, perhaps.
template <class A>
using Awaited = typename detail::AwaitedOf<std::decay_t<A>>::Type;
template <class A>
concept Awaitable = requires {
  typename Awaited<A>;
};

// A future or task of `loop` comes back as it is; anything else becomes a task of it. Throws
// UsageError for a future of another loop.
//
// Blocks: no.
// Cancel: not a checkpoint.
// Threads: the loop's own only.
template <Awaitable A>
auto ensure_future(A&& awaitable, EventLoop& loop) {
  if constexpr (detail::kIsFuture<A>) detail::require_loop_of(awaitable, loop);
  return detail::as_future(std::forward<A>(awaitable), loop);
}
// In the running loop: throws UsageError where there is none and one is needed.
//
// Blocks: no.
// Cancel: not a checkpoint.
// Threads: the loop's own only.
template <Awaitable A>
auto ensure_future(A&& awaitable) {
  if constexpr (detail::kIsFuture<A>) {
    return std::decay_t<A>(std::forward<A>(awaitable));
  } else {
    return get_running_loop().create_task(std::forward<A>(awaitable));
  }
}

}  // namespace weft::loop
