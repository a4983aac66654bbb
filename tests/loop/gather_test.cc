// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/gather.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "tests/loop/loop_testing.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/exception_group.h"
#include "weft/loop/event_loop.h"

namespace weft::loop {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using namespace testing;  // NOLINT: the helpers of the folder.

// asyncio: test_tasks.py::FutureGatherTests::test_constructor_heterogenous_futures
// asyncio: claims_combinators::gather_keeps_the_order
// asyncio: test_tasks.py::CoroutineGatherTests::test_constructor_use_running_loop
FIBER_TEST(GatherTest, TakesEverythingThatCanBeAwaitedAndKeepsTheOrder) {
  WEFT_NOT_ALLOCATION_SWEPT("nobody else ends its future");
  with_loop([](EventLoop& loop) {
    auto future = loop.create_future<std::string>();
    loop.call_later(3s, [future]() mutable { future.set_result("future"); });
    auto task = loop.create_task(after(2s, 2));
    auto both = loop.create_task([&]() -> Coro<std::string> {
      auto [text, two, three, four, none] = co_await gather(
          future, task, after(1s, 3), [] { return 4; }, []() -> Coro<void> { co_return; });
      static_assert(std::is_same_v<decltype(none), std::monostate>);
      co_return text + std::to_string(two) + std::to_string(three) + std::to_string(four);
    });
    EXPECT_EQ(await(both), "future234");
  });
}

// asyncio: test_tasks.py::FutureGatherTests::test_constructor_homogenous_futures
// asyncio: test_tasks.py::GatherTestsBase::test_success
FIBER_TEST(GatherTest, OfARangeIsAVectorInItsOrder) {
  with_loop([](EventLoop& loop) {
    std::vector<Task<int>> tasks;
    for (int i = 3; i > 0; --i) tasks.push_back(loop.create_task(after(i * 1s, i)));
    EXPECT_THAT(await(gather(tasks)), ElementsAre(3, 2, 1));
    const auto start = loop.time();
    auto nothing = loop.create_task([] {
      std::vector<Coro<void>> coros;
      coros.push_back(sleep(1s));
      coros.push_back(sleep(2s));
      await(gather(std::move(coros)));
    });
    await(nothing);
    EXPECT_EQ(loop.time() - start, 2s);
  });
}

// asyncio: test_tasks.py::test_constructor_empty_sequence_use_running_loop
// asyncio: claims_combinators::gather_of_nothing_is_done
// asyncio: test_tasks.py::FutureGatherTests::test_constructor_empty_sequence_without_loop
FIBER_TEST(GatherTest, OfNothingIsDone) {
  with_loop([](EventLoop& loop) {
    auto task = loop.create_task([&loop] {
      auto none = gather(std::vector<Future<int>>());
      EXPECT_TRUE(none.done());
      EXPECT_EQ(&none.get_loop(), &loop);
      EXPECT_TRUE(none.result().empty());
      EXPECT_TRUE(gather().done());
    });
    await(task);
    EXPECT_THAT(thrown<fibers::UsageError>([] { gather(std::vector<Future<int>>()); }),
                HasSubstr("no running event loop"));
  });
}

// asyncio: test_tasks.py::CoroutineGatherTests::test_duplicate_coroutines
// asyncio: claims_combinators::gather_runs_duplicates_once
FIBER_TEST(GatherTest, WhatIsThereTwiceRunsOnce) {
  int runs = 0;
  with_loop([&](EventLoop& loop) {
    auto task = loop.create_task([&runs]() -> Coro<int> {
      co_await sleep(1s);
      co_return ++runs;
    });
    EXPECT_EQ(await(gather(task, task, task)), std::make_tuple(1, 1, 1));
  });
  EXPECT_EQ(runs, 1);
}

// asyncio: test_tasks.py::FutureGatherTests::test_one_exception
FIBER_TEST(GatherTest, TheFirstErrorComesOutAndTheOthersGoOn) {
  with_loop([](EventLoop& loop) {
    auto slow = loop.create_task(after(3s, 1));
    auto fails_too = loop.create_task(fails_after(2s));
    const auto start = loop.time();
    auto all = gather(slow, loop.create_task(fails_after(1s)), fails_too);
    EXPECT_EQ(thrown<std::runtime_error>([&] { await(all); }), "failed");
    EXPECT_EQ(loop.time() - start, 1s);
    EXPECT_FALSE(slow.done());
    EXPECT_EQ(await(slow), 1);
    EXPECT_TRUE(fails_too.done());  // And nobody is told of its error.
  });
}

// asyncio: test_tasks.py::FutureGatherTests::test_return_exceptions
// asyncio: claims_combinators::gather_returns_exceptions_of_cancelled_children
// asyncio: test_tasks.py::FutureGatherTests::test_result_exception_one_cancellation
FIBER_TEST(GatherTest, WithReturnExceptionsErrorsAreResults) {
  with_loop([](EventLoop& loop) {
    auto cancelled = loop.create_future<void>();
    auto all = gather(return_exceptions, loop.create_task(after(1s, 1)),
                      loop.create_task(fails_after(2s)), cancelled);
    cancelled.cancel("not needed");
    auto [one, error, none] = await(all);
    EXPECT_EQ(one.unwrap(), 1);
    EXPECT_THROW(error.unwrap(), std::runtime_error);
    const auto* payload = fibers::exception_cast<CancelledError>(none.error());
    ASSERT_NE(payload, nullptr);
    EXPECT_EQ(payload->message(), "not needed");
    std::vector<Task<int>> tasks{loop.create_task(fails_after(1s)), loop.create_task(after(1s, 2))};
    auto results = await(gather(return_exceptions, tasks));
    EXPECT_FALSE(results[0].has_value());
    EXPECT_EQ(results[1].unwrap(), 2);
  });
}

// asyncio: test_tasks.py::FutureGatherTests::test_one_cancellation
FIBER_TEST(GatherTest, ACancelledChildIsAnErrorAndNotACancellationOfAll) {
  with_loop([](EventLoop& loop) {
    auto one = loop.create_future<int>();
    auto two = loop.create_future<int>();
    auto all = gather(one, two);
    two.cancel("only this one");
    loop.synchronize();
    EXPECT_TRUE(all.done());
    EXPECT_FALSE(all.cancelled());
    EXPECT_TRUE(fibers::holds<CancelledError>(all.exception()));
    EXPECT_FALSE(one.done());
    one.cancel();
  });
}

// asyncio: test_tasks.py::CoroutineGatherTests::test_cancellation_broadcast
FIBER_TEST(GatherTest, CancellingTheAwaiterCancelsAllChildren) {
  with_loop([](EventLoop& loop) {
    auto one = loop.create_future<int>();
    auto two = loop.create_future<int>();
    auto done = loop.create_future<int>();
    done.set_result(1);
    auto coro = loop.create_task([&]() -> Coro<void> { co_await gather(one, done); });
    auto stack = loop.create_task([&] { await(gather(return_exceptions, two, done)); });
    loop.synchronize();
    EXPECT_TRUE(coro.cancel());
    EXPECT_TRUE(stack.cancel());
    EXPECT_TRUE(one.cancelled());
    EXPECT_TRUE(two.cancelled());
    EXPECT_THROW(await(coro), CancelledError);
    EXPECT_THROW(await(stack), CancelledError);  // Whatever return_exceptions says.
    EXPECT_TRUE(coro.cancelled());
    EXPECT_TRUE(stack.cancelled());
  });
}

// asyncio: test_tasks.py::BaseTaskTests::test_cancel_gather_1
// asyncio: claims_combinators::gather_cancel_after_all_are_done_is_false
FIBER_TEST(GatherTest, CancelIsFalseOnceAllChildrenAreDone) {
  with_idle_loop([](EventLoop& loop) {
    auto child = loop.create_future<int>();
    auto all = gather(child);
    child.set_result(7);
    EXPECT_FALSE(all.done());
    EXPECT_FALSE(all.cancel());
    run_once(loop);
    EXPECT_EQ(std::get<0>(all.result()), 7);
    EXPECT_FALSE(all.cancel());
  });
}

// asyncio: test_tasks.py::BaseTaskTests::test_cancel_gather_2
FIBER_TEST(GatherTest, TheMessageOfACancellationReachesTheChildrenAndComesBack) {
  with_loop([](EventLoop& loop) {
    std::string heard;
    auto child = loop.create_task([&heard]() -> Coro<void> {
      try {
        co_await sleep(1s);
      } catch (const CancelledError& error) {
        heard = error.message();
        throw;
      }
    });
    auto all = gather(child);
    loop.synchronize();
    EXPECT_TRUE(all.cancel("enough"));
    EXPECT_FALSE(all.done());
    EXPECT_THROW(await(all), CancelledError);
    EXPECT_EQ(heard, "enough");
  });
}

FIBER_TEST(GatherTest, AChildThatRefusesToBeCancelledIsWaitedFor) {
  with_loop([](EventLoop& loop) {
    auto stubborn = loop.create_task([] {
      try {
        await(sleep(10s));
      } catch (const CancelledError&) {
        await(sleep(1s));
      }
      return 1;
    });
    auto all = gather(stubborn);
    loop.synchronize();
    const auto start = loop.time();
    EXPECT_TRUE(all.cancel());
    EXPECT_THROW(await(all), CancelledError);
    EXPECT_EQ(loop.time() - start, 1s);
    EXPECT_EQ(await(stubborn), 1);
  });
}

// asyncio: test_tasks.py::CoroutineGatherTests::test_exception_marking
FIBER_TEST(GatherTest, ErrorsAfterTheFirstAreNotReported) {
  with_loop([](EventLoop& loop) {
    {
      auto all = gather(loop.create_task(fails_after(1s)), loop.create_task(fails_after(1s)));
      EXPECT_THROW(await(all), std::runtime_error);
    }
    loop.synchronize();  // with_loop fails the test on any report.
  });
}

FIBER_TEST(GatherTest, AnErrorThatNobodyAsksForIsReportedOnce) {
  std::vector<std::string> reports;
  with_idle_loop([&](EventLoop& loop) {
    loop.set_exception_handler([&reports](EventLoop&, const ExceptionContext& context) {
      reports.push_back(context.message);
    });
    auto child = loop.create_future<int>();
    gather(child);
    child.set_exception(std::runtime_error("failed"));
    child = {};
    run_once(loop);
    EXPECT_THAT(reports, ElementsAre("Future exception was never retrieved"));
  });
}

FIBER_TEST(GatherTest, IsCancelledWhenNobodyCanEndAChildAnyMore) {
  with_idle_loop([](EventLoop& loop) {
    auto dropped = loop.create_future<int>();
    auto kept = loop.create_future<int>();
    auto all = gather(dropped, kept);
    dropped = {};
    EXPECT_TRUE(all.cancelled());
    kept.set_result(1);
    run_once(loop);
  });
}

FIBER_TEST(GatherTest, RefusesFuturesOfAnotherLoop) {
  with_idle_loop([](EventLoop& loop) {
    with_idle_loop([&](EventLoop& other) {
      auto mine = loop.create_future<int>();
      auto strange = other.create_future<int>();
      EXPECT_THAT(thrown<fibers::UsageError>([&] { gather(mine, strange); }),
                  HasSubstr("The future belongs to a different loop"));
    });
  });
}

FIBER_TEST(GatherTest, MovesWhatCannotBeCopied) {
  with_loop([](EventLoop& loop) {
    auto task = loop.create_task([]() -> Coro<int> {
      auto [one, two] = co_await gather([] { return std::make_unique<int>(6); },
                                        []() -> Coro<int> { co_return 7; });
      co_return *one* two;
    });
    EXPECT_EQ(await(task), 42);
  });
}

// A result whose copies throw from some moment on.
struct Fragile {
  explicit Fragile(bool* b) : broken(b) {}
  Fragile(const Fragile& other) : broken(other.broken) {
    if (*broken) throw std::runtime_error("cannot be copied");
  }
  Fragile& operator=(const Fragile&) = delete;
  ~Fragile() = default;
  bool* broken;
};

FIBER_TEST(GatherTest, WhatCopyingAResultThrowsIsItsError) {
  bool broken = false;
  with_idle_loop([&](EventLoop& loop) {
    auto child = loop.create_future<Fragile>();
    auto all = gather(child);
    child.set_result(&broken);
    broken = true;
    run_once(loop);
    EXPECT_EQ(thrown<std::runtime_error>([&] { all.result(); }), "cannot be copied");
  });
}

FIBER_TEST(GatherTest, ATrioTaskMayAwaitAndCancelIt) {
  with_loop([](EventLoop& loop) {
    auto one = loop.create_future<int>();
    auto two = loop.create_future<int>();
    fibers::move_on_after(1s, [&] { await(gather(one, two)); });
    EXPECT_TRUE(one.cancelled());
    EXPECT_TRUE(two.cancelled());
    loop.synchronize();
  });
}

FIBER_TEST(GatherTest, GathersGathers) {
  with_loop([](EventLoop& loop) {
    auto inner = gather(loop.create_task(after(2s, 1)), loop.create_task(after(1s, 2)));
    auto all = gather(inner, loop.create_task(after(1s, 3)));
    EXPECT_EQ(await(all), std::make_tuple(std::make_tuple(1, 2), 3));
    auto never = loop.create_future<int>();
    auto outer = gather(gather(never));
    EXPECT_TRUE(outer.cancel());
    EXPECT_TRUE(never.cancelled());
    EXPECT_THROW(await(outer), CancelledError);
  });
}

// asyncio: test_tasks.py::GatherTestsBase::test_result_exception_success
FIBER_TEST(GatherTest, WithReturnExceptionsValuesKeepTheirOrderToo) {
  with_loop([](EventLoop& loop) {
    std::vector<Task<int>> tasks{loop.create_task(after(2s, 1)), loop.create_task(after(1s, 2)),
                                 loop.create_task(after(3s, 3))};
    auto results = await(gather(return_exceptions, tasks));
    std::vector<int> values;
    for (auto& result : results) {
      EXPECT_TRUE(result.has_value());
      if (result.has_value()) values.push_back(result.unwrap());
    }
    EXPECT_THAT(values, ElementsAre(1, 2, 3));
  });
}

}  // namespace
}  // namespace weft::loop
