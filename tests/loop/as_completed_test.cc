// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/as_completed.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <utility>
#include <vector>

#include "tests/loop/loop_testing.h"
#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/errors.h"
#include "weft/loop/event_loop.h"
#include "weft/loop/wait_for.h"

namespace weft::loop {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using namespace testing;  // NOLINT: the helpers of the folder.

Coro<std::vector<int>> collect(AsCompleted<Task<int>>& row) {
  std::vector<int> values;
  for (;;) {
    const Task<int> task = co_await row.next();
    if (!task) break;
    values.push_back(task.result());
  }
  co_return values;
}

// asyncio: test_tasks.py::BaseTaskTests::test_as_completed
// asyncio: claims_combinators::as_completed_order
FIBER_TEST(AsCompletedTest, ComesInTheOrderOfTheEnds) {
  with_loop([](EventLoop& loop) {
    const std::vector<Task<int>> tasks{loop.create_task(after(3s, 3)),
                                       loop.create_task(after(1s, 1)),
                                       loop.create_task(after(2s, 2))};
    auto in_coroutine = loop.create_task([&]() -> Coro<std::vector<int>> {
      auto row = as_completed(tasks);
      co_return co_await collect(row);
    });
    auto on_stack = loop.create_task([&] {
      std::vector<int> values;
      for (const Task<int>& task : as_completed(tasks)) values.push_back(task.result());
      return values;
    });
    EXPECT_THAT(await(in_coroutine), ElementsAre(1, 2, 3));
    EXPECT_THAT(await(on_stack), ElementsAre(1, 2, 3));
  });
}

// asyncio: test_tasks.py::BaseTaskTests::test_as_completed_same_tasks_in_as_out
FIBER_TEST(AsCompletedTest, GivesTheFuturesThatWereGiven) {
  with_loop([](EventLoop& loop) {
    auto one = loop.create_task(after(2s, 1));
    auto two = loop.create_task(after(1s, 2));
    auto row = as_completed(std::vector{one, two});
    EXPECT_TRUE(await(row.next()) == two);
    EXPECT_TRUE(await(row.next()) == one);
    EXPECT_FALSE(await(row.next()));
    EXPECT_FALSE(await(row.next()));
  });
}

// asyncio: test_tasks.py::BaseTaskTests::test_as_completed_duplicate_coroutines
// asyncio: claims_combinators::as_completed_duplicates
FIBER_TEST(AsCompletedTest, GivesTheSameFutureOnce) {
  with_loop([](EventLoop& loop) {
    auto one = loop.create_task(after(2s, 1));
    auto two = loop.create_task(after(1s, 2));
    std::vector<int> values;
    for (const Task<int>& task : as_completed(std::vector{one, two, one, two, one})) {
      values.push_back(task.result());
    }
    EXPECT_THAT(values, ElementsAre(2, 1));
  });
}

// What is awaited first has what ends first, whichever was asked for first.
// asyncio: test_tasks.py::BaseTaskTests::test_as_completed_reverse_wait
FIBER_TEST(AsCompletedTest, ServesThoseWhoWaitInTheOrderOfTheirWaits) {
  with_loop([](EventLoop& loop) {
    auto task = loop.create_task([&loop]() -> Coro<void> {
      const fibers::Instant begun = loop.time();
      const std::vector<Task<int>> tasks{loop.create_task(after(1s, 1)),
                                         loop.create_task(after(2s, 2))};
      auto row = as_completed(tasks);
      Coro<Task<int>> one = row.next();
      Coro<Task<int>> two = row.next();
      const Task<int> first = co_await std::move(two);
      EXPECT_EQ(first.result(), 1);
      EXPECT_EQ(loop.time() - begun, 1s);
      const Task<int> second = co_await std::move(one);
      EXPECT_EQ(second.result(), 2);
      EXPECT_EQ(loop.time() - begun, 2s);
    });
    await(task);
  });
}

// asyncio: test_tasks.py::BaseTaskTests::test_as_completed_resume_iterator
FIBER_TEST(AsCompletedTest, ARowThatWasLeftGoesOnWhereItWas) {
  with_loop([](EventLoop& loop) {
    std::vector<Task<int>> tasks;
    for (const int i : {1, 2, 3, 4}) tasks.push_back(loop.create_task(after(i * 1s, i)));
    auto on_stack = as_completed(tasks);
    std::vector<int> values;
    for (const Task<int>& task : on_stack) {
      values.push_back(task.result());
      if (values.size() == 2) break;
    }
    EXPECT_THAT(values, ElementsAre(1, 2));
    for (const Task<int>& task : on_stack) values.push_back(task.result());
    EXPECT_THAT(values, ElementsAre(1, 2, 3, 4));

    auto in_coroutine = as_completed(tasks);
    auto task = loop.create_task([&]() -> Coro<std::vector<int>> {
      const Task<int> first = co_await in_coroutine.next();
      EXPECT_EQ(first.result(), 1);
      co_return co_await collect(in_coroutine);
    });
    EXPECT_THAT(await(task), ElementsAre(2, 3, 4));
  });
}

// asyncio: test_tasks.py::BaseTaskTests::test_as_completed_with_timeout
// asyncio: claims_combinators::as_completed_timeout
FIBER_TEST(AsCompletedTest, ThrowsTimeoutErrorForEachThatIsLeft) {
  with_loop([](EventLoop& loop) {
    auto quick = loop.create_task(after(1s, 1));
    auto slow = loop.create_task(after(9s, 9));
    auto slower = loop.create_task(after(10s, 10));
    const auto start = loop.time();
    auto row = as_completed(std::vector{slow, quick, slower}, 5s);
    EXPECT_EQ(await(row.next()).result(), 1);
    EXPECT_THROW(await(row.next()), TimeoutError);
    EXPECT_EQ(loop.time() - start, 5s);
    EXPECT_THROW(await(row.next()), TimeoutError);
    EXPECT_FALSE(await(row.next()));
    // They go on.
    EXPECT_EQ(await(slow), 9);
    EXPECT_EQ(await(slower), 10);
  });
}

// asyncio: test_tasks.py::BaseTaskTests::test_as_completed_with_unused_timeout
FIBER_TEST(AsCompletedTest, ATimeoutThatIsNotReachedIsTakenOff) {
  with_loop([](EventLoop& loop) {
    auto row = as_completed(std::vector{loop.create_task(after(1s, 1))}, 1h);
    EXPECT_EQ(await(row.next()).result(), 1);
    EXPECT_EQ(loop.statistics().timers, 0U);
  });
}

// asyncio: test_tasks.py::BaseTaskTests::test_as_completed_concurrent
// asyncio: test_tasks.py::BaseTaskTests::test_as_completed_coroutine_use_running_loop
FIBER_TEST(AsCompletedTest, TakesCoroutinesAndRunsThemAtOnce) {
  with_loop([](EventLoop& loop) {
    const auto start = loop.time();
    auto both = loop.create_task([&]() -> Coro<std::vector<int>> {
      std::vector<Coro<int>> coroutines;
      coroutines.push_back(after(1s, 1));
      coroutines.push_back(after(1s, 2));
      auto row = as_completed(std::move(coroutines));
      co_return co_await collect(row);
    });
    EXPECT_THAT(await(both), ElementsAre(1, 2));
    EXPECT_EQ(loop.time() - start, 1s);
  });
}

FIBER_TEST(AsCompletedTest, RefusesFuturesOfDifferentLoops) {
  with_loop([](EventLoop& loop) {
    with_idle_loop([&](EventLoop& other) {
      const std::vector futures{loop.create_future<int>(), other.create_future<int>()};
      EXPECT_THAT(thrown<fibers::UsageError>([&] { as_completed(futures); }),
                  HasSubstr("different loops"));
    });
  });
}

FIBER_TEST(AsCompletedTest, NothingEndsAtOnce) {
  with_loop(
      [](EventLoop&) { EXPECT_FALSE(await(as_completed(std::vector<Future<int>>()).next())); });
}

FIBER_TEST(AsCompletedTest, ThrowsNothingOfWhatTheFuturesThrow) {
  with_loop([](EventLoop& loop) {
    auto fails = loop.create_task(fails_after(1s));
    auto cancelled = loop.create_future<int>();
    auto row = as_completed(std::vector<Future<int>>{fails, cancelled});
    const Future<int> first = await(row.next());
    EXPECT_THROW(first.result(), std::runtime_error);
    cancelled.cancel();
    EXPECT_TRUE(await(row.next()).cancelled());
  });
}

FIBER_TEST(AsCompletedTest, ACancelledNextLosesNoFuture) {
  with_loop([](EventLoop& loop) {
    auto one = loop.create_future<int>();
    auto row = as_completed(std::vector{one});
    auto impatient = loop.create_task([&]() -> Coro<void> { co_await row.next(); });
    fibers::sleep(1s);
    impatient.cancel();
    EXPECT_THROW(await(impatient), CancelledError);
    fibers::move_on_after(1s, [&] { await(row.next()); });
    one.set_result(1);
    EXPECT_EQ(await(row.next()).result(), 1);
    EXPECT_FALSE(await(row.next()));
  });
}

FIBER_TEST(AsCompletedTest, OneThatIsCancelledAsItIsWokenPassesItsTurnOn) {
  with_loop([](EventLoop& loop) {
    auto one = loop.create_future<int>();
    auto two = loop.create_future<int>();
    auto row = as_completed(std::vector{one, two});
    auto first = loop.create_task([&]() -> Coro<int> { co_return (co_await row.next()).result(); });
    auto second =
        loop.create_task([&]() -> Coro<int> { co_return (co_await row.next()).result(); });
    fibers::sleep(1s);
    loop.call_soon([&] {
      one.set_result(1);
      // After the row has heard of that.
      loop.call_soon([&] { first.cancel(); });
    });
    EXPECT_EQ(await(second), 1);
    EXPECT_THROW(await(first), CancelledError);
    two.set_result(2);
    EXPECT_EQ(await(row.next()).result(), 2);
  });
}

FIBER_TEST(AsCompletedTest, SeveralWaitAtOnceAndNobodyForMoreThanThereIs) {
  with_loop([](EventLoop& loop) {
    auto one = loop.create_future<int>();
    auto row = as_completed(std::vector{one});
    auto waits = loop.create_task([&]() -> Coro<int> { co_return (co_await row.next()).result(); });
    fibers::sleep(1s);
    EXPECT_FALSE(await(row.next()));
    one.set_result(1);
    EXPECT_EQ(await(waits), 1);
  });
}

FIBER_TEST(AsCompletedTest, OneThatGoesEarlyTakesItsCallbacksOff) {
  with_loop([](EventLoop& loop) {
    auto one = loop.create_future<int>();
    { const auto row = as_completed(std::vector{one}, 1h); }
    EXPECT_EQ(FutureAccess::core(one).first_callback(), nullptr);
    EXPECT_EQ(loop.statistics().timers, 0U);
  });
}

}  // namespace
}  // namespace weft::loop
