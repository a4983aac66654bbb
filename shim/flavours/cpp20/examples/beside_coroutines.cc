// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// C++20 coroutines of somebody else's, and weft's tasks: each waits for the other.
//
// Prints:
//   the coroutine asks
//   a task answers 42
//   the coroutine returns 43
//   stopped by a deadline

#include <chrono>
#include <coroutine>
#include <cstdio>
#include <exception>
#include <stop_token>
#include <thread>
#include <utility>

#include "weft/cpp20/cpp20.h"
#include "weft/fibers/run.h"
#include "weft/fibers/timeouts.h"
#include "weft/fibers/to_thread.h"

// A coroutine type as many libraries have one: it begins when it is awaited.
class Lazy {
 public:
  struct promise_type {  // NOLINT(readability-identifier-naming): the language's name.
    int value = 0;
    std::exception_ptr error;
    std::coroutine_handle<> continuation;

    Lazy get_return_object() {
      return Lazy(std::coroutine_handle<promise_type>::from_promise(*this));
    }
    std::suspend_always initial_suspend() noexcept { return {}; }
    struct GoOn {
      bool await_ready() noexcept { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> h) noexcept {
        return h.promise().continuation;
      }
      void await_resume() noexcept {}
    };
    GoOn final_suspend() noexcept { return {}; }
    void return_value(int v) { value = v; }
    void unhandled_exception() { error = std::current_exception(); }
  };

  explicit Lazy(std::coroutine_handle<promise_type> handle) : handle_(handle) {}
  Lazy(Lazy&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  ~Lazy() {
    if (handle_) handle_.destroy();
  }
  bool await_ready() const noexcept { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> waits) const noexcept {
    handle_.promise().continuation = waits;
    return handle_;
  }
  int await_resume() const {
    if (handle_.promise().error) std::rethrow_exception(handle_.promise().error);
    return handle_.promise().value;
  }

 private:
  std::coroutine_handle<promise_type> handle_;
};

// Waits as tasks do; nothing in it says so.
int answer() {
  weft::fibers::sleep(std::chrono::milliseconds(5));
  std::puts("a task answers 42");
  return 42;
}

Lazy ask() {
  std::puts("the coroutine asks");
  const int value = co_await weft::trio_as_awaitable(&answer);
  co_return value + 1;
}

int main() {
  weft::fibers::run([] {
    std::printf("the coroutine returns %d\n", weft::awaitable_as_trio(ask()));

    // Code that knows the standard library only, in a thread, and a deadline.
    weft::fibers::move_on_after(std::chrono::milliseconds(5), [] {
      weft::with_stop_token([](const std::stop_token& token) {
        weft::fibers::to_thread::run_sync([token] {
          while (!token.stop_requested()) std::this_thread::yield();
          std::puts("stopped by a deadline");
        });
      });
    });
  });
}
