// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/shim/second_names.h"

#include <gtest/gtest.h>

#include <chrono>
#include <exception>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "tests/shim/shim_test_support.h"
#include "weft/fibers/as_safe_channel.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/timeouts.h"
#include "weft/loop/coro.h"
#include "weft/shim/open_loop.h"

namespace weft::shim {
namespace {

using namespace std::chrono_literals;
using fibers::CancelScope;
using fibers::sleep;
using loop::Coro;

static_assert(std::is_same_v<TrioEventLoop, std::remove_reference_t<decltype(require_loop())>>);
static_assert(std::is_same_v<BaseTrioEventLoop, TrioEventLoop>);

Coro<std::string> word_after(std::string word, loop::Future<void> ready) {
  EXPECT_EQ(current_async_library(), "asyncio");
  co_await ready;
  co_return word;
}

FIBER_TEST(SecondNamesTest, AsyncioAsTrioTakesWhatAioAsTrioTakes) {
  open_loop([](TrioEventLoop& loop) {
    auto ready = loop.create_future<void>();
    loop.call_later(1s, [ready]() mutable { ready.set_result(); });
    EXPECT_EQ(asyncio_as_trio(word_after("coroutine", ready)), "coroutine");
    EXPECT_EQ(asyncio_as_trio(word_after)("function", ready), "function");
    EXPECT_EQ(asyncio_as_trio([](int i) { return i + 1; })(1), 2);
    auto answer = loop.create_future<int>();
    answer.set_result(7);
    EXPECT_EQ(asyncio_as_trio(answer), 7);
  });
}

FIBER_TEST(SecondNamesTest, TrioAsAsyncioTakesWhatTrioAsAioTakes) {
  open_loop([](EventLoop& loop) {
    const auto slow_sum = trio_as_asyncio([](int a, int b) {
      EXPECT_EQ(current_async_library(), "trio");
      sleep(1s);
      return a + b;
    });
    EXPECT_EQ(await(slow_sum(1, 2)), 3);
    auto numbers = trio_as_asyncio<int>([](fibers::SafeSendChannel<int>& out) {
      for (int i = 1; i <= 3; ++i) out.send(i);
    });
    std::vector<int> seen;
    for (const int number : run_aio_generator(loop, std::move(numbers))) seen.push_back(number);
    EXPECT_EQ(seen, (std::vector<int>{1, 2, 3}));
  });
}

FIBER_TEST(SecondNamesTest, AllowAsyncioIsACall) {
  open_loop([](EventLoop& loop) {
    const int value = allow_asyncio(
        [&](int to_add) {
          auto future = loop.create_future<int>();
          loop.call_later(1s, [future]() mutable { future.set_result(1); });
          sleep(2s);
          return await(future) + to_add;
        },
        2);
    EXPECT_EQ(value, 3);
  });
}

// --- run_aio_coroutine, which is no second name, beside what calls it. ---

FIBER_TEST(RunAioCoroutineTest, GivesTheValueOrTheError) {
  open_loop([](EventLoop& loop) {
    auto ready = loop.create_future<void>();
    loop.call_later(1s, [ready]() mutable { ready.set_result(); });
    EXPECT_EQ(run_aio_coroutine(word_after("done", ready)), "done");
    auto broken = loop.create_future<void>();
    const auto error = std::make_exception_ptr(std::runtime_error("x"));
    loop.call_later(1s, [broken, error]() mutable { broken.set_exception(error); });
    EXPECT_EQ(error_of([&] { run_aio_coroutine(word_after("", broken)); }), error);
  });
}

FIBER_TEST(RunAioCoroutineTest, CancellingTheTaskCancelsTheCoroutine) {
  open_loop([](EventLoop& loop) {
    auto never = loop.create_future<void>();
    CancelScope scope({.relative_deadline = fibers::Duration(1s)});
    scope.run([&] { run_aio_coroutine(word_after("", never)); });
    EXPECT_TRUE(scope.cancelled_caught());
    EXPECT_TRUE(never.cancelled());
  });
}

FIBER_TEST(RunAioCoroutineTest, OutsideALoopTheCoroutineIsClosed) {
  const CapturedLog log;
  EXPECT_THROW(run_aio_coroutine(word_after("", {})), fibers::UsageError);
  EXPECT_TRUE(log.lines.empty()) << log.lines[0];
}

}  // namespace
}  // namespace weft::shim
