// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Cancelling tasks, of either kind: coroutines and functions with a stack.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/loop/loop_testing.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/loop/event_loop.h"
#include "weft/loop/task.h"

namespace weft::loop {
namespace {

using fibers::testing::wait_all_tasks_blocked;
using ::testing::ElementsAre;
using namespace testing;  // NOLINT: the helpers of the folder.

using Log = std::vector<std::string>;

// asyncio: claims_tasks::cancel_goes_to_the_awaited_future_with_its_message
// asyncio: test_tasks.py::BaseTaskTests::test_cancel
// asyncio: test_tasks.py::BaseTaskTests::test_cancel_inner_future
// asyncio: test_tasks.py::BaseTaskTests::test_cancel_task_catching
// asyncio: test_tasks.py::BaseTaskTests::test_task_cancel_message_getter
// asyncio: test_tasks.py::BaseTaskTests::test_task_cancel_waiter_future
FIBER_TEST(TaskCancelTest, CancelIsRaisedOnceWhereItWaits) {
  Log log;
  with_loop([&](EventLoop& loop) {
    auto never = loop.create_future<void>();
    auto coro = loop.create_task([](Log& l, Future<void> f) -> Coro<void> {
      try {
        co_await f;
      } catch (const CancelledError& error) {
        l.push_back("coro: " + error.message());
      }
      co_await sleep(1s);
      l.emplace_back("coro goes on");
    }(log, never));
    auto stack = loop.create_task([&log, &loop] {
      try {
        await(loop.create_future<void>());
      } catch (const CancelledError& error) {
        log.push_back("stack: " + error.message());
      }
      await(sleep(2s));
      log.emplace_back("stack goes on");
    });
    wait_all_tasks_blocked();
    EXPECT_TRUE(coro.cancel("one"));
    EXPECT_TRUE(stack.cancel("two"));
    EXPECT_FALSE(coro.done());
    await(coro);
    await(stack);
    EXPECT_FALSE(coro.cancelled());
    EXPECT_TRUE(never.cancelled());
  });
  EXPECT_THAT(log, ElementsAre("coro: one", "stack: two", "coro goes on", "stack goes on"));
}

// asyncio: claims_tasks::cancelled_before_the_first_step_the_body_never_runs
// asyncio: test_tasks.py::BaseTaskTests::test_cancel_with_message_before_starting_task
FIBER_TEST(TaskCancelTest, CancelledBeforeItsFirstStepItNeverBegins) {
  bool begun = false;
  with_loop([&](EventLoop& loop) {
    auto coro = loop.create_task([](bool& b) -> Coro<void> {
      b = true;
      co_return;
    }(begun));
    auto function = loop.create_task([&begun]() -> Coro<void> {
      begun = true;
      co_return;
    });
    auto stack = loop.create_task([&begun] { begun = true; });
    EXPECT_TRUE(coro.cancel());
    EXPECT_TRUE(function.cancel());
    EXPECT_TRUE(stack.cancel());
    loop.synchronize();
    EXPECT_TRUE(coro.cancelled());
    EXPECT_TRUE(function.cancelled());
    EXPECT_TRUE(stack.cancelled());
  });
  EXPECT_FALSE(begun);
}

// asyncio: test_tasks.py::BaseTaskTests::test_cancel_current_task
FIBER_TEST(TaskCancelTest, ATaskThatCancelsItselfHearsOfItAtItsNextAwait) {
  int caught = 0;
  with_loop([&](EventLoop& loop) {
    auto coro = loop.create_task([](int& count) -> Coro<void> {
      current_task().cancel("myself");
      try {
        co_await sleep(1s);
      } catch (const CancelledError& error) {
        count += error.message() == "myself" ? 1 : 0;
      }
    }(caught));
    auto stack = loop.create_task([&caught] {
      current_task().cancel("myself");
      try {
        await(sleep(1s));
      } catch (const CancelledError& error) {
        caught += error.message() == "myself" ? 1 : 0;
      }
    });
    loop.synchronize();
    await(coro);
    await(stack);
  });
  EXPECT_EQ(caught, 2);
}

// asyncio: claims_tasks::cancel_in_the_last_step_ends_it_cancelled
// asyncio: test_tasks.py::BaseTaskTests::test_cancel_at_end
FIBER_TEST(TaskCancelTest, CancelInTheLastStepCancelsTheTask) {
  with_loop([](EventLoop& loop) {
    auto coro = loop.create_task([]() -> Coro<int> {
      current_task().cancel();
      co_return 1;
    }());
    auto stack = loop.create_task([] {
      current_task().cancel();
      return 1;
    });
    loop.synchronize();
    EXPECT_TRUE(coro.cancelled());
    EXPECT_TRUE(stack.cancelled());
  });
}

FIBER_TEST(TaskCancelTest, CancelEndsAWaitOfFibers) {
  Log log;
  with_loop([&](EventLoop& loop) {
    auto stack = loop.create_task([&log] {
      try {
        fibers::sleep_forever();
      } catch (const fibers::Cancelled&) {
        log.emplace_back("stack");
        throw;
      }
    });
    auto coro = loop.create_task([](Log& l) -> Coro<void> {
      try {
        fibers::sleep_forever();
      } catch (const fibers::Cancelled&) {
        l.emplace_back("coro");
        throw;
      }
      co_return;
    }(log));
    wait_all_tasks_blocked();
    EXPECT_TRUE(stack.cancel("why"));
    EXPECT_TRUE(coro.cancel());
    EXPECT_THROW(await(stack), CancelledError);
    EXPECT_THROW(await(coro), CancelledError);
  });
  EXPECT_THAT(log, ElementsAre("stack", "coro"));
}

FIBER_TEST(TaskCancelTest, AScopeInsideATaskEndsItsAwait) {
  with_loop([](EventLoop& loop) {
    auto stack = loop.create_task([&loop] {
      auto never = loop.create_future<int>();
      const auto result = fibers::move_on_after(1s, [&] { return await(never); });
      EXPECT_FALSE(result.finished());
      EXPECT_TRUE(never.cancelled());
      return 5;
    });
    EXPECT_EQ(await(stack), 5);
  });
}

// asyncio: claims_tasks::cancelling_and_uncancel_count
// asyncio: claims_tasks::uncancel_to_zero_clears_a_pending_cancel
// asyncio: test_tasks.py::BaseTaskTests::test_cancelling
// asyncio: test_tasks.py::BaseTaskTests::test_uncancel_basic
// asyncio: test_tasks.py::BaseTaskTests::test_uncancel_resets_must_cancel
FIBER_TEST(TaskCancelTest, UncancelTakesBackWhatWasNotDelivered) {
  with_loop([](EventLoop& loop) {
    auto task = loop.create_task([]() -> Coro<int> { co_return 1; }());
    EXPECT_EQ(task.cancelling(), 0U);
    task.cancel();
    task.cancel();
    EXPECT_EQ(task.cancelling(), 2U);
    EXPECT_EQ(task.uncancel(), 1U);
    EXPECT_EQ(task.uncancel(), 0U);
    EXPECT_EQ(task.uncancel(), 0U);
    EXPECT_EQ(await(task), 1);
  });
}

// asyncio: test_tasks.py::BaseTaskTests::test_cancel_with_message_then_future_exception
FIBER_TEST(TaskCancelTest, ToAskACancelledTaskForItsErrorThrowsItsMessage) {
  with_loop([](EventLoop& loop) {
    for (const char* const message : {"", "my message"}) {
      auto inner = loop.create_task(sleep(10s));
      auto outer = loop.create_task([&]() -> Coro<void> {
        co_await sleep(0s);
        inner.cancel(message);
        co_await sleep(1s);
        EXPECT_TRUE(inner.cancelled());
        static_cast<void>(inner.exception());
        ADD_FAILURE() << "exception() of a cancelled task has returned";
      });
      std::string seen = "nothing";
      try {
        await(outer);
      } catch (const CancelledError& error) {
        seen = error.message();
      }
      EXPECT_EQ(seen, message);
      EXPECT_TRUE(outer.cancelled());
    }
  });
}

// What timeout() does, written by hand: the code after the block is not cancelled.
struct Request {
  bool timed_out = false;
  bool finished = false;
  bool went_on = false;
};
Coro<void> request(EventLoop& loop, fibers::Duration takes, fibers::Duration limit, Request& told) {
  TaskBase task = current_task();
  Handle timer = loop.call_later(limit, [&told, task]() mutable {
    told.timed_out = true;
    task.cancel();
  });
  bool cancelled = false;
  try {
    co_await sleep(takes);
    told.finished = true;
  } catch (const CancelledError&) {
    cancelled = true;
  }
  timer.cancel();
  if (cancelled && (!told.timed_out || task.uncancel() != 0)) throw CancelledError();
  co_await sleep(1s);
  told.went_on = true;
}

// asyncio: test_tasks.py::BaseTaskTests::test_uncancel_structured_blocks
FIBER_TEST(TaskCancelTest, ABlockThatTakesItsOwnCancellationBackLeavesNothingOfIt) {
  with_loop([](EventLoop& loop) {
    Request slow;
    auto late = loop.create_task(request(loop, 10s, 1s, slow));
    await(late);
    EXPECT_TRUE(slow.timed_out);
    EXPECT_FALSE(slow.finished);
    EXPECT_TRUE(slow.went_on);
    EXPECT_EQ(late.cancelling(), 0U);
    Request quick;
    auto early = loop.create_task(request(loop, 0s, 10s, quick));
    await(early);
    EXPECT_FALSE(quick.timed_out);
    EXPECT_TRUE(quick.finished);
    EXPECT_TRUE(quick.went_on);
    EXPECT_EQ(early.cancelling(), 0U);
  });
}

}  // namespace
}  // namespace weft::loop
