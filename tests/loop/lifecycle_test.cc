// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Starting, stopping, draining and closing.

#include <csignal>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/loop/loop_testing.h"
#include "weft/fibers/lowlevel.h"

namespace weft::loop {
namespace {

using testing::run_once;
using testing::thrown;
using testing::with_idle_loop;
using testing::with_loop;

// asyncio: claims_running::stop_finishes_the_iteration
// asyncio: claims_running::what_the_last_iteration_schedules_stays_for_the_next_run
FIBER_TEST(LifecycleTest, StopFinishesTheIteration) {
  with_idle_loop([](EventLoop& loop) {
    std::vector<std::string> order;
    loop.call_soon([&] {
      loop.stop();
      loop.call_soon([&] { order.emplace_back("next run"); });
    });
    loop.call_soon([&] { order.emplace_back("same iteration"); });
    loop.main_loop();
    EXPECT_EQ(order, (std::vector<std::string>{"same iteration"}));
    run_once(loop);
    EXPECT_EQ(order.back(), "next run");
  });
}

// asyncio: test_base_events.py::BaseEventLoopTests::test_run_once
FIBER_TEST(LifecycleTest, AScheduledStopLetsWhatIsBeforeItRunOnce) {
  with_idle_loop([](EventLoop& loop) {
    int ran = 0;
    loop.call_soon([&] {
      ++ran;
      loop.call_soon([&] { ++ran; });
    });
    loop.call_soon([&] { loop.stop(); });
    loop.main_loop();
    EXPECT_EQ(ran, 1);
  });
}

// asyncio: claims_running::stop_before_run_forever_is_one_iteration_that_polls
FIBER_TEST(LifecycleTest, StopBeforeRunningMeansOneIteration) {
  with_idle_loop([](EventLoop& loop) {
    int ran = 0;
    loop.call_soon([&] {
      ++ran;
      loop.call_soon([&] { ++ran; });
    });
    loop.stop();
    loop.main_loop();
    EXPECT_EQ(ran, 1);
    EXPECT_EQ(loop.statistics().iterations, 1U);
  });
}

FIBER_TEST(LifecycleTest, StopFromAnotherTaskWakesTheIdleLoop) {
  with_loop([](EventLoop& loop) {
    fibers::sleep(std::chrono::seconds(1));
    loop.stop();
    loop.wait_stopped();
    EXPECT_FALSE(loop.is_running());
  });
}

FIBER_TEST(LifecycleTest, IsRunningFromStartToStop) {
  with_idle_loop([](EventLoop& loop) {
    EXPECT_FALSE(loop.is_running());
    bool inside = false;
    loop.call_soon([&] { inside = loop.is_running(); });
    run_once(loop);
    EXPECT_TRUE(inside);
    EXPECT_FALSE(loop.is_running());
  });
}

FIBER_TEST(LifecycleTest, SecondMainLoopIsRefused) {
  with_loop([](EventLoop& loop) {
    EXPECT_NE(thrown<fibers::UsageError>([&] { loop.main_loop(); }).find("already running"),
              std::string::npos);
    EXPECT_THROW(loop.drain(), fibers::UsageError);
  });
}

// asyncio: claims_running::close_while_running_is_refused
FIBER_TEST(LifecycleTest, CloseWhileRunningIsRefused) {
  with_loop([](EventLoop& loop) {
    EXPECT_NE(
        thrown<fibers::UsageError>([&] { loop.close(); }).find("Cannot close a running event loop"),
        std::string::npos);
    EXPECT_FALSE(loop.is_closed());
  });
}

// asyncio: claims_ready_queue::a_closed_loop_refuses_calls
// asyncio: claims_descriptors::remove_of_an_unknown_one_is_false_also_after_close
// asyncio: claims_running::close_twice_is_fine
// asyncio: test_base_events.py::BaseEventLoopTests::test_close
FIBER_TEST(LifecycleTest, ClosedLoopRefusesWork) {
  with_idle_loop([](EventLoop& loop) {
    loop.close();
    loop.close();
    EXPECT_TRUE(loop.is_closed());
    const auto refused = [](auto&& fn) {
      EXPECT_NE(thrown<fibers::UsageError>(fn).find("Event loop is closed"), std::string::npos);
    };
    refused([&] { loop.call_soon([] {}); });
    refused([&] { loop.call_later(std::chrono::seconds(1), [] {}); });
    refused([&] { loop.call_at(loop.time(), [] {}); });
    refused([&] { loop.call_soon_threadsafe([] {}); });
    refused([&] { loop.add_reader(0, [] {}); });
    refused([&] { loop.add_writer(0, [] {}); });
    refused([&] { loop.add_prepare([] {}); });
    refused([&] { loop.main_loop(); });
    EXPECT_FALSE(loop.remove_reader(0));
    EXPECT_FALSE(loop.remove_writer(0));
    EXPECT_FALSE(loop.synchronize());
    loop.wait_stopped();
  });
}

FIBER_TEST(LifecycleTest, CloseDropsWhatIsScheduled) {
  with_idle_loop([](EventLoop& loop) {
    auto resource = std::make_shared<int>(0);
    const Handle soon = loop.call_soon([resource] { ADD_FAILURE(); });
    const Handle later = loop.call_later(std::chrono::seconds(1), [resource] { ADD_FAILURE(); });
    loop.add_prepare([resource] {});
    Future<int> future = loop.create_future<int>();
    future.set_result(1);
    future.add_done_callback([resource] { ADD_FAILURE(); });
    EXPECT_EQ(resource.use_count(), 5);
    loop.close();
    EXPECT_EQ(resource.use_count(), 1);
    EXPECT_TRUE(soon.cancelled());
    EXPECT_TRUE(later.cancelled());
    EXPECT_EQ(loop.statistics().timers, 0U);
  });
}

FIBER_TEST(LifecycleTest, DrainRunsAllThatIsReadyAndNoTimers) {
  with_idle_loop([](EventLoop& loop) {
    int depth = 0;
    std::function<void()> deeper = [&] {
      if (++depth < 10) loop.call_soon(deeper);
    };
    loop.call_soon(deeper);
    bool timer = false;
    loop.call_later(std::chrono::seconds(-1), [&] { timer = true; });
    loop.drain();
    EXPECT_EQ(depth, 10);
    EXPECT_FALSE(timer);
    loop.drain();
  });
}

FIBER_TEST(LifecycleTest, MainLoopIsShieldedFromCancellation) {
  with_idle_loop([](EventLoop& loop) {
    bool late = false;
    fibers::CancelScope scope;
    scope.run([&] {
      scope.cancel();
      loop.call_later(std::chrono::seconds(5), [&] {
        late = true;
        loop.stop();
      });
      loop.main_loop();
    });
    EXPECT_TRUE(late);
    EXPECT_FALSE(scope.cancelled_caught());
  });
}

FIBER_TEST(LifecycleTest, LoopRunsInANurseryThatIsCancelled) {
  fibers::open_nursery([](fibers::Nursery& nursery) {
    EventLoop loop(nursery);
    testing::be_strict(loop);
    loop.start();
    nursery.cancel_scope().cancel();
    fibers::CancelScope shield({.shield = true});
    shield.run([&] {
      int woken = 0;
      for (int i = 0; i < 40; ++i) {
        loop.call_soon([&] {
          fibers::sleep(std::chrono::seconds(1));
          ++woken;
        });
      }
      fibers::sleep(std::chrono::seconds(2));
      EXPECT_EQ(woken, 40);
      loop.stop();
      loop.wait_stopped();
    });
  });
}

// asyncio: claims_ready_queue::an_interrupt_leaves_the_loop_and_the_rest_stays_queued
// asyncio: test_base_events.py::BaseEventLoopTests::test_run_forever_keyboard_interrupt
FIBER_TEST(LifecycleTest, InterruptOutOfACallbackEndsMainLoopAndKeepsTheRest) {
  with_idle_loop([](EventLoop& loop) {
    bool rest = false;
    loop.call_soon([] { throw fibers::KeyboardInterrupt(); });
    loop.call_soon([&] { rest = true; });
    EXPECT_THROW(loop.main_loop(), fibers::KeyboardInterrupt);
    EXPECT_FALSE(rest);
    EXPECT_FALSE(loop.is_running());
    run_once(loop);
    EXPECT_TRUE(rest);
  });
}

// Also when it has waited, so that another task runs the loop meanwhile: at rest, in the middle of
// an iteration, or not at all yet.
FIBER_TEST(LifecycleTest, InterruptOutOfACallbackThatHasBlockedEndsMainLoop) {
  for (const int others : {0, 1, 2}) {
    with_idle_loop([&](EventLoop& loop) {
      bool later = false;
      loop.call_soon([] {
        fibers::sleep(std::chrono::seconds(1));
        throw fibers::KeyboardInterrupt();
      });
      for (int i = 0; i < others; ++i) {
        loop.call_later(std::chrono::seconds(1), [] { fibers::sleep(std::chrono::seconds(1)); });
      }
      loop.call_later(std::chrono::hours(1), [&] { later = true; });
      EXPECT_THROW(loop.main_loop(), fibers::KeyboardInterrupt);
      EXPECT_FALSE(loop.is_running());
      EXPECT_FALSE(later);
    });
  }
}

FIBER_TEST(LifecycleTest, CtrlCReachesTheMainTaskInMainLoop) {
  with_idle_loop([](EventLoop& loop) {
    bool rest = false;
    loop.call_soon([&] {
      ::raise(SIGINT);
      loop.call_later(std::chrono::hours(1), [&] { rest = true; });
    });
    EXPECT_THROW(loop.main_loop(), fibers::KeyboardInterrupt);
    EXPECT_FALSE(loop.is_running());
    EXPECT_FALSE(rest);
  });
}

// What does not end it, a cancellation, does not keep from it what does.
FIBER_TEST(LifecycleTest, CtrlCReachesMainLoopAlsoWhenItIsCancelled) {
  with_idle_loop([](EventLoop& loop) {
    loop.call_later(std::chrono::seconds(2), [] { ::raise(SIGINT); });
    fibers::CancelScope scope({.relative_deadline = std::chrono::seconds(1)});
    EXPECT_THROW(scope.run([&] { loop.main_loop(); }), fibers::KeyboardInterrupt);
    EXPECT_FALSE(loop.is_running());
  });
}

FIBER_TEST(LifecycleTest, DestroyingARunningLoopEndsIt) {
  fibers::open_nursery([](fibers::Nursery& nursery) {
    EventLoop loop(nursery);
    loop.start();
    loop.call_soon([] { fibers::sleep_forever(); });
    fibers::sleep(std::chrono::seconds(1));
  });
}

// What it has scheduled may refer to it, and to what is destroyed with it.
FIBER_TEST(LifecycleTest, DestroyingARunningLoopRunsNothingMore) {
  bool dropped = false;
  bool cut_short = false;
  struct Ended {
    bool& flag;
    ~Ended() { flag = true; }
  };
  fibers::open_nursery([&](fibers::Nursery& nursery) {
    EventLoop loop(nursery);
    loop.start();
    loop.call_soon([&] {
      const Ended ended{cut_short};
      fibers::sleep_forever();
    });
    fibers::sleep(std::chrono::seconds(1));
    const auto late = [] { ADD_FAILURE() << "a callback of a loop that is no more"; };
    loop.call_soon([held = std::make_unique<Ended>(dropped)] { ADD_FAILURE(); });
    loop.call_soon(late);
    loop.call_later(std::chrono::seconds(0), late);
    loop.add_prepare([&] {
      ADD_FAILURE();
      return fibers::kForever;
    });
  });
  EXPECT_TRUE(dropped);
  EXPECT_TRUE(cut_short);
}

FIBER_TEST(LifecycleTest, TasksThatWaitForALoopMayOutliveIt) {
  std::unique_ptr<EventLoop> loop;
  fibers::open_nursery([&](fibers::Nursery& outer) {
    fibers::open_nursery([&](fibers::Nursery& nursery) {
      loop = std::make_unique<EventLoop>(nursery);
      struct Destroy {  // Also if this body is cut short: nobody else ends the callback.
        std::unique_ptr<EventLoop>& loop;
        ~Destroy() { loop.reset(); }
      } const destroy{loop};
      loop->start();
      loop->call_soon([] { fibers::sleep_forever(); });
      outer.start_soon([&] {
        if (loop != nullptr) loop->wait_stopped();
      });
      outer.start_soon([&] {
        if (loop != nullptr) loop->wait_blocked();
      });
      fibers::sleep(std::chrono::seconds(1));
    });
  });
}

// From outside, and while it asks its hooks.
FIBER_TEST(LifecycleTest, AHookOrACallbackMayDestroyTheLoop) {
  WEFT_NOT_ALLOCATION_SWEPT("its loop outlives the nursery that waits for it");
  for (const bool by_hook : {false, true}) {
    std::unique_ptr<EventLoop> loop;
    int asked = 0;
    fibers::open_nursery([&](fibers::Nursery& nursery) {
      loop = std::make_unique<EventLoop>(nursery);
      loop->start();
      const auto destroy = [&] {
        ++asked;
        loop.reset();
      };
      if (by_hook) {
        for (int i = 0; i < 2; ++i) {
          loop->add_prepare([destroy] {
            destroy();
            return fibers::kForever;
          });
        }
      } else {
        for (int i = 0; i < 2; ++i) loop->call_soon(destroy);
      }
    });
    EXPECT_EQ(asked, 1);
  }
}

FIBER_TEST(LifecycleTest, AStartThatIsCancelledDoesNotWaitForTheLoop) {
  fibers::open_nursery([&](fibers::Nursery& nursery) {
    EventLoop loop(nursery);
    fibers::CancelScope scope;
    scope.cancel();
    scope.run([&] { loop.start(); });
    EXPECT_TRUE(scope.cancelled_caught());
    EXPECT_FALSE(loop.is_running());
    // And can be run afterwards.
    loop.start();
    EXPECT_TRUE(loop.is_running());
  });
}

FIBER_TEST(LifecycleTest, HandlesAndFuturesOutliveTheLoop) {
  Handle handle;
  Future<int> future;
  with_idle_loop([&](EventLoop& loop) {
    handle = loop.call_soon([] {});
    future = loop.create_future<int>();
  });
  handle.cancel();
  EXPECT_TRUE(handle.cancelled());
  future.set_result(3);
  EXPECT_EQ(future.result(), 3);
  EXPECT_THROW(future.get_loop(), fibers::UsageError);
}

FIBER_TEST(LifecycleTest, UnboundCallbacksOfAFutureOfAClosedLoopAreRefused) {
  Future<int> future;
  with_idle_loop([&](EventLoop& loop) {
    future = loop.create_future<int>();
    future.add_done_callback([] { ADD_FAILURE(); });
  });
  EXPECT_NE(thrown<fibers::UsageError>([&] { future.set_result(1); }).find("closed"),
            std::string::npos);
  EXPECT_EQ(future.result(), 1);
}

// asyncio: claims_running::a_loop_can_be_run_again
FIBER_TEST(LifecycleTest, LoopCanBeRunAgain) {
  with_idle_loop([](EventLoop& loop) {
    for (int run = 0; run < 3; ++run) {
      loop.call_soon([&] { loop.stop(); });
      loop.main_loop();
    }
    EXPECT_EQ(loop.statistics().callbacks_run, 3U);
    EXPECT_LE(loop.statistics().runners_idle, 1U);
  });
}

}  // namespace
}  // namespace weft::loop
