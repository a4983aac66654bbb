// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// From tasks to callbacks: waiting, in a task, for what happens on the loop.
//
//   int answer = aio_as_trio([&] { return client.ask_async(question); })();   // returns a
//   Future<int>

#pragma once

#include <functional>
#include <optional>
#include <type_traits>
#include <utility>

#include "weft/fibers/context_var.h"
#include "weft/fibers/lowlevel.h"
#include "weft/loop/event_loop.h"
#include "weft/loop/future.h"
#include "weft/shim/open_loop.h"
#include "weft/shim/portal.h"

namespace weft::shim {

// Waits for any future of this run's loops. If the task is cancelled the future is, once; then it
// goes on waiting, and what the future ends with counts: cancelled, it throws Cancelled; a value or
// another error comes out as ever. A future that somebody else cancels throws loop::CancelledError.
// (trio-asyncio: run_aio_future.)
//
// Blocks: yes, always a checkpoint.
// Cancel: the future is cancelled, once, and decides.
// Threads: the run's own only.
template <class T>
T run_aio_future(loop::Future<T> future) {
  if (!future || future.done()) fibers::checkpoint();
  return loop::await(std::move(future));
}

namespace detail {

// A task is about to wait for a callback of `loop`, which is stopped: open_loop's runs again,
// unless a deadline limits the wait.
void wait_while_stopped(loop::EventLoop& loop);

template <class T>
struct FutureTraits {
  static constexpr bool kIsFuture = false;
};
template <class T>
struct FutureTraits<loop::Future<T>> {
  static constexpr bool kIsFuture = true;
};

// Ends the wait with what `fn` does. In a callback.
template <class R, class F>
void complete_with(const Completion<R>& done, F& fn) {
  try {
    if constexpr (std::is_void_v<R>) {
      std::invoke(fn);
      done();
    } else {
      done(std::invoke(fn));
    }
  } catch (...) {
    done.raised();
  }
}

// Calls `fn` in a callback and waits for its end.
template <class F>
auto call_in_callback(F& fn) -> std::decay_t<std::invoke_result_t<F&>> {
  using R = std::decay_t<std::invoke_result_t<F&>>;
  loop::Handle handle;
  return wait_for_callback<R>(
      [&](Completion<R> done) {
        // This frame stays until the callback has ended, or has been dropped.
        loop::EventLoop& loop = require_loop();
        if (!loop.is_running()) wait_while_stopped(loop);
        handle = loop.call_soon(
            [done = std::move(done), &fn, context = fibers::copy_context()]() mutable {
              context.run([&] { complete_with<R>(done, fn); });
            });
      },
      [&] {
        handle.cancel();
        return CancelResult::kWillComplete;
      });
}

}  // namespace detail

// For a future: run_aio_future. For an asyncio-flavoured callable: a callable that runs it, with
// its arguments, in a callback of current_loop(), and waits for its end; if it returns a future,
// for the future's. It has a copy of the task's context variables. Cancelling the task cancels the
// callback if it blocks, or the future. (trio-asyncio: aio_as_trio.)
//
// Blocks: yes, always a checkpoint.
// Cancel: passed on, once; what happens there decides.
// Threads: the run's own only.
template <class T>
T aio_as_trio(loop::Future<T> future) {
  return run_aio_future(std::move(future));
}
template <class F>
requires(!detail::FutureTraits<std::decay_t<F>>::kIsFuture) auto aio_as_trio(F&& fn) {
  return [fn = std::forward<F>(fn)]<class... A>(A&&... args) mutable {
    auto bound = [&] { return std::invoke(fn, std::forward<A>(args)...); };
    using R = std::decay_t<decltype(bound())>;
    if constexpr (detail::FutureTraits<R>::kIsFuture) {
      return run_aio_future(detail::call_in_callback(bound));
    } else {
      return detail::call_in_callback(bound);
    }
  };
}

}  // namespace weft::shim

namespace weft {
using shim::aio_as_trio;
using shim::run_aio_future;
}  // namespace weft
