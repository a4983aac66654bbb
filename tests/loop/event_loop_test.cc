// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/event_loop.h"

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/loop/loop_testing.h"
#include "weft/fibers/lowlevel.h"

namespace weft::loop {
namespace {

using testing::run_once;
using testing::with_idle_loop;
using testing::with_loop;

// asyncio: claims_ready_queue::call_soon_is_fifo_across_nesting
// asyncio: test_events.py::EventLoopTestsMixin::test_call_soon
// asyncio: test_base_events.py::BaseEventLoopTests::test_call_soon
FIBER_TEST(EventLoopTest, CallSoonIsFirstInFirstOut) {
  with_loop([](EventLoop& loop) {
    std::vector<int> order;
    for (int i = 0; i < 5; ++i) loop.call_soon([&order, i] { order.push_back(i); });
    loop.synchronize();
    EXPECT_EQ(order, (std::vector{0, 1, 2, 3, 4}));
  });
}

FIBER_TEST(EventLoopTest, CallbacksNeverRunInsideCallSoon) {
  with_loop([](EventLoop& loop) {
    bool ran = false;
    loop.call_soon([&] { ran = true; });
    EXPECT_FALSE(ran);
    EXPECT_TRUE(loop.synchronize());
    EXPECT_TRUE(ran);
  });
}

// asyncio: claims_ready_queue::what_an_iteration_adds_runs_in_the_next_after_another_poll
FIBER_TEST(EventLoopTest, WhatACallbackQueuesRunsInTheNextIteration) {
  with_idle_loop([](EventLoop& loop) {
    std::vector<std::string> order;
    loop.call_soon([&] {
      order.emplace_back("first");
      loop.call_soon([&] { order.emplace_back("queued by first"); });
    });
    loop.call_soon([&] { order.emplace_back("second"); });
    run_once(loop);
    EXPECT_EQ(order, (std::vector<std::string>{"first", "second"}));
    run_once(loop);
    EXPECT_EQ(order.back(), "queued by first");
  });
}

FIBER_TEST(EventLoopTest, OtherTasksRunOnceAnIteration) {
  WEFT_NOT_ALLOCATION_SWEPT("its task spins until its callbacks have run");
  with_loop([](EventLoop& loop) {
    int turns_of_other = 0;
    int left = 50;
    std::function<void()> again;
    fibers::open_nursery([&](fibers::Nursery& nursery) {
      nursery.start_soon([&] {
        while (left > 0) {
          fibers::checkpoint();
          ++turns_of_other;
        }
      });
      again = [&] {
        if (--left > 0) loop.call_soon(again);
      };
      loop.call_soon(again);
      while (left > 0) fibers::checkpoint();
    });
    EXPECT_GE(turns_of_other, 49);
  });
}

FIBER_TEST(EventLoopTest, TakesMoveOnlyAndLargeCallables) {
  with_loop([](EventLoop& loop) {
    int sum = 0;
    loop.call_soon([&sum, p = std::make_unique<int>(1)] { sum += *p; });
    std::array<int, 100> large{};
    large[99] = 10;
    loop.call_soon([&sum, large] { sum += large[99]; });
    loop.synchronize();
    EXPECT_EQ(sum, 11);
  });
}

// asyncio: claims_ready_queue::a_callback_is_dropped_before_the_next_runs
FIBER_TEST(EventLoopTest, CallableIsDestroyedBeforeTheNextCallbackRuns) {
  with_loop([](EventLoop& loop) {
    auto resource = std::make_shared<int>(0);
    const std::weak_ptr<int> watched = resource;
    const Handle kept = loop.call_soon([r = std::move(resource)] {});
    bool gone = false;
    loop.call_soon([&] { gone = watched.expired(); });
    loop.synchronize();
    EXPECT_TRUE(gone);
  });
}

FIBER_TEST(EventLoopTest, ThrowingCopyOfACallableLeavesNothingScheduled) {
  struct Bomb {
    Bomb() = default;
    Bomb(const Bomb&) { throw std::runtime_error("no copies"); }
    void operator()() const {}
  };
  with_idle_loop([](EventLoop& loop) {
    const Bomb bomb;
    EXPECT_THROW(loop.call_soon(bomb), std::runtime_error);
    EXPECT_EQ(loop.statistics().ready, 0U);
  });
}

FIBER_TEST(EventLoopTest, SynchronizeWaitsForWhatWasQueuedBefore) {
  with_loop([](EventLoop& loop) {
    int ran = 0;
    for (int i = 0; i < 3; ++i) loop.call_soon([&] { ++ran; });
    EXPECT_TRUE(loop.synchronize());
    EXPECT_EQ(ran, 3);
  });
}

FIBER_TEST(EventLoopTest, SynchronizeEndsWithTheLoop) {
  with_loop([](EventLoop& loop) {
    // The marker is queued while the last iteration is already going on.
    bool reached = true;
    fibers::open_nursery([&](fibers::Nursery& nursery) {
      loop.call_soon([&] {
        loop.stop();
        nursery.start_soon([&] { reached = loop.synchronize(); });
      });
      loop.wait_stopped();
    });
    EXPECT_FALSE(reached);
    EXPECT_FALSE(loop.synchronize());
  });
}

FIBER_TEST(EventLoopTest, CancelledSynchronizeTakesItsMarkerOut) {
  with_idle_loop([](EventLoop& loop) {
    EXPECT_FALSE(fibers::move_on_after(std::chrono::seconds(1), [&] { loop.synchronize(); }));
    run_once(loop);
    EXPECT_EQ(loop.statistics().callbacks_run, 0U);
  });
}

// asyncio: test_events.py::GetEventLoopTestsMixin::test_get_event_loop_returns_running_loop
// asyncio: test_events.py::GetEventLoopTestsMixin::test_get_event_loop_returns_running_loop2
FIBER_TEST(EventLoopTest, RunningLoopIsKnownInCallbacksOnly) {
  with_loop([](EventLoop& loop, fibers::Nursery& nursery) {
    EventLoop* inside = nullptr;
    EventLoop* after_blocking = nullptr;
    EventLoop* in_task = &loop;
    loop.call_soon([&] {
      inside = running_loop();
      nursery.start_soon([&] { in_task = running_loop(); });
      fibers::sleep(std::chrono::seconds(1));
      after_blocking = &get_running_loop();
    });
    fibers::sleep(std::chrono::seconds(2));
    EXPECT_EQ(inside, &loop);
    EXPECT_EQ(after_blocking, &loop);
    EXPECT_EQ(in_task, nullptr);
    EXPECT_EQ(running_loop(), nullptr);
    EXPECT_THROW(get_running_loop(), fibers::UsageError);
  });
}

FIBER_TEST(EventLoopTest, SeveralLoopsInOneRunDoNotMix) {
  with_loop([](EventLoop& a) {
    with_loop([&](EventLoop& b) {
      EventLoop* seen_by_a = nullptr;
      EventLoop* seen_by_b = nullptr;
      a.call_soon([&] { seen_by_a = running_loop(); });
      b.call_soon([&] { seen_by_b = running_loop(); });
      a.synchronize();
      b.synchronize();
      EXPECT_EQ(seen_by_a, &a);
      EXPECT_EQ(seen_by_b, &b);
    });
  });
}

FIBER_TEST(EventLoopTest, StatisticsCount) {
  with_idle_loop([](EventLoop& loop) {
    loop.call_soon([] {});
    loop.call_soon([] {});
    loop.call_later(std::chrono::hours(1), [] {});
    EXPECT_EQ(loop.statistics().ready, 2U);
    EXPECT_EQ(loop.statistics().timers, 1U);
    run_once(loop);
    EXPECT_EQ(loop.statistics().ready, 0U);
    EXPECT_EQ(loop.statistics().callbacks_run, 2U);
    EXPECT_EQ(loop.statistics().iterations, 1U);
  });
}

}  // namespace
}  // namespace weft::loop
