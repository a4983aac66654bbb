// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/wait.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/loop/loop_testing.h"
#include "weft/fibers/errors.h"
#include "weft/loop/event_loop.h"

namespace weft::loop {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using namespace testing;  // NOLINT: the helpers of the folder.

// Not by a matcher: gmock loses its copies of futures when an allocation fails.
template <class F>
bool are(const std::vector<F>& some, std::initializer_list<FutureBase> wanted) {
  return std::equal(some.begin(), some.end(), wanted.begin(), wanted.end());
}

// asyncio: test_tasks.py::BaseTaskTests::test_wait
FIBER_TEST(WaitTest, ReturnsWhenAllAreDone) {
  with_loop([](EventLoop& loop) {
    auto one = loop.create_task(after(2s, 1));
    auto two = loop.create_task(after(1s, 2));
    const auto start = loop.time();
    auto in_coroutine = loop.create_task([&]() -> Coro<void> {
      const std::vector<Task<int>> both{one, two};
      auto [done, pending] = co_await wait(both);
      EXPECT_TRUE(are(done, {one, two}));
      EXPECT_THAT(pending, IsEmpty());
    });
    auto on_stack = loop.create_task([&] {
      const auto result = await(wait(std::vector{one, two}));
      EXPECT_EQ(result.done.size(), 2U);
    });
    await(in_coroutine);
    await(on_stack);
    EXPECT_EQ(loop.time() - start, 2s);
    // All are done.
    EXPECT_EQ(await(wait(std::vector{one, two})).done.size(), 2U);
  });
}

// asyncio: test_tasks.py::BaseTaskTests::test_wait_duplicate_coroutines
// asyncio: claims_combinators::wait_merges_duplicates
FIBER_TEST(WaitTest, KnowsTheSameFutureOnce) {
  with_loop([](EventLoop& loop) {
    auto one = loop.create_task(after(1s, 1));
    auto two = loop.create_task(after(1s, 2));
    const auto result = await(wait(std::vector{one, two, one, one, two}));
    EXPECT_TRUE(are(result.done, {one, two}));
    EXPECT_THAT(result.pending, IsEmpty());
  });
}

// asyncio: test_tasks.py::BaseTaskTests::test_wait_errors
FIBER_TEST(WaitTest, RefusesNothingAndFuturesOfDifferentLoops) {
  with_loop([](EventLoop& loop) {
    EXPECT_THAT(thrown<fibers::UsageError>([] { await(wait(std::vector<Future<int>>())); }),
                HasSubstr("Set of Tasks/Futures is empty"));
    with_idle_loop([&](EventLoop& other) {
      auto mine = loop.create_future<int>();
      auto strange = other.create_future<int>();
      EXPECT_THAT(thrown<fibers::UsageError>([&] {
                    await(wait(std::vector{mine, strange}));
                  }),
                  HasSubstr("different loops"));
    });
  });
}

// asyncio: test_tasks.py::BaseTaskTests::test_wait_first_completed
FIBER_TEST(WaitTest, FirstCompletedReturnsWithTheFirst) {
  with_loop([](EventLoop& loop) {
    auto slow = loop.create_task(after(10s, 1));
    auto fast = loop.create_task(after(1s, 2));
    const auto start = loop.time();
    const auto result =
        await(wait(std::vector{slow, fast}, {.return_when = ReturnWhen::kFirstCompleted}));
    EXPECT_EQ(loop.time() - start, 1s);
    EXPECT_TRUE(are(result.done, {fast}));
    EXPECT_TRUE(are(result.pending, {slow}));
    EXPECT_FALSE(slow.done());
    slow.cancel();
    loop.synchronize();
  });
}

// asyncio: test_tasks.py::BaseTaskTests::test_wait_really_done
FIBER_TEST(WaitTest, DoneAreAllThatAreDoneWhenItReturns) {
  with_loop([](EventLoop& loop) {
    auto one = loop.create_task(after(1s, 1));
    auto two = loop.create_task(after(1s, 2));
    const auto result =
        await(wait(std::vector{one, two}, {.return_when = ReturnWhen::kFirstCompleted}));
    EXPECT_TRUE(are(result.done, {one, two}));
  });
}

// asyncio: test_tasks.py::BaseTaskTests::test_wait_first_exception
// asyncio: claims_combinators::wait_first_exception_is_not_a_cancellation
FIBER_TEST(WaitTest, FirstExceptionReturnsWithTheFirstError) {
  WEFT_NOT_ALLOCATION_SWEPT("nobody else ends its future");
  with_loop([](EventLoop& loop) {
    auto good = loop.create_task(after(1s, 1));
    auto cancelled = loop.create_future<int>();
    loop.call_later(2s, [cancelled]() mutable { cancelled.cancel(); });
    auto bad = loop.create_task(fails_after(3s));
    auto slow = loop.create_task(after(10s, 1));
    const auto start = loop.time();
    const auto result = await(wait(std::vector<FutureBase>{good, cancelled, bad, slow},
                                   {.return_when = ReturnWhen::kFirstException}));
    EXPECT_EQ(loop.time() - start, 3s);  // A cancelled one is no error.
    EXPECT_TRUE(are(result.done, {good, cancelled, bad}));
    EXPECT_TRUE(are(result.pending, {slow}));
    EXPECT_THROW(bad.result(), std::runtime_error);
    // Without errors, it waits for all.
    await(wait(std::vector{good, slow}, {.return_when = ReturnWhen::kFirstException}));
    EXPECT_TRUE(slow.done());
  });
}

// asyncio: test_tasks.py::BaseTaskTests::test_wait_first_exception_in_wait
FIBER_TEST(WaitTest, FirstExceptionReturnsWithAnErrorThatIsThereAlready) {
  with_loop([](EventLoop& loop) {
    auto slow = loop.create_task(after(10s, 1));
    auto bad = loop.create_task([]() -> int { throw std::runtime_error("failed"); });
    const auto result =
        await(wait(std::vector{slow, bad}, {.return_when = ReturnWhen::kFirstException}));
    EXPECT_TRUE(are(result.done, {bad}));
    EXPECT_THROW(bad.result(), std::runtime_error);
    slow.cancel();
    loop.synchronize();
  });
}

// asyncio: test_tasks.py::BaseTaskTests::test_wait_with_exception
FIBER_TEST(WaitTest, ThrowsNothingOfTheFutures) {
  with_loop([](EventLoop& loop) {
    auto good = loop.create_task(after(1s, 1));
    auto bad = loop.create_task(fails_after(2s));
    const auto result = await(wait(std::vector{good, bad}));
    EXPECT_EQ(result.done.size(), 2U);
    EXPECT_THROW(bad.result(), std::runtime_error);
  });
}

FIBER_TEST(WaitTest, AnErrorThatItHasSeenIsStillReportedIfNobodyAsks) {
  std::vector<std::string> reports;
  with_loop([&](EventLoop& loop) {
    loop.set_exception_handler([&reports](EventLoop&, const ExceptionContext& context) {
      reports.push_back(context.message);
    });
    {
      const std::vector<Task<int>> tasks{loop.create_task(fails_after(1s))};
      await(wait(tasks, {.return_when = ReturnWhen::kFirstException}));
    }
    loop.synchronize();
    EXPECT_THAT(reports, ElementsAre("Task exception was never retrieved"));
  });
}

// asyncio: test_tasks.py::BaseTaskTests::test_wait_with_timeout
// asyncio: claims_combinators::wait_timeout_leaves_tasks_running
FIBER_TEST(WaitTest, ATimeoutEndsTheWaitAndNothingElse) {
  with_loop([](EventLoop& loop) {
    auto fast = loop.create_task(after(1s, 1));
    auto slow = loop.create_task(after(3s, 2));
    const auto start = loop.time();
    const auto result = await(wait(std::vector{fast, slow}, {.timeout = 2s}));
    EXPECT_EQ(loop.time() - start, 2s);
    EXPECT_TRUE(are(result.done, {fast}));
    EXPECT_TRUE(are(result.pending, {slow}));
    EXPECT_EQ(await(slow), 2);
  });
}

// asyncio: test_tasks.py::BaseTaskTests::test_wait_concurrent_complete
FIBER_TEST(WaitTest, AFutureThatEndsTogetherWithTheTimeoutIsDone) {
  with_loop([](EventLoop& loop) {
    auto one = loop.create_task(after(2s, 1));
    auto two = loop.create_task(after(5s, 2));
    const auto result = await(wait(std::vector{one, two}, {.timeout = 2s}));
    EXPECT_EQ(result.done.size() + result.pending.size(), 2U);
    EXPECT_EQ(result.pending.back(), two);
    EXPECT_EQ(await(two), 2);
  });
}

// asyncio: claims_combinators::wait_cleans_its_callbacks
// asyncio: test_tasks.py::BaseTaskTests::test_yield_wait_does_not_shield_cancel
FIBER_TEST(WaitTest, CancelledItLeavesTheFuturesAndItsCallbacksGo) {
  int calls = 0;
  with_loop([&](EventLoop& loop) {
    auto never = loop.create_future<int>();
    auto waits = loop.create_task([&]() -> Coro<void> {
      struct Counts {
        int& count;
        ~Counts() { ++count; }
      } const counts{calls};
      const std::vector<Future<int>> one{never};
      co_await wait(one, {.timeout = 5s});
    });
    loop.synchronize();
    EXPECT_TRUE(waits.cancel());
    EXPECT_THROW(await(waits), CancelledError);
    EXPECT_FALSE(never.done());
    EXPECT_EQ(detail::FutureCore::State::kPending, FutureAccess::core(never).state());
    EXPECT_EQ(FutureAccess::core(never).first_callback(), nullptr);
    never.set_result(1);
  });
  EXPECT_EQ(calls, 1);
}

FIBER_TEST(WaitTest, ATrioTaskMayWaitAndBeCancelled) {
  with_loop([](EventLoop& loop) {
    auto never = loop.create_future<int>();
    const auto waited = fibers::move_on_after(1s, [&] { await(wait(std::vector{never})); });
    EXPECT_FALSE(waited.finished());
    EXPECT_FALSE(never.done());
    EXPECT_EQ(FutureAccess::core(never).first_callback(), nullptr);
  });
}

}  // namespace
}  // namespace weft::loop
