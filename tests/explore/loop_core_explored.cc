// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Futures, tasks, handles and the loop itself, between callbacks and tasks of the loop, whose order
// is its own, and tasks of fibers, whose order is any.

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "tests/loop/loop_testing.h"
#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/loop/event_loop.h"
#include "weft/loop/future.h"
#include "weft/loop/task.h"

namespace weft::loop {
namespace {

using fibers::checkpoint;
using fibers::Nursery;
using testing::run_once;
using testing::with_idle_loop;
using testing::with_loop;

// --- Future. ---

// explores: loop.Future
EXPLORE_TEST(LoopFutureExplored, EverybodyWhoWaitsHasTheResult) {
  int got = 0;
  with_loop([&](EventLoop& loop, Nursery& nursery) {
    auto future = loop.create_future<int>();
    auto task = loop.create_task([future] { return await(future); });
    nursery.start_soon([&got, future] { got += await(future); });
    nursery.start_soon([future]() mutable { future.set_result(1); });
    EXPECT_EQ(await(task), 1);
  });
  EXPECT_EQ(got, 1);
}

// explores: loop.Future
EXPLORE_TEST(LoopFutureExplored, ItsWaiterIsCancelledOrHasTheResult) {
  fibers::CancelScope scope;
  with_loop([&](EventLoop& loop, Nursery& nursery) {
    auto future = loop.create_future<int>();
    nursery.start_soon([&] { scope.cancel(); });
    nursery.start_soon([future]() mutable {
      if (!future.done()) future.set_result(1);
    });
    const auto got = scope.run([&] { return await(future); });
    EXPECT_TRUE(future.done());
    EXPECT_EQ(got.finished(), !future.cancelled());
  });
}

// explores: loop.Future
EXPLORE_TEST(LoopFutureExplored, ARemovedCallbackIsNotCalledAndTheOthersAre) {
  std::string log;
  bool gone = false;
  with_loop([&](EventLoop& loop, Nursery& nursery) {
    auto future = loop.create_future<void>();
    future.add_done_callback([&log] { log += "a"; });
    const Handle removed = future.add_done_callback([&log] { log += "b"; });
    future.add_done_callback([&log] { log += "c"; });
    nursery.start_soon(
        [&gone, removed, future]() mutable { gone = future.remove_done_callback(removed) == 1; });
    nursery.start_soon([future]() mutable { future.set_result(); });
    await(future);
    checkpoint();
    checkpoint();
    loop.synchronize();
    EXPECT_EQ(log, gone ? "ac" : "abc");
  });
}

// --- Task. ---

// explores: loop.Task
EXPLORE_TEST(LoopTaskExplored, ItsAwaitersHearOfItsEndWheneverTheyCome) {
  int got = 0;
  with_loop([&](EventLoop& loop, Nursery& nursery) {
    auto task = loop.create_task([]() -> Coro<int> {
      co_await sleep(std::chrono::seconds(0));
      co_return 1;
    });
    for (int i = 0; i < 2; ++i) nursery.start_soon([&got, task] { got += await(task); });
    EXPECT_EQ(await(task), 1);
  });
  EXPECT_EQ(got, 2);
}

// explores: loop.Task
EXPLORE_TEST(LoopTaskExplored, IsCancelledOnceOrDone) {
  int caught = 0;
  int ended = 0;
  with_loop([&](EventLoop& loop, Nursery& nursery) {
    auto future = loop.create_future<void>();
    auto task = loop.create_task([&caught, &ended, future] {
      try {
        await(future);
        ++ended;
      } catch (const CancelledError&) {
        ++caught;
        throw;
      }
    });
    nursery.start_soon([task]() mutable { task.cancel(); });
    nursery.start_soon([future]() mutable {
      if (!future.done()) future.set_result();
    });
    wait(future);
    loop.synchronize();
    loop.synchronize();
    loop.synchronize();
    EXPECT_TRUE(task.done());
    EXPECT_LE(caught + ended, 1);
    EXPECT_EQ(ended, task.cancelled() ? 0 : 1);
  });
}

// explores: loop.Task
EXPLORE_TEST(LoopTaskExplored, StepsAndWaitsOfFibersAreDoneOnce) {
  std::vector<int> log;
  with_loop([&](EventLoop& loop, Nursery& nursery) {
    auto task = loop.create_task([&log] {
      log.push_back(1);
      checkpoint();
      log.push_back(2);
      await(sleep(std::chrono::seconds(0)));
      log.push_back(3);
    });
    nursery.start_soon([task] { await(task); });
    await(task);
  });
  EXPECT_EQ(log, (std::vector{1, 2, 3}));
}

// --- EventLoop. ---

// explores: loop.EventLoop
EXPLORE_TEST(LoopExplored, WhatTasksOfFibersScheduleRunsOnce) {
  std::string log;
  with_loop([&](EventLoop& loop) {
    fibers::open_nursery([&](Nursery& inner) {
      inner.start_soon([&] { loop.call_soon([&log] { log += "a"; }); });
      inner.start_soon([&] { loop.call_soon([&log] { log += "b"; }); });
    });
    loop.synchronize();
  });
  EXPECT_TRUE(log == "ab" || log == "ba") << log;
}

// explores: loop.EventLoop
EXPLORE_TEST(LoopExplored, AStopFinishesTheIterationAndLosesNothing) {
  int ran = 0;
  with_idle_loop([&](EventLoop& loop) {
    fibers::open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] { loop.main_loop(); });
      nursery.start_soon([&] { loop.call_soon([&ran] { ++ran; }); });
      nursery.start_soon([&] { loop.stop(); });
    });
    EXPECT_FALSE(loop.is_running());
    run_once(loop);
    EXPECT_EQ(ran, 1);
  });
}

