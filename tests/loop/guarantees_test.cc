// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What asyncio promises and its own tests hardly detect when it is broken: where no test of the
// subject itself proves it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "tests/loop/loop_testing.h"
#include "weft/fibers/run.h"
#include "weft/loop/event_loop.h"
#include "weft/loop/gather.h"
#include "weft/loop/sync_loop.h"
#include "weft/loop/task.h"
#include "weft/loop/wait_for.h"

namespace weft::loop {
namespace {

using ::testing::ElementsAre;
using namespace testing;  // NOLINT: the helpers of the folder.

using Log = std::vector<std::string>;

// On the machine's clock: a timer that is not due yet when the wait for it returns makes the loop
// wait again, and not spin.
// asyncio: claims_timers::tiny_sleeps_do_not_spin
// asyncio: test_events.py::EventLoopTestsMixin::test_timeout_rounding
TEST(GuaranteesTest, TinySleepsDoNotSpin) {
  std::uint64_t iterations = 0;
  fibers::run([&] {
    with_idle_loop([&](EventLoop& loop) {
      loop.create_task([](EventLoop& l) -> Coro<void> {
        for (const auto delay : {1ns, 10ns, 100ns, 10'000ns, 100'000ns}) co_await sleep(delay);
        l.stop();
      }(loop));
      loop.main_loop();
      iterations = loop.statistics().iterations;
    });
  });
  EXPECT_LE(iterations, 20U);
}

// asyncio: claims_running::an_interrupted_run_consumes_the_tasks_exception
// asyncio: claims_tasks::an_interrupt_is_its_exception_and_leaves_the_loop
TEST(GuaranteesTest, AnInterruptInATaskIsItsErrorAndEndsTheRun) {
  const CapturedLog log;
  {
    SyncLoop loop;
    bool rest = false;
    Task<void> task = loop->create_task([&]() -> Coro<void> {
      loop->call_soon([&] { rest = true; });
      throw fibers::KeyboardInterrupt();
      co_return;
    });
    EXPECT_THROW(loop.run_until_complete(task), fibers::KeyboardInterrupt);
    EXPECT_FALSE(rest);
    ASSERT_TRUE(task.done());
    EXPECT_THROW(task.result(), fibers::KeyboardInterrupt);
    loop.run_once();
    EXPECT_TRUE(rest);
    EXPECT_EQ(loop.run_until_complete([] { return 3; }), 3);
    EXPECT_EQ(loop.run_until_complete([]() -> Coro<int> { co_return 4; }()), 4);
    // Of this task nobody knows who could ask for its error.
    EXPECT_THROW(loop.run_until_complete([]() -> Coro<void> {
      throw fibers::KeyboardInterrupt();
      co_return;
    }()),
                 fibers::KeyboardInterrupt);
  }
  EXPECT_THAT(log.lines, ElementsAre());
}

// A gather whose children are all done refuses to be cancelled, and has not told its awaiter yet.
// asyncio: claims_tasks::a_refused_cancel_is_deferred_to_the_next_step
FIBER_TEST(GuaranteesTest, ACancelThatTheAwaitedOneRefusesComesWithTheNextStep) {
  Log log;
  with_idle_loop([&](EventLoop& loop) {
    auto child = loop.create_future<int>();
    auto waits = [](Future<int> inner, Log& l) -> Coro<void> {
      try {
        co_await gather(inner);
        l.emplace_back("not reached");
      } catch (const CancelledError& error) {
        l.push_back(error.message());
        throw;
      }
    };
    auto coro = loop.create_task(waits(child, log));
    auto stack = loop.create_task([&] { await(waits(child, log)); });
    run_once(loop);
    child.set_result(1);
    EXPECT_TRUE(coro.cancel("coro"));
    EXPECT_TRUE(stack.cancel("stack"));
    for (int i = 0; i < 4; ++i) run_once(loop);
    EXPECT_TRUE(coro.cancelled());
    EXPECT_TRUE(stack.cancelled());
  });
  EXPECT_THAT(log, ElementsAre("coro", "stack"));
}

// asyncio: claims_tasks::a_task_may_swallow_and_be_cancelled_again
// asyncio: test_tasks.py::BaseTaskTests::test_cancel_task_ignoring
FIBER_TEST(GuaranteesTest, ATaskMaySwallowACancellationAndBeCancelledAgain) {
  Log log;
  with_idle_loop([&](EventLoop& loop) {
    const auto stubborn = [](Log& l) -> Coro<void> {
      for (int i = 0; i < 2; ++i) {
        try {
          co_await sleep(10s);
        } catch (const CancelledError& error) {
          l.push_back("swallowed " + error.message());
        }
      }
      co_await sleep(10s);
      l.emplace_back("not reached");
    };
    auto coro = loop.create_task(stubborn(log));
    auto stack = loop.create_task([&] { await(stubborn(log)); });
    run_once(loop);
    for (const char* message : {"1", "2", "3"}) {
      EXPECT_TRUE(coro.cancel(message));
      EXPECT_TRUE(stack.cancel(message));
      EXPECT_FALSE(coro.done());
      run_once(loop);
      run_once(loop);
    }
    EXPECT_TRUE(coro.cancelled());
    EXPECT_TRUE(stack.cancelled());
    EXPECT_EQ(coro.cancelling(), 3U);
    EXPECT_FALSE(coro.cancel());
  });
  EXPECT_THAT(log, ElementsAre("swallowed 1", "swallowed 1", "swallowed 2", "swallowed 2"));
}

// asyncio: claims_tasks::exceptions_and_cancellation_in_an_eager_step
// asyncio: test_eager_task_factory.py::test_cancellation_after_eager_completion
// asyncio: test_eager_task_factory.py::test_cancellation_after_eager_step_blocks
FIBER_TEST(GuaranteesTest, AnEagerStepMayFailAndCancelItself) {
  with_loop([](EventLoop& loop) {
    auto outer = loop.create_task(
        [&] {
          const TaskOptions eager{.eager_start = true};
          auto fails = loop.create_task(
              []() -> Coro<int> {
                throw std::runtime_error("at once");
                co_return 1;
              }(),
              eager);
          EXPECT_TRUE(fails.done());
          EXPECT_EQ(thrown<std::runtime_error>([&] { fails.result(); }), "at once");
          EXPECT_FALSE(fails.cancel());
          auto cancels = loop.create_task(
              []() -> Coro<void> {
                current_task().cancel("myself");
                co_await sleep(1s);
              }(),
              eager);
          EXPECT_FALSE(cancels.done());
          EXPECT_EQ(thrown<CancelledError>([&] { await(cancels); }),
                    "the future was cancelled: myself");
          auto waits = loop.create_task([] { await(sleep(1s)); }, eager);
          EXPECT_TRUE(waits.cancel());
          EXPECT_FALSE(waits.done());
          EXPECT_THROW(await(waits), CancelledError);
          EXPECT_EQ(current_task().get_name(), "outer");
        },
        {.name = "outer"});
    await(outer);
  });
}

// asyncio: claims_combinators::wait_for_outer_cancel_wins_the_race
// asyncio: test_waitfor.py::test_wait_for_cancellation_race_condition
FIBER_TEST(GuaranteesTest, ACancellationThatComesWithTheTimeoutOfWaitForWins) {
  for (const bool cancelled_first : {true, false}) {
    with_loop([&](EventLoop& loop) {
      Task<void> task;
      const auto cancel = [&] { task.cancel("outer"); };
      if (cancelled_first) loop.call_later(1s, cancel);
      task = loop.create_task([]() -> Coro<void> { co_await wait_for(sleep(10s), 1s); });
      loop.synchronize();
      if (!cancelled_first) loop.call_later(1s, cancel);
      EXPECT_THROW(await(task), CancelledError);
      EXPECT_TRUE(task.cancelled());
    });
  }
}

}  // namespace
}  // namespace weft::loop
