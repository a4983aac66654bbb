// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/coro.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tests/loop/loop_testing.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/loop/event_loop.h"

namespace weft::loop {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using namespace testing;  // NOLINT: the helpers of the folder.

// Counts how often what a frame holds is destroyed.
class Tracked {
 public:
  explicit Tracked(int& destroyed) : destroyed_(&destroyed) {}
  Tracked(Tracked&& other) noexcept : destroyed_(std::exchange(other.destroyed_, nullptr)) {}
  Tracked& operator=(Tracked&&) = delete;
  ~Tracked() {
    if (destroyed_ != nullptr) ++*destroyed_;
  }

 private:
  int* destroyed_;
};

Coro<int> count_down(int n) {
  if (n == 0) co_return 0;
  co_return 1 + co_await count_down(n - 1);
}

FIBER_TEST(CoroTest, DoesNotBeginBeforeItIsAwaited) {
  CapturedLog log;
  bool begun = false;
  {
    const auto coro = [](bool& b) -> Coro<void> {
      b = true;
      co_return;
    }(begun);
    EXPECT_FALSE(begun);
  }
  ASSERT_EQ(log.lines.size(), 1U);
  EXPECT_THAT(log.lines[0], HasSubstr("was never awaited (from coro_test.cc:"));
}

FIBER_TEST(CoroTest, RunsInTheFiberThatAwaitsIt) {
  EXPECT_EQ(await(count_down(10)), 10);
}

FIBER_TEST(CoroTest, AwaitsAnotherInPlace) {
  std::vector<std::string> log;
  with_loop([&](EventLoop& loop) {
    auto task = loop.create_task([](std::vector<std::string>& l, EventLoop& lp) -> Coro<void> {
      lp.call_soon([&l] { l.emplace_back("callback"); });
      l.push_back(std::to_string(co_await count_down(3)));
    }(log, loop));
    await(task);
  });
  EXPECT_THAT(log, ElementsAre("3", "callback"));
}

FIBER_TEST(CoroTest, AwaitsThatDoNotWaitNeedNoStack) {
  with_loop([](EventLoop& loop) {
    auto task = loop.create_task([]() -> Coro<int> {
      int sum = 0;
      for (int i = 0; i < 100'000; ++i) sum += co_await count_down(1);
      co_return sum;
    }());
    EXPECT_EQ(await(task), 100'000);
  });
}

FIBER_TEST(CoroTest, WhatItThrowsGoesToWhoAwaitsIt) {
  const auto thrower = [](int depth, auto& self) -> Coro<void> {
    if (depth == 0) throw std::runtime_error("deep");
    co_await self(depth - 1, self);
  };
  EXPECT_EQ(thrown<std::runtime_error>([&] { await(thrower(5, thrower)); }), "deep");
}

// asyncio: test_pep492.py::CoroutineTests::test_double_await
FIBER_TEST(CoroTest, CanBeAwaitedOnceOnly) {
  CapturedLog log;
  Coro<int> coro = count_down(1);
  EXPECT_EQ(await(std::move(coro)), 1);
  EXPECT_FALSE(coro);  // NOLINT(bugprone-use-after-move): that is the point.
  EXPECT_THAT(thrown<fibers::UsageError>([&] { await(std::move(coro)); }),
              HasSubstr("cannot reuse already awaited coroutine"));
}

FIBER_TEST(CoroTest, AFrameIsDestroyedOnceWhateverHappens) {
  int destroyed = 0;
  const auto hold = [](Tracked held, Future<void> future) -> Coro<void> {
    const Tracked local = std::move(held);
    co_await future;
  };
  with_loop([&](EventLoop& loop) {
    auto future = loop.create_future<void>();
    auto returns = loop.create_task(hold(Tracked(destroyed), future));
    auto other = loop.create_future<void>();
    auto fails = loop.create_task(hold(Tracked(destroyed), other));
    auto third = loop.create_future<void>();
    auto cancelled = loop.create_task(hold(Tracked(destroyed), third));
    auto never_begins = loop.create_task(hold(Tracked(destroyed), future));
    never_begins.cancel();
    loop.synchronize();
    EXPECT_EQ(destroyed, 1);
    future.set_result();
    other.set_exception(std::runtime_error("x"));
    cancelled.cancel();
    EXPECT_NO_THROW(await(returns));
    EXPECT_THROW(await(fails), std::runtime_error);
    EXPECT_THROW(await(cancelled), CancelledError);
    EXPECT_EQ(destroyed, 4);
  });
}

FIBER_TEST(CoroTest, ACloseDestroysWhatWaits) {
  int destroyed = 0;
  with_idle_loop([&](EventLoop& loop) {
    loop.set_exception_handler([](EventLoop&, const ExceptionContext&) {});
    loop.create_task([](Tracked held, EventLoop& lp) -> Coro<void> {
      const Tracked local = std::move(held);
      co_await lp.create_future<void>();
    }(Tracked(destroyed), loop));
    loop.create_task([](Tracked held) -> Coro<void> {
      const Tracked local = std::move(held);
      for (;;) co_await sleep(std::chrono::seconds(0));
    }(Tracked(destroyed)));
    loop.create_task(
        [held = Tracked(destroyed)]() -> Coro<void> { co_await sleep(std::chrono::seconds(1)); });
    run_once(loop);
    EXPECT_EQ(destroyed, 0);
    loop.close();
    EXPECT_EQ(destroyed, 3);
  });
}

FIBER_TEST(CoroTest, ALambdaGivenToCreateTaskOutlivesItsCoroutine) {
  std::string seen;
  with_loop([&seen](EventLoop& loop) {
    Task<void> task;
    {
      std::string captured = "a text that is too long to lie inside of the string itself";
      task = loop.create_task([&seen, captured]() -> Coro<void> {
        co_await sleep(std::chrono::seconds(1));
        seen = captured;
      });
    }
    await(task);
  });
  EXPECT_THAT(seen, HasSubstr("too long"));
}

FIBER_TEST(CoroTest, ATaskOfFibersThatAwaitsOneCanBeCancelled) {
  std::vector<std::string> log;
  with_loop([&](EventLoop& loop) {
    auto future = loop.create_future<void>();
    const auto result = fibers::move_on_after(1s, [&] {
      await([](std::vector<std::string>& l, Future<void> f) -> Coro<void> {
        try {
          co_await f;
        } catch (const fibers::Cancelled&) {
          l.emplace_back("cancelled");
          throw;
        }
      }(log, future));
    });
    EXPECT_FALSE(result.finished());
    EXPECT_TRUE(future.cancelled());
  });
  EXPECT_THAT(log, ElementsAre("cancelled"));
}

// --- sleep. ---

// asyncio: test_tasks.py::BaseTaskTests::test_sleep
FIBER_TEST(SleepTest, TakesAsLongAsItSays) {
  with_loop([](EventLoop& loop) {
    const auto before = loop.time();
    auto task = loop.create_task([]() -> Coro<void> { co_await sleep(3s); }());
    await(task);
    EXPECT_EQ(loop.time() - before, 3s);
  });
}

// asyncio: test_tasks.py::SleepTests::test_sleep_zero
FIBER_TEST(SleepTest, OfZeroGoesOnInTheNextIteration) {
  std::vector<std::string> log;
  with_idle_loop([&](EventLoop& loop) {
    auto coro = loop.create_task([](std::vector<std::string>& l) -> Coro<void> {
      l.emplace_back("coro 1");
      co_await sleep(0s);
      l.emplace_back("coro 2");
    }(log));
    auto stack = loop.create_task([&log] {
      log.emplace_back("stack 1");
      await(sleep(0s));
      log.emplace_back("stack 2");
    });
    run_once(loop);
    EXPECT_THAT(log, ElementsAre("coro 1", "stack 1"));
    run_once(loop);
    EXPECT_THAT(log, ElementsAre("coro 1", "stack 1", "coro 2", "stack 2"));
  });
}

// asyncio: claims_tasks::cancel_on_a_bare_yield_comes_once_in_the_next_iteration
// asyncio: test_tasks.py::BaseTaskTests::test_cancel_yield
FIBER_TEST(SleepTest, CancelledWhileItYieldsItIsRaisedInTheNextIteration) {
  int caught = 0;
  with_loop([&](EventLoop& loop) {
    auto coro = loop.create_task([](int& c) -> Coro<void> {
      try {
        co_await sleep(0s);
      } catch (const CancelledError&) {
        ++c;
      }
    }(caught));
    auto stack = loop.create_task([&caught] {
      try {
        await(sleep(0s));
      } catch (const CancelledError&) {
        ++caught;
      }
    });
    loop.call_soon([&] {
      coro.cancel();
      stack.cancel();
    });
    await(coro);
    await(stack);
  });
  EXPECT_EQ(caught, 2);
}

// asyncio: test_tasks.py::BaseTaskTests::test_sleep_cancel
// asyncio: test_tasks.py::BaseTaskTests::test_task_cancel_sleeping_task
FIBER_TEST(SleepTest, LeavesNoTimerBehindWhenItIsCancelled) {
  with_loop([](EventLoop& loop) {
    auto task = loop.create_task([]() -> Coro<void> { co_await sleep(100s); }());
    loop.synchronize();
    EXPECT_EQ(loop.statistics().timers, 1U);
    task.cancel();
    EXPECT_THROW(await(task), CancelledError);
    EXPECT_EQ(loop.statistics().timers, 0U);
  });
}

}  // namespace
}  // namespace weft::loop
