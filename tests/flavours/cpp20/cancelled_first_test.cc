// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Cancelled first: C++20.

#include "tests/support/cancelled_first.h"

#include <gtest/gtest.h>

#include <coroutine>
#include <future>
#include <stdexcept>
#include <stop_token>

#include "weft/cpp20/cpp20.h"
#include "weft/fibers/testing/fiber_test.h"

namespace weft::cpp20 {
namespace {

using test::cancelled_first;

struct Fails {
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<>) const { throw std::runtime_error("no"); }
  void await_resume() const noexcept {}
};

FIBER_TEST(CancelledFirstTest, AnAwaitableThatFails) {
  cancelled_first("cpp20/awaitable_as_trio.h awaitable_as_trio",
                  [] { awaitable_as_trio(Fails{}); });
  cancelled_first("cpp20/awaitable_as_trio.h awaitable_as_trio",
                  [] { awaitable_as_trio([](std::stop_token) { return Fails{}; }); });
  cancelled_first("cpp20/awaitable_as_trio.h awaitable_as_trio",
                  [] { awaitable_as_trio(Fails{}, AsTrioOptions{}); });
}

FIBER_TEST(CancelledFirstTest, AFutureWithoutAState) {
  std::future<int> empty;
  cancelled_first("cpp20/std_future.h std_future_as_trio", [&] { std_future_as_trio(empty); });
  cancelled_first("cpp20/std_future.h std_future_as_trio",
                  [] { std_future_as_trio(std::future<int>()); });
  cancelled_first("cpp20/std_future.h std_future_as_trio",
                  [] { std_future_as_trio(std::shared_future<int>()); });
}

FIBER_TEST(CancelledFirstTest, ABodyThatFails) {
  cancelled_first("cpp20/stop_token.h with_stop_token",
                  [] { with_stop_token([](std::stop_token) { throw std::runtime_error("no"); }); });
}

}  // namespace
}  // namespace weft::cpp20
