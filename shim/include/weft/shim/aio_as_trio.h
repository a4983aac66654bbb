// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// From tasks to callbacks: waiting, in a task, for what happens on the loop.
//
//   int answer = aio_as_trio([&] { return client.ask_async(question); })();  // a Future<int>

#pragma once

#include <functional>
#include <tuple>
#include <type_traits>
#include <utility>

#include "weft/loop/async_generator.h"
#include "weft/loop/coro.h"
#include "weft/loop/event_loop.h"
#include "weft/loop/future.h"
#include "weft/loop/task.h"
#include "weft/shim/open_loop.h"
#include "weft/shim/portal.h"
#include "weft/shim/run_aio_future.h"
#include "weft/shim/run_aio_generator.h"

namespace weft::shim {

namespace detail {

// A task is about to wait for a callback of `loop`, which is stopped: open_loop's runs again,
// unless a deadline limits the wait.
void wait_while_stopped(loop::EventLoop& loop);

template <class T, template <class> class Of>
inline constexpr bool kIsA = false;
template <class U, template <class> class Of>
inline constexpr bool kIsA<Of<U>, Of> = true;
template <class T>
inline constexpr bool kIsGenerator = false;
template <class T>
inline constexpr bool kIsGenerator<loop::AsyncGenerator<T>> = true;
template <class T>
inline constexpr bool kIsFuture = kIsA<T, loop::Future> || kIsA<T, loop::Task>;
// What is waited for or read as it is, and not called.
template <class T>
inline constexpr bool kIsAwaited = kIsFuture<T> || kIsA<T, loop::Coro> || kIsGenerator<T>;

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
[[gnu::always_inline]] inline auto call_in_callback(F& fn)
    -> std::decay_t<std::invoke_result_t<F&>> {
  using R = std::decay_t<std::invoke_result_t<F&>>;
  loop::Handle handle;
  return wait_for_callback<R>(
      [&](Completion<R> done) {
        // This frame stays until the callback has ended, or has been dropped.
        loop::EventLoop& loop = require_loop();
        if (!loop.is_running()) wait_while_stopped(loop);
        handle = loop.call_soon([done = std::move(done), &fn] { complete_with<R>(done, fn); });
      },
      [&] {
        handle.cancel();
        return CancelResult::kWillComplete;
      });
}

// Calls `fn`, which returns a coroutine, in a task of the loop, and waits for that. While the loop
// stands the wait may end before the task: so that has a copy of everything.
template <class F, class... A>
[[gnu::always_inline]] inline auto call_in_task(F& fn, A&&... args) {
  auto bound = [fn = fn,
                given = std::tuple<std::decay_t<A>...>(std::forward<A>(args)...)]() mutable {
    return std::apply(fn, std::move(given));
  };
  auto task = require_loop().create_task(std::move(bound));
  return run_aio_future(std::move(task));
}

// What aio_as_trio gives for a callable. Inline, as all waits here: after the switch the processor
// mispredicts the return of every frame.
template <class Fn>
struct AioCallable {
  Fn fn;

  template <class... A>
  [[gnu::always_inline]] auto operator()(A&&... args) {
    using R = std::decay_t<std::invoke_result_t<Fn&, A...>>;
    if constexpr (kIsGenerator<R>) {
      return run_aio_generator(require_loop(), std::invoke(fn, std::forward<A>(args)...));
    } else if constexpr (kIsA<R, loop::Coro>) {
      return call_in_task(fn, std::forward<A>(args)...);
    } else {
      auto bound = [&] { return std::invoke(fn, std::forward<A>(args)...); };
      if constexpr (kIsFuture<R>) {
        return run_aio_future(call_in_callback(bound));
      } else {
        return call_in_callback(bound);
      }
    }
  }
};

}  // namespace detail

// Makes a coroutine a task of current_loop(), and waits for that as run_aio_future does. It has a
// copy of the task's context variables. Without a loop, or one that is closed, the coroutine is
// closed and UsageError thrown. (trio-asyncio: run_aio_coroutine.)
//
// Blocks: yes, always a checkpoint.
// Cancel: the coroutine's task is cancelled, once, and decides.
// Threads: the run's own only.
template <class T>
[[gnu::always_inline]] inline T run_aio_coroutine(loop::Coro<T> coro) {
  loop::EventLoop* const loop = current_loop();
  if (loop == nullptr || loop->is_closed()) coro.close();  // Nobody is to be told of it.
  return run_aio_future<T>(require_loop().create_task(std::move(coro)));
}

// For a future: run_aio_future. For a coroutine: run_aio_coroutine. For an asynchronous generator:
// run_aio_generator. For an asyncio-flavoured callable: a callable that runs it, with its
// arguments, in current_loop(), and waits for its end:
//   - one that returns a coroutine in a task of the loop, which has a copy of the callable and of
//     the arguments;
//   - one that returns a generator gives what a generator gives;
//   - any other one in a callback; if it returns a future, waits for that as well.
// It has a copy of the task's context variables. Cancelling the task cancels the callback if it
// blocks, the future or the task. (trio-asyncio: aio_as_trio.)
//
// Blocks: yes, always a checkpoint.
// Cancel: passed on, once; what happens there decides.
// Threads: the run's own only.
template <class T>
[[gnu::always_inline]] inline T aio_as_trio(loop::Future<T> future) {
  return run_aio_future(std::move(future));
}
template <class T>
[[gnu::always_inline]] inline T aio_as_trio(loop::Coro<T> coro) {
  return run_aio_coroutine(std::move(coro));
}
// Blocks: no; reading does.
// Cancel: not a checkpoint.
// Threads: the run's own only.
template <class T>
AioGenerator<T> aio_as_trio(loop::AsyncGenerator<T> generator) {
  return run_aio_generator(require_loop(), std::move(generator));
}
template <class F>
requires(!detail::kIsAwaited<std::decay_t<F>>) auto aio_as_trio(F&& fn) {
  return detail::AioCallable<std::decay_t<F>>{std::forward<F>(fn)};
}

}  // namespace weft::shim

namespace weft {
using shim::aio_as_trio;
using shim::run_aio_coroutine;
}  // namespace weft
