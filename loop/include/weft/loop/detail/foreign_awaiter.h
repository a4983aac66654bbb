// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// co_await, in a coroutine of the loop's, of an awaitable that is not the loop's. Not for use
// outside weft: see coro.h.

#pragma once

#include "weft/fibers/detail/requirements.h"  // Before <coroutine> complains.

#include <concepts>
#include <coroutine>
#include <optional>
#include <type_traits>
#include <utility>

#include "weft/loop/detail/coro_promise.h"
#include "weft/loop/detail/foreign_wait.h"
#include "weft/loop/errors.h"

namespace weft::loop::detail {

template <class P>
concept IsPromise = std::derived_from<P, PromiseBase>;

// Suspends the coroutines of the loop and no others.
template <class A>
concept LoopAwaitable = Awaitable<A> && SuspendsOnly<AwaiterOf<A>, Promise<void>> &&
    !SuspendsOnly<AwaiterOf<A>, ResumerPromise>;

// One without operator co_await, where it lies: gcc 12 copies what await_transform returns by
// reference.
template <class Awaiter>
struct AwaiterRef {
  Awaiter& awaiter;
  bool await_ready() { return awaiter.await_ready(); }
  template <class P>
  auto await_suspend(std::coroutine_handle<P> handle) {
    return awaiter.await_suspend(handle);
  }
  decltype(auto) await_resume() { return awaiter.await_resume(); }
};

// The coroutine goes on in its next step, as after a future, whoever resumes and wherever. The
// awaiter is asked for its result there.
template <class A>
class ForeignAwaiter {
 public:
  explicit ForeignAwaiter(A&& awaitable)
      : awaitable_(awaitable), awaiter_(get_awaiter(std::forward<A>(awaitable))) {}

  bool await_ready() { return awaiter_.await_ready() ? true : false; }
  template <IsPromise P>
  bool await_suspend(std::coroutine_handle<P> awaiter) {
    CoroDriver& driver = awaiter.promise().driver();
    driver.throw_cancellation();
    wait_.emplace();
    wait_->start(awaiter_, stoppable());
    driver_ = &driver;
    if (wait_->over()) return false;
    driver.wait_elsewhere(*wait_, awaiter);
    return true;
  }
  decltype(auto) await_resume() {
    if (driver_ == nullptr) return awaiter_.await_resume();
    try {
      wait_->throw_if_broken();
      if (wait_->stopped()) throw CancelledError();
      return awaiter_.await_resume();
    } catch (...) {
      driver_->rethrow_from_elsewhere();
    }
  }

 private:
  // What has a request_stop(): the awaiter, or else the awaitable.
  auto& stoppable() {
    if constexpr (requires { awaiter_.request_stop(); }) {
      return awaiter_;
    } else {
      return awaitable_;
    }
  }

  std::remove_reference_t<A>& awaitable_;
  AwaiterOf<A> awaiter_;
  std::optional<ForeignWait> wait_;  // From the suspension. Goes before the awaiter.
  CoroDriver* driver_ = nullptr;     // If it has begun.
};

template <class A>
auto PromiseBase::await_transform(A&& awaitable) {
  if constexpr (LoopAwaitable<A> && std::is_reference_v<AwaiterOf<A>>) {
    return AwaiterRef<std::remove_reference_t<AwaiterOf<A>>>{awaitable};
  } else if constexpr (LoopAwaitable<A>) {
    return get_awaiter(std::forward<A>(awaitable));
  } else {
    check_foreign<A>();
    if constexpr (ForeignAwaitable<A>) return ForeignAwaiter<A>(std::forward<A>(awaitable));
  }
}

}  // namespace weft::loop::detail
