// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// From tasks to C++20 coroutines: any awaitable, awaited by a plain call.
//
//   cppcoro::task<Page> fetch(std::string url);         // somebody else's coroutine
//   Page page = weft::awaitable_as_trio(fetch(url));    // in a task: suspends the task
//
//   // One that takes a std::stop_token: a deadline stops it.
//   weft::fibers::move_on_after(1s, [&] {
//     weft::awaitable_as_trio([&](std::stop_token token) { return client.get(url, token); });
//   });
//
// Awaited is what the language would await: by operator co_await, a member or free, or directly.
// The awaiter's result may be a value, a reference or nothing; a T&& is returned as a T, and a T&
// must not refer into what is awaited if that goes with the call. Whichever thread resumes, the
// task goes on in its run, and await_resume() is called there. Besides the awaitable's own memory
// nothing is allocated: the small coroutine that it is given to resume comes from a pool.

#pragma once

#include "weft/fibers/detail/requirements.h"  // Before <coroutine> complains.

#include <concepts>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <optional>
#include <stop_token>
#include <type_traits>
#include <utility>

#include "weft/fibers/lowlevel.h"
#include "weft/loop/detail/foreign_wait.h"
#include "weft/loop/errors.h"
#include "weft/shim/portal.h"

namespace weft::cpp20 {

// How a cancelled task leaves what it cannot stop.
struct AsTrioOptions {
  // False: it waits on until the end, and what comes is returned. True: it leaves at once. The
  // awaitable goes on, its result dropped; so it must not refer to what lies on the task's stack.
  // (Trio: to_thread_run_sync's option of that name.)
  bool abandon_on_cancel = false;
};

namespace detail {

// In a handler, when the wait is over. `cancelled`: the task was, meanwhile.
[[noreturn]] void rethrow(const std::optional<fibers::RaiseCancel>& cancelled);

// What await_in_task() returns. In the language an awaiter lives until the end of the full
// expression, here it goes before: what it gives away by T&& is taken out of it.
template <class R>
using Taken =
    std::conditional_t<std::is_rvalue_reference_v<R> && std::constructible_from<std::decay_t<R>, R>,
                       std::decay_t<R>, R>;

template <class A, class Object>
decltype(auto) await_in_task(A&& awaitable, Object& stoppable) {
  auto&& awaiter = loop::detail::get_awaiter(std::forward<A>(awaitable));
  using R = Taken<decltype(awaiter.await_resume())>;
  if (awaiter.await_ready()) {
    fibers::cancel_shielded_checkpoint();
    return static_cast<R>(awaiter.await_resume());
  }
  loop::detail::ForeignWait wait;
  if constexpr (requires { awaiter.request_stop(); }) {
    wait.start(awaiter, awaiter);
  } else {
    wait.start(awaiter, stoppable);
  }
  const std::optional<fibers::RaiseCancel> cancelled = loop::detail::wait_in_fiber(wait);
  try {
    wait.throw_if_broken();
    if (wait.stopped()) throw loop::CancelledError();
    return static_cast<R>(awaiter.await_resume());
  } catch (...) {
    rethrow(cancelled);
  }
}

// A coroutine that nobody waits for. Its frame goes when it ends.
struct Detached {
  struct promise_type {  // NOLINT(readability-identifier-naming): the language's name.
    // NOLINTNEXTLINE(misc-new-delete-overloads): the one with a size is its match.
    static void* operator new(std::size_t size);
    static void operator delete(void* frame, std::size_t size) noexcept;
    Detached get_return_object() const noexcept { return {}; }
    std::suspend_never initial_suspend() const noexcept { return {}; }
    std::suspend_never final_suspend() const noexcept { return {}; }
    // There was no memory to tell the task. Its Completion goes, which tells it that much.
    void unhandled_exception() const noexcept {}
    void return_void() const noexcept {}
  };
};

template <class R>
void fail(const shim::Completion<R>& done) {
  const std::exception_ptr error = std::current_exception();
  loop::detail::is_cancellation() ? done.cancelled_threadsafe(error) : done.fail_threadsafe(error);
}

template <class R, class A>
Detached run_detached(A awaitable, shim::Completion<R> done) {
  try {
    if constexpr (std::is_void_v<R>) {
      co_await std::move(awaitable);
      done.complete_threadsafe();
    } else {
      done.complete_threadsafe(co_await std::move(awaitable));
    }
  } catch (...) {
    fail(done);
  }
}

template <class F>
concept TakesStopToken = std::invocable<F, std::stop_token>;

}  // namespace detail

// Awaits it, and returns its result or throws its error. If the task is cancelled meanwhile, calls
// the request_stop() of the awaiter or the awaitable, if there is one, once, and stops the
// std::stop_token that the awaiter may have taken from the promise that it is given
// (get_stop_token()); then goes on waiting for its end. request_stop() must not wait; what it
// throws is thrown when the wait has ended. If the end says that it was cancelled (loop::
// CancelledError, std::errc::operation_canceled, or the promise's unhandled_stopped()) the wait
// throws Cancelled. Throws BrokenResourceError if the coroutine that is to be resumed is destroyed
// instead.
//
// Blocks: yes, always a checkpoint.
// Cancel: before it is awaited: nothing has begun. Afterwards as above; a result that comes counts.
// Threads: the run's own only. Any may resume.
template <class A>
requires(!detail::TakesStopToken<A>) decltype(auto) awaitable_as_trio(A&& awaitable) {
  loop::detail::check_foreign<A>();
  fibers::checkpoint_if_cancelled();
  return detail::await_in_task(std::forward<A>(awaitable), awaitable);
}

// The same of what `fn(std::stop_token)` returns; the token is stopped when the task is cancelled.
// The token's state is allocated, as the standard library has it.
//
// Blocks: yes, always a checkpoint.
// Cancel: before `fn`: it is not called. Afterwards as above; a result that comes counts.
// Threads: the run's own only. Any may resume.
template <detail::TakesStopToken F>
decltype(auto) awaitable_as_trio(F&& fn) {
  using A = std::invoke_result_t<F, std::stop_token>;
  loop::detail::check_foreign<A>();
  fibers::checkpoint_if_cancelled();
  std::stop_source source;
  return detail::await_in_task(std::invoke(std::forward<F>(fn), source.get_token()), source);
}

// The same of an awaitable that a cancelled task may abandon. It is moved, into a frame of its own.
//
// Blocks: yes, always a checkpoint.
// Cancel: before it is awaited: nothing has begun. Afterwards as AsTrioOptions says.
// Threads: the run's own only. Any may resume, also when the run is over.
template <class A>
requires(!detail::TakesStopToken<A>) auto awaitable_as_trio(A&& awaitable,
                                                            const AsTrioOptions& options) {
  using R = std::decay_t<loop::detail::AwaitResult<A>>;
  static_assert(!std::is_lvalue_reference_v<A>,
                "what may be abandoned must own what it needs: move the awaitable");
  static_assert(!std::is_lvalue_reference_v<loop::detail::AwaitResult<A>>,
                "what may be abandoned has to give a value, not a reference");
  loop::detail::check_foreign<A>();
  return shim::wait_for_callback<R>(
      [&](shim::Completion<R> done) {
        detail::run_detached<R, A>(std::forward<A>(awaitable), std::move(done));
      },
      [&options] {
        return options.abandon_on_cancel ? shim::CancelResult::kAbandoned
                                         : shim::CancelResult::kWillComplete;
      });
}

}  // namespace weft::cpp20

namespace weft {
using cpp20::awaitable_as_trio;
}  // namespace weft
