// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Coroutines: asyncio's `async def`.
//
//   Coro<int> ask(EventLoop& loop, std::string question) {
//     co_await sleep(100ms);
//     co_return co_await send(loop, question);       // another Coro, a Future, a Task
//   }
//   Task<int> task = loop.create_task(ask(loop, "6 x 7"));
//
// A coroutine does not begin before it is awaited or made a task. Awaiting one runs it in place:
// nobody else gets a turn before it waits for something. One that is never awaited is reported to
// the log when it goes. (asyncio: coroutines.)
//
// co_await also takes awaitables of other libraries, which know nothing of the loop. The coroutine
// goes on in a step of its task, on the loop's thread, whichever thread resumes it. Cancelling
// the task calls request_stop() of the awaitable or its awaiter, if there is one, and stops the
// std::stop_token that it may ask the coroutine's promise for (get_stop_token()); then the task
// waits for its end. If that says that it was cancelled (CancelledError, std::errc::
// operation_canceled, or unhandled_stopped() of the promise) the coroutine gets CancelledError.
// What it gives otherwise is not lost: the coroutine gets that, and CancelledError at its next
// wait. One that nothing can resume, or that takes only coroutines of its own library, is a
// compile error.

#pragma once

#include "weft/fibers/detail/requirements.h"  // Before <coroutine> complains.

#include <concepts>
#include <coroutine>
#include <exception>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>

#include "weft/fibers/clock.h"
#include "weft/loop/detail/coro_promise.h"
#include "weft/loop/detail/foreign_awaiter.h"
#include "weft/loop/future.h"

namespace weft::loop {

// A value to be awaited once, by `co_await std::move(coro)`, await() or create_task. What the
// coroutine refers to outlives it: parameters are copied into it if they are taken by value, and
// the captures of a lambda are not.
template <class T = void>
class [[nodiscard]] Coro {
  static_assert(!std::is_reference_v<T>, "a coroutine returns a value; return a pointer instead");

 public:
  class promise_type  // NOLINT(readability-identifier-naming): the language's name.
      : public detail::Promise<T> {
   public:
    explicit promise_type(std::source_location where = std::source_location::current()) noexcept
        : detail::Promise<T>(where) {}
    Coro get_return_object() noexcept {
      detail::PromiseBase::check_promise<promise_type>();
      return Coro(Handle::from_promise(*this));
    }
  };

  Coro() = default;
  Coro(Coro&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Coro& operator=(Coro other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Coro() {
    if (handle_ == nullptr) return;
    if (!handle_.promise().started()) detail::report_never_awaited(handle_.promise().where());
    handle_.destroy();
  }
  explicit operator bool() const { return handle_ != nullptr; }
  // Drops it. Nothing is reported if it has not begun. (asyncio: coroutine.close.)
  void close() noexcept {
    if (handle_ != nullptr) std::exchange(handle_, nullptr).destroy();
  }
  auto operator co_await() &&;

 private:
  using Handle = std::coroutine_handle<promise_type>;
  friend class detail::CoroAccess;
  explicit Coro(Handle handle) noexcept : handle_(handle) {}

  Handle handle_;
};

namespace detail {

// The bare yield of whatever fiber calls.
void yield_to_loop();

// What asks coroutines to run.
class CoroAccess {
 public:
  template <class T>
  static auto& promise(const Coro<T>& coro) {
    if (coro.handle_ == nullptr || coro.handle_.promise().started()) throw_cannot_reuse();
    return coro.handle_.promise();
  }
  template <class T>
  static const PromiseBase* any_promise(const Coro<T>& coro) noexcept {
    return &coro.handle_.promise();
  }
  template <class T>
  static void begin(const Coro<T>& coro, CoroDriver& driver) {
    promise(coro).start(driver);
    driver.begin(coro.handle_);
  }
  template <class T>
  static std::coroutine_handle<> begin_inside(const Coro<T>& coro, CoroDriver& driver,
                                              std::coroutine_handle<> awaiter) {
    promise(coro).start(driver, awaiter);
    return driver.transfer(coro.handle_);
  }
  // What it has thrown, or null; it has ended.
  template <class T>
  static std::exception_ptr take_error(const Coro<T>& coro) noexcept {
    return coro.handle_.promise().take_error();
  }
  // Once it has ended. Its frame goes.
  template <class T>
  static T take(Coro<T> coro) {
    return coro.handle_.promise().take();
  }
  template <class T>
  static T take_result(const Coro<T>& coro) {
    return coro.handle_.promise().take();
  }

 private:
  [[noreturn]] static void throw_cannot_reuse();
};

template <class T>
class CoroAwaiter {
 public:
  explicit CoroAwaiter(Coro<T> coro) noexcept : coro_(std::move(coro)) {}
  bool await_ready() const noexcept { return false; }
  template <IsPromise P>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<P> awaiter) {
    return CoroAccess::begin_inside(coro_, awaiter.promise().driver(), awaiter);
  }
  T await_resume() { return CoroAccess::take_result(coro_); }

 private:
  Coro<T> coro_;
};

template <class T>
class FutureAwaiter {
 public:
  explicit FutureAwaiter(Future<T> future) noexcept : future_(std::move(future)) {}
  bool await_ready() const { return FutureAccess::core(future_).done(); }
  template <IsPromise P>
  void await_suspend(std::coroutine_handle<P> awaiter) {
    driver_ = &awaiter.promise().driver();
    driver_->wait_for(FutureAccess::core(future_), awaiter);
  }
  T await_resume() {
    if (driver_ != nullptr) driver_->throw_error();
    return take_outcome(std::move(future_));
  }

 private:
  Future<T> future_;
  CoroDriver* driver_ = nullptr;  // If it has waited.
};

struct YieldAwaiter {
  bool await_ready() const noexcept { return false; }
  template <IsPromise P>
  void await_suspend(std::coroutine_handle<P> awaiter) {
    driver = &awaiter.promise().driver();
    driver->yield(awaiter);
  }
  void await_resume() const { driver->throw_error(); }
  CoroDriver* driver = nullptr;
};

// Runs a coroutine in the calling fiber, which waits where it waits.
void drive_in_fiber(CoroDriver& driver);

}  // namespace detail

template <class T>
auto Future<T>::operator co_await() const {
  return detail::FutureAwaiter<T>(*this);
}
template <class T>
auto Coro<T>::operator co_await() && {
  return detail::CoroAwaiter<T>(std::move(*this));
}

// Runs a coroutine in the calling fiber: a task of fibers, a blocking callback, a task with a
// stack. What it throws comes out.
//
// Blocks: where the coroutine waits.
// Cancel: as await() of the future that the coroutine waits for; the coroutine hears of it first.
// Threads: the loop's own only.
template <class T>
T await(Coro<T> coro) {
  detail::CoroDriver driver;
  detail::CoroAccess::begin(coro, driver);
  detail::drive_in_fiber(driver);
  return detail::CoroAccess::take(std::move(coro));
}

// Waits for so long. 0: goes on in the next iteration of the loop. Throws UsageError outside the
// callbacks and tasks of a loop. (asyncio.sleep.)
//
// Blocks: whoever awaits it, always.
// Cancel: at once.
// Threads: the loop's own only.
Coro<void> sleep(fibers::Duration delay);

}  // namespace weft::loop
