// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A coroutine type of a test's own.

#pragma once

#include <coroutine>
#include <stop_token>
#include <utility>

namespace weft::test {

// A coroutine that runs at once, and that nobody of weft's knows. Whoever has it may destroy it.
class Started {
 public:
  struct promise_type {  // NOLINT(readability-identifier-naming): the language's name.
    std::stop_token token;
    bool ended = false;
    Started get_return_object() {
      return Started(std::coroutine_handle<promise_type>::from_promise(*this));
    }
    std::suspend_never initial_suspend() const noexcept { return {}; }
    std::suspend_always final_suspend() noexcept {
      ended = true;
      return {};
    }
    void unhandled_exception() const { throw; }
    void return_void() const noexcept {}
    std::stop_token get_stop_token() const { return token; }
    promise_type() = default;
    template <class... Rest>
    explicit promise_type(std::stop_token t, Rest&...) : token(std::move(t)) {}
  };
  explicit Started(std::coroutine_handle<promise_type> handle) : handle_(handle) {}
  Started(Started&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Started& operator=(Started&&) = delete;
  ~Started() {
    if (handle_) handle_.destroy();
  }
  bool ended() const { return handle_.promise().ended; }

 private:
  std::coroutine_handle<promise_type> handle_;
};

}  // namespace weft::test
