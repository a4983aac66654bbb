// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Awaitables and a coroutine type of a library that knows nothing of weft, for tests.

#pragma once

#include <coroutine>
#include <exception>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <system_error>
#include <utility>

namespace weft::test {

// Made once, for places where there may be no memory.
inline const std::exception_ptr& operation_canceled() {
  static const std::exception_ptr error = std::make_exception_ptr(
      std::system_error(std::make_error_code(std::errc::operation_canceled)));
  return error;
}
inline const std::exception_ptr& failure() {
  static const std::exception_ptr error = std::make_exception_ptr(std::runtime_error("no"));
  return error;
}

// Somebody else's operation: whoever has it ends it, by resuming what waits, or what will. At its
// own end it ends as cancelled.
struct Operation {
  Operation() {
    operation_canceled();
    failure();
  }
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;
  ~Operation() {
    if (waits) fail(operation_canceled());
  }

  std::coroutine_handle<> waits;
  int value = 0;
  std::exception_ptr error;
  int stops = 0;
  bool stop_ends_it = false;

  void end(int result) {
    value = result;
    resume();
  }
  void fail(std::exception_ptr with) {
    error = std::move(with);
    resume();
  }
  void resume() {
    if (waits) return std::exchange(waits, nullptr).resume();
    ended = true;
  }
  bool ended = false;  // Before anybody waited.
};

// The awaitable of one that cannot be stopped.
struct Plain {
  explicit Plain(Operation& of) : op(of) {}
  Operation& op;
  bool await_ready() const noexcept { return std::exchange(op.ended, false); }
  void await_suspend(std::coroutine_handle<> waits) const noexcept { op.waits = waits; }
  int await_resume() const {
    if (op.error != nullptr) std::rethrow_exception(std::exchange(op.error, nullptr));
    return op.value;
  }
};

// Of one that has a request_stop().
struct Stoppable : Plain {
  using Plain::Plain;
  void request_stop() const {
    ++op.stops;
    if (op.stop_ends_it) op.fail(operation_canceled());
  }
};

// Of one that asks whoever waits for a stop_token.
struct AsksForToken : Plain {
  using Plain::Plain;
  template <class P>
  void await_suspend(std::coroutine_handle<P> handle) {
    std::stop_token token =
        handle.promise().get_stop_token();  // If that throws, nothing has begun.
    op.waits = handle;
    on_stop.emplace(std::move(token), Stop{op});
  }
  struct Stop {
    Operation& op;
    void operator()() const noexcept { op.fail(operation_canceled()); }
  };
  std::optional<std::stop_callback<Stop>> on_stop{};
};

// A lazy coroutine. Its awaiter is found by a free operator co_await, returns the coroutine to go
// on with, and gives a reference to the value.
template <class T>
class Lazy {
 public:
  struct promise_type;  // NOLINT(readability-identifier-naming): the language's name.
  using Handle = std::coroutine_handle<promise_type>;
  explicit Lazy(Handle handle) : handle_(handle) {}
  Lazy(Lazy&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Lazy& operator=(Lazy&&) = delete;
  ~Lazy() {
    if (handle_) handle_.destroy();
  }
  struct Awaiter {
    Handle handle;
    bool await_ready() const noexcept { return false; }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<> waits) const noexcept {
      handle.promise().continuation = waits;
      return handle;
    }
    T& await_resume() const {
      if (handle.promise().error) std::rethrow_exception(handle.promise().error);
      return *handle.promise().value;
    }
  };
  friend Awaiter operator co_await(const Lazy& lazy) { return {lazy.handle_}; }

 private:
  Handle handle_;
};

template <class T>
struct Lazy<T>::promise_type {  // NOLINT(readability-identifier-naming): as above.
  std::coroutine_handle<> continuation;
  std::optional<T> value;
  std::exception_ptr error;
  Lazy get_return_object() { return Lazy(Handle::from_promise(*this)); }
  std::suspend_always initial_suspend() const noexcept { return {}; }
  struct Final {
    bool await_ready() const noexcept { return false; }
    std::coroutine_handle<> await_suspend(Handle ended) const noexcept {
      return ended.promise().continuation;
    }
    void await_resume() const noexcept {}
  };
  Final final_suspend() const noexcept { return {}; }
  void unhandled_exception() { error = std::current_exception(); }
  template <class V>
  void return_value(V&& v) {
    value.emplace(std::forward<V>(v));
  }
};

}  // namespace weft::test
