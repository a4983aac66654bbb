// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Works about the border between C++20 coroutines and tasks.

#include <coroutine>
#include <cstdint>
#include <exception>
#include <utility>

#include "tools/bench/weft/works.h"
#include "weft/cpp20/cpp20.h"
#include "weft/shim/shim.h"

namespace bench {
namespace {

// Somebody else's coroutine: begins when it is awaited, and resumes who awaits it.
class Lazy {
 public:
  struct promise_type {  // NOLINT(readability-identifier-naming): the language's name.
    struct Final {
      bool await_ready() const noexcept { return false; }
      std::coroutine_handle<> await_suspend(
          std::coroutine_handle<promise_type> self) const noexcept {
        return self.promise().awaiter;
      }
      void await_resume() const noexcept {}
    };
    Lazy get_return_object() { return Lazy(Handle::from_promise(*this)); }
    std::suspend_always initial_suspend() const noexcept { return {}; }
    Final final_suspend() const noexcept { return {}; }
    void return_value(int answer) noexcept { result = answer; }
    [[noreturn]] void unhandled_exception() const noexcept { std::terminate(); }

    std::coroutine_handle<> awaiter;
    int result = 0;
  };

  Lazy(Lazy&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Lazy& operator=(Lazy&&) = delete;
  ~Lazy() {
    if (handle_ != nullptr) handle_.destroy();
  }
  bool await_ready() const noexcept { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiter) const noexcept {
    handle_.promise().awaiter = awaiter;
    return handle_;
  }
  int await_resume() const noexcept { return handle_.promise().result; }

 private:
  using Handle = std::coroutine_handle<promise_type>;
  explicit Lazy(Handle handle) : handle_(handle) {}

  Handle handle_;
};

Lazy next(int question) {
  co_return question + 1;
}

Lazy ask_tasks(std::uint64_t count) {
  int answer = 0;
  for (; count > 0; --count) {
    answer = co_await weft::trio_as_awaitable([answer] { return answer + 1; });
    keep(answer);
  }
  co_return answer;
}

weft::loop::Coro<void> ask_tasks_in_loop(std::uint64_t count) {
  for (; count > 0; --count) {
    keep(co_await weft::trio_as_awaitable([count] { return count + 1; }));
  }
}

}  // namespace

void awaitable_as_trio(Meter& meter) {
  weft::run([&] {
    meter.run([](std::uint64_t count) {
      for (; count > 0; --count) keep(weft::awaitable_as_trio(next(1)));
    });
  });
}

void trio_as_awaitable(Meter& meter) {
  weft::run([&] {
    meter.run([](std::uint64_t count) { keep(weft::awaitable_as_trio(ask_tasks(count))); });
  });
}

void trio_as_awaitable_coro(Meter& meter) {
  weft::run([&](weft::EventLoop& loop) {
    meter.run([&loop](std::uint64_t count) {
      weft::loop::Task<void> task = loop.create_task(ask_tasks_in_loop(count));
      weft::await(task);
    });
  });
}

}  // namespace bench