// explores: loop.EventLoop
EXPLORE_TEST(LoopExplored, ACloseDropsOrRefusesWhatHasNotRun) {
  auto resource = std::make_shared<int>(0);
  int ran = 0;
  int refused = 0;
  with_idle_loop([&](EventLoop& loop) {
    fibers::open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] {
        try {
          loop.call_soon([&ran, resource] { ++ran; });
        } catch (const fibers::UsageError&) {
          ++refused;
        }
      });
      nursery.start_soon([&] { loop.close(); });
    });
    EXPECT_TRUE(loop.is_closed());
    EXPECT_EQ(ran, 0);
    EXPECT_LE(refused, 1);
    EXPECT_EQ(resource.use_count(), 1);
  });
}

// --- Handle. ---

// explores: loop.Handle
EXPLORE_TEST(LoopHandleExplored, ACallbackRunsOrIsCancelled) {
  int ran = 0;
  bool cancelled_before = false;
  with_loop([&](EventLoop& loop) {
    Handle handle = loop.call_soon([&ran] { ++ran; });
    fibers::open_nursery([&](Nursery& inner) {
      inner.start_soon([&] {
        cancelled_before = ran == 0;
        handle.cancel();
      });
      inner.start_soon([] { checkpoint(); });
    });
    loop.synchronize();
  });
  EXPECT_EQ(ran, cancelled_before ? 0 : 1);
}

// explores: loop.Handle
EXPLORE_TEST(LoopHandleExplored, ABlockedCallbackIsCancelledOrGoesOn) {
  int caught = 0;
  int ended = 0;
  with_loop([&](EventLoop& loop, Nursery& nursery) {
    Handle handle = loop.call_soon([&] {
      try {
        checkpoint();
        checkpoint();
        ++ended;
      } catch (const fibers::Cancelled&) {
        ++caught;
        throw;
      }
    });
    nursery.start_soon([handle]() mutable { handle.cancel(); });
    loop.synchronize();
    loop.wait_blocked();
  });
  EXPECT_LE(caught + ended, 1);
}

// explores: loop.Handle
EXPLORE_TEST(LoopHandleExplored, ATimerThatIsCancelledInTimeNeverFires) {
  int fired = 0;
  with_loop([&](EventLoop& loop) {
    TimerHandle first = loop.call_later(std::chrono::seconds(1), [&fired] { ++fired; });
    loop.call_later(std::chrono::seconds(1), [&fired] { ++fired; });
    fibers::open_nursery([&](Nursery& inner) {
      inner.start_soon([&] { first.cancel(); });
      inner.start_soon([] { checkpoint(); });
    });
    fibers::sleep(std::chrono::seconds(2));
  });
  EXPECT_EQ(fired, 1);
}

// --- sleep. ---

// explores: loop.sleep
EXPLORE_TEST(LoopSleepExplored, EverybodyWakesInTime) {
  std::vector<int> log;
  with_loop([&](EventLoop& loop, Nursery& nursery) {
    auto task = loop.create_task([&log]() -> Coro<void> {
      co_await sleep(std::chrono::seconds(2));
      log.push_back(2);
    });
    nursery.start_soon([&log] {
      fibers::sleep(std::chrono::seconds(1));
      log.push_back(1);
    });
    await(task);
  });
  EXPECT_EQ(log, (std::vector{1, 2}));
}

// explores: loop.sleep
EXPLORE_TEST(LoopSleepExplored, CancelledItLeavesNoTimer) {
  with_loop([](EventLoop& loop, Nursery& nursery) {
    auto task = loop.create_task(sleep(std::chrono::seconds(10)));
    nursery.start_soon([task]() mutable { task.cancel(); });
    EXPECT_THROW(await(task), CancelledError);
    EXPECT_EQ(loop.statistics().timers, 0U);
  });
}

// explores: loop.sleep
EXPLORE_TEST(LoopSleepExplored, OfZeroIsOneTurn) {
  std::string log;
  with_loop([&](EventLoop& loop, Nursery& nursery) {
    auto task = loop.create_task([&log]() -> Coro<void> {
      log += "a";
      co_await sleep(std::chrono::seconds(0));
      log += "c";
    });
    loop.call_soon([&log] { log += "b"; });
    nursery.start_soon([] { checkpoint(); });
    await(task);
  });
  EXPECT_EQ(log, "abc");
}

}  // namespace
}  // namespace weft::loop
