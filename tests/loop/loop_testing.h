// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What the tests of the loop share.

#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/captured_log.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/timeouts.h"
#include "weft/loop/coro.h"
#include "weft/loop/event_loop.h"

namespace weft::loop::testing {

using namespace std::chrono_literals;  // NOLINT: for the tests only.

// An error that nobody expected fails the test, instead of being logged.
inline void be_strict(EventLoop& loop) {
  loop.set_exception_handler([](EventLoop&, const ExceptionContext& context) {
    ADD_FAILURE() << context.message << ": "
                  << (context.exception ? fibers::describe_exception(context.exception) : "");
  });
}

// Runs `body(loop)` or `body(loop, nursery)` beside a running loop, then stops that. If the body is
// cut short, nothing of what it has scheduled runs any more, for its frame is gone; but callbacks
// that wait are cancelled after that, so what those refer to is declared outside.
template <class Body>
void with_loop(Body&& body) {
  fibers::open_nursery([&](fibers::Nursery& nursery) {
    EventLoop loop(nursery);
    be_strict(loop);
    loop.start();
    if constexpr (std::is_invocable_v<Body&, EventLoop&, fibers::Nursery&>) {
      body(loop, nursery);
    } else {
      body(loop);
    }
    loop.stop();
    loop.wait_stopped();
  });
}

// Runs `body(loop)` beside a loop that nobody runs yet.
template <class Body>
void with_idle_loop(Body&& body) {
  fibers::open_nursery([&](fibers::Nursery& nursery) {
    EventLoop loop(nursery);
    be_strict(loop);
    body(loop);
  });
}

// Gives `value` after a while.
inline Coro<int> after(fibers::Duration delay, int value) {
  co_await sleep(delay);
  co_return value;
}

inline Coro<int> fails_after(fibers::Duration delay, std::string why = "failed") {
  co_await sleep(delay);
  throw std::runtime_error(why);
}

inline Coro<int> answer() {
  co_await sleep(0s);
  co_return 42;
}

// Runs the loop on the calling task for one iteration.
inline void run_once(EventLoop& loop) {
  loop.stop();
  loop.main_loop();
}

using test::CapturedLog;

// A pipe whose ends are closed at the end.
class Pipe {
 public:
  Pipe() { EXPECT_EQ(::pipe(ends_.data()), 0); }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  ~Pipe() {
    close_reader();
    close_writer();
  }
  int reader() const { return ends_[0]; }
  int writer() const { return ends_[1]; }
  void put(char c = 'x') const { EXPECT_EQ(::write(writer(), &c, 1), 1); }
  char take() const {
    char c = 0;
    EXPECT_EQ(::read(reader(), &c, 1), 1);
    return c;
  }
  void close_reader() { close(ends_[0]); }
  void close_writer() { close(ends_[1]); }

 private:
  static void close(int& fd) {
    if (fd >= 0) ::close(std::exchange(fd, -1));
  }
  std::array<int, 2> ends_{-1, -1};
};

// Fails the test unless `fn` throws an E; returns its text.
template <class E, class F>
std::string thrown(F&& fn) {
  try {
    std::forward<F>(fn)();
  } catch (const E& error) {
    if constexpr (requires { std::string(error.what()); }) return std::string(error.what());
    return {};
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

}  // namespace weft::loop::testing
