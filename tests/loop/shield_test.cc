// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/shield.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include "tests/loop/loop_testing.h"
#include "weft/loop/event_loop.h"
#include "weft/loop/gather.h"

namespace weft::loop {
namespace {

using ::testing::ElementsAre;
using namespace testing;  // NOLINT: the helpers of the folder.

// asyncio: test_tasks.py::BaseTaskTests::test_shield_result
// asyncio: claims_combinators::shield_result
FIBER_TEST(ShieldTest, EndsWithTheInnerValue) {
  with_loop([](EventLoop& loop) {
    auto inner = loop.create_future<int>();
    auto outer = shield(inner);
    inner.set_result(42);
    EXPECT_EQ(await(outer), 42);
    auto task = loop.create_task([]() -> Coro<int> {
      auto six = co_await shield([] { return std::make_unique<int>(6); });
      co_await shield(sleep(1s));
      co_return *six;
    });
    EXPECT_EQ(await(task), 6);
  });
}

// asyncio: test_tasks.py::BaseTaskTests::test_shield_exception
// asyncio: claims_combinators::shield_exception
FIBER_TEST(ShieldTest, EndsWithTheInnerException) {
  with_loop([](EventLoop& loop) {
    auto inner = loop.create_future<int>();
    auto outer = shield(inner);
    inner.set_exception(std::runtime_error("failed"));
    EXPECT_EQ(thrown<std::runtime_error>([&] { await(outer); }), "failed");
  });
}

// asyncio: test_tasks.py::BaseTaskTests::test_shield_cancel_inner
// asyncio: claims_combinators::shield_cancel_inner
FIBER_TEST(ShieldTest, IsCancelledWithTheInnerOne) {
  with_loop([](EventLoop& loop) {
    auto inner = loop.create_future<int>();
    auto outer = shield(inner);
    inner.cancel("why");
    loop.synchronize();
    EXPECT_TRUE(outer.cancelled());
    EXPECT_THROW(await(outer), CancelledError);
  });
}

// asyncio: test_tasks.py::BaseTaskTests::test_shield_cancel_outer
// asyncio: claims_combinators::shield_cancel_outer
FIBER_TEST(ShieldTest, CancelledItLeavesTheInnerOneAlone) {
  with_loop([](EventLoop& loop) {
    auto inner = loop.create_future<int>();
    auto outer = shield(inner);
    EXPECT_TRUE(outer.cancel());
    loop.synchronize();
    EXPECT_TRUE(outer.cancelled());
    EXPECT_FALSE(inner.done());
    inner.set_result(1);
    loop.synchronize();
  });
}

// asyncio: test_tasks.py::BaseTaskTests::test_shield_shortcut
// asyncio: claims_combinators::shield_of_a_done_one_is_itself
FIBER_TEST(ShieldTest, OfAFutureThatIsDoneIsThatFuture) {
  with_loop([](EventLoop& loop) {
    auto inner = loop.create_future<int>();
    inner.set_result(42);
    EXPECT_EQ(shield(inner), inner);
  });
}

// asyncio: test_tasks.py::BaseTaskTests::test_shield_effect
FIBER_TEST(ShieldTest, TheInnerTaskGoesOnWhenTheAwaiterIsCancelled) {
  int runs = 0;
  with_loop([&](EventLoop& loop) {
    const auto inner = [&]() -> Coro<void> {
      co_await sleep(1s);
      ++runs;
    };
    auto coro = loop.create_task([&]() -> Coro<void> { co_await shield(inner()); });
    auto stack = loop.create_task([&] { await(shield(inner())); });
    loop.synchronize();
    coro.cancel();
    stack.cancel();
    EXPECT_THROW(await(coro), CancelledError);
    EXPECT_THROW(await(stack), CancelledError);
    EXPECT_EQ(runs, 0);
    fibers::sleep(2s);
    EXPECT_EQ(runs, 2);
  });
}

FIBER_TEST(ShieldTest, AnErrorThatComesAfterTheCancellationIsReported) {
  std::vector<std::string> reports;
  with_loop([&](EventLoop& loop) {
    loop.set_exception_handler([&reports](EventLoop&, const ExceptionContext& context) {
      reports.push_back(context.message);
      EXPECT_NE(context.exception, nullptr);
    });
    auto inner = loop.create_future<int>();
    auto outer = shield(inner);
    outer.cancel();
    inner.set_exception(std::runtime_error("failed"));
    loop.synchronize();
    inner = {};
    EXPECT_THAT(reports, ElementsAre("exception in shielded future"));
  });
}

// asyncio: test_tasks.py::BaseTaskTests::test_shield_gather
// asyncio: claims_combinators::shield_and_gather
FIBER_TEST(ShieldTest, ShieldsAGather) {
  with_loop([](EventLoop& loop) {
    auto one = loop.create_future<int>();
    auto two = loop.create_future<int>();
    auto both = gather(one, two);
    auto outer = shield(both);
    EXPECT_TRUE(outer.cancel());
    EXPECT_FALSE(both.done());
    one.set_result(1);
    two.set_result(2);
    EXPECT_EQ(await(both), std::make_tuple(1, 2));
  });
}

// asyncio: test_tasks.py::BaseTaskTests::test_gather_shield
// asyncio: claims_combinators::shield_and_gather
FIBER_TEST(ShieldTest, IsGathered) {
  with_loop([](EventLoop& loop) {
    auto one = loop.create_future<int>();
    auto two = loop.create_future<int>();
    auto both = gather(shield(one), shield(two));
    EXPECT_TRUE(both.cancel());
    EXPECT_THROW(await(both), CancelledError);
    EXPECT_FALSE(one.done());
    EXPECT_FALSE(two.done());
    one.set_result(1);
    two.set_result(2);
    loop.synchronize();
  });
}

FIBER_TEST(ShieldTest, ATrioTaskThatIsCancelledLeavesTheInnerOneAlone) {
  with_loop([](EventLoop& loop) {
    auto inner = loop.create_future<int>();
    const auto waited = fibers::move_on_after(1s, [&] { await(shield(inner)); });
    EXPECT_FALSE(waited.finished());
    EXPECT_FALSE(inner.done());
    inner.set_result(1);
    loop.synchronize();
  });
}

FIBER_TEST(ShieldTest, IsCancelledWhenNobodyCanEndTheInnerOneAnyMore) {
  with_idle_loop([](EventLoop& loop) {
    auto outer = shield(loop.create_future<int>());
    EXPECT_TRUE(outer.cancelled());
  });
}

}  // namespace
}  // namespace weft::loop
