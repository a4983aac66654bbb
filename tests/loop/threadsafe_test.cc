// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include <atomic>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include "tests/loop/loop_testing.h"
#include "weft/fibers/to_thread.h"

namespace weft::loop {
namespace {

using testing::run_once;
using testing::thrown;
using testing::with_idle_loop;
using testing::with_loop;
using namespace std::chrono_literals;

// asyncio: claims_ready_queue::threadsafe_wakes_an_idle_poll
// asyncio: test_events.py::EventLoopTestsMixin::test_call_soon_threadsafe
FIBER_TEST(ThreadsafeTest, WakesAnIdleLoop) {
  with_loop([](EventLoop& loop) {
    const auto here = std::this_thread::get_id();
    std::thread::id ran_on;
    const bool woken = fibers::to_thread::run_sync([&] {
      std::promise<void> done;
      loop.call_soon_threadsafe([&] {
        ran_on = std::this_thread::get_id();
        done.set_value();
      });
      return done.get_future().wait_for(10s) == std::future_status::ready;
    });
    EXPECT_TRUE(woken);
    EXPECT_EQ(ran_on, here);
  });
}

// asyncio: claims_ready_queue::threadsafe_is_fifo_with_call_soon_of_the_same_thread
// asyncio: test_events.py::EventLoopTestsMixin::test_call_soon_threadsafe_same_thread
FIBER_TEST(ThreadsafeTest, KeepsTheOrderWithCallSoonOfTheSameThread) {
  with_idle_loop([](EventLoop& loop) {
    std::vector<int> order;
    loop.call_soon([&] { order.push_back(0); });
    loop.call_soon_threadsafe([&] { order.push_back(1); });
    loop.call_soon([&] { order.push_back(2); });
    loop.call_soon_threadsafe([&] { order.push_back(3); });
    run_once(loop);
    EXPECT_EQ(order, (std::vector{0, 1, 2, 3}));
  });
}

// What another thread scheduled before this one did runs before it, although the loop has not
// looked yet.
// asyncio: claims_ready_queue::threadsafe_follows_what_happened_before
FIBER_TEST(ThreadsafeTest, EarlierCallOfAnotherThreadRunsEarlier) {
  WEFT_NOT_ALLOCATION_SWEPT("what its thread throws ends the process");
  with_idle_loop([](EventLoop& loop) {
    std::vector<std::string> order;
    std::thread([&] { loop.call_soon_threadsafe([&] { order.emplace_back("thread"); }); }).join();
    loop.call_soon([&] { order.emplace_back("loop"); });
    run_once(loop);
    EXPECT_EQ(order, (std::vector<std::string>{"thread", "loop"}));
  });
}

FIBER_TEST(ThreadsafeTest, CallsOfOneThreadKeepTheirOrder) {
  with_loop([](EventLoop& loop) {
    std::vector<int> order;
    fibers::to_thread::run_sync([&] {
      for (int i = 0; i < 1000; ++i) loop.call_soon_threadsafe([&order, i] { order.push_back(i); });
    });
    loop.synchronize();
    ASSERT_EQ(order.size(), 1000U);
    EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
  });
}

FIBER_TEST(ThreadsafeTest, NothingIsLostFromSeveralThreads) {
  with_loop([](EventLoop& loop) {
    int ran = 0;
    fibers::open_nursery([&](fibers::Nursery& nursery) {
      for (int t = 0; t < 4; ++t) {
        nursery.start_soon([&] {
          fibers::to_thread::run_sync([&] {
            for (int i = 0; i < 500; ++i) loop.call_soon_threadsafe([&ran] { ++ran; });
          });
        });
      }
    });
    loop.synchronize();
    EXPECT_EQ(ran, 2000);
  });
}

FIBER_TEST(ThreadsafeTest, CancelBeforeTheLoopHasLooked) {
  WEFT_NOT_ALLOCATION_SWEPT("what its thread throws ends the process");
  with_idle_loop([](EventLoop& loop) {
    ThreadsafeHandle handle;
    std::thread([&] {
      handle = loop.call_soon_threadsafe([] { ADD_FAILURE(); });
      EXPECT_FALSE(handle.cancelled());
      handle.cancel();
      EXPECT_TRUE(handle.cancelled());
    }).join();
    run_once(loop);
  });
}

FIBER_TEST(ThreadsafeTest, CancelOnTheLoopsThread) {
  with_idle_loop([](EventLoop& loop) {
    auto resource = std::make_shared<int>(0);
    ThreadsafeHandle handle = loop.call_soon_threadsafe([resource] { ADD_FAILURE(); });
    handle.cancel();
    EXPECT_EQ(resource.use_count(), 1);
    run_once(loop);
    EXPECT_TRUE(handle.cancelled());
  });
}

FIBER_TEST(ThreadsafeTest, CancelOfABlockedCallbackFromAnotherThread) {
  bool cancelled = false;
  with_loop([&](EventLoop& loop) {
    ThreadsafeHandle handle = loop.call_soon_threadsafe([&] {
      try {
        fibers::sleep_forever();
      } catch (const fibers::Cancelled&) {
        cancelled = true;
        throw;
      }
    });
    loop.synchronize();
    fibers::to_thread::run_sync([&] { handle.cancel(); });
    loop.wait_blocked();
    EXPECT_TRUE(cancelled);
  });
}

FIBER_TEST(ThreadsafeTest, CancelAfterTheEndIsHarmless) {
  with_loop([](EventLoop& loop) {
    ThreadsafeHandle handle = loop.call_soon_threadsafe([] {});
    loop.synchronize();
    handle.cancel();
    EXPECT_FALSE(handle.cancelled());
  });
}

// Whoever cancels from another thread cannot know that the loop is being closed.
FIBER_TEST(ThreadsafeTest, CancelOfACallbackOfAClosedLoopIsHarmless) {
  WEFT_NOT_ALLOCATION_SWEPT("what its thread expects counts");
  with_idle_loop([&](EventLoop& loop) {
    ThreadsafeHandle handle = loop.call_soon_threadsafe([] { fibers::sleep_forever(); });
    run_once(loop);
    ASSERT_EQ(loop.statistics().blocked, 1U);
    loop.close();  // The callback has not unwound yet.
    std::thread([&] {
      EXPECT_NO_THROW(handle.cancel());
      EXPECT_TRUE(handle.cancelled());
    }).join();
  });
}

FIBER_TEST(ThreadsafeTest, CallableDiesOnTheLoopsThread) {
  WEFT_NOT_ALLOCATION_SWEPT("what its thread throws ends the process");
  struct Tracker {
    std::thread::id* died_on;
    explicit Tracker(std::thread::id* d) : died_on(d) {}
    Tracker(Tracker&& other) noexcept : died_on(std::exchange(other.died_on, nullptr)) {}
    ~Tracker() {
      if (died_on != nullptr) *died_on = std::this_thread::get_id();
    }
    void operator()() const {}
  };
  with_idle_loop([](EventLoop& loop) {
    std::thread::id died_on;
    ThreadsafeHandle kept;
    std::thread([&] {
      kept = loop.call_soon_threadsafe(Tracker(&died_on));
      kept.cancel();
    }).join();
    EXPECT_EQ(died_on, std::thread::id());
    run_once(loop);
    EXPECT_EQ(died_on, std::this_thread::get_id());
  });
}

// asyncio: claims_ready_queue::a_wrong_thread_is_refused
// asyncio: test_base_events.py::BaseEventLoopTests::test_check_thread
FIBER_TEST(ThreadsafeTest, OtherCallsFromAnotherThreadAreRefused) {
  WEFT_NOT_ALLOCATION_SWEPT("what its thread throws ends the process");
  with_idle_loop([](EventLoop& loop) {
    std::thread([&] {
      EXPECT_NE(
          thrown<fibers::UsageError>([&] { loop.call_soon([] {}); }).find("call_soon_threadsafe"),
          std::string::npos);
      EXPECT_THROW(loop.call_later(1s, [] {}), fibers::UsageError);
      EXPECT_NE(thrown<fibers::UsageError>([&] { loop.stop(); }).find("call_soon_threadsafe"),
                std::string::npos);
    }).join();
  });
}

// A library's thread that ends a future itself is the mistake that everybody makes once.
FIBER_TEST(ThreadsafeTest, AFutureIsEndedOnItsLoopsThreadOnly) {
  WEFT_NOT_ALLOCATION_SWEPT("what its thread throws ends the process");
  with_idle_loop([](EventLoop& loop) {
    Future<std::string> future = loop.create_future<std::string>();
    future.add_done_callback([] {});
    std::thread([&] {
      EXPECT_NE(
          thrown<fibers::UsageError>([&] { future.set_result("x"); }).find("call_soon_threadsafe"),
          std::string::npos);
      EXPECT_THROW(future.set_exception(std::runtime_error("x")), fibers::UsageError);
      EXPECT_THROW(future.cancel(), fibers::UsageError);
    }).join();
    EXPECT_FALSE(future.done());
    EXPECT_EQ(loop.statistics().ready, 0U);
  });
}

FIBER_TEST(ThreadsafeTest, WhatIsLeftAtTheCloseIsDropped) {
  WEFT_NOT_ALLOCATION_SWEPT("what its thread throws ends the process");
  auto resource = std::make_shared<int>(0);
  ThreadsafeHandle handle;
  with_idle_loop([&](EventLoop& loop) {
    std::thread([&] { handle = loop.call_soon_threadsafe([resource] { ADD_FAILURE(); }); }).join();
    loop.close();
    EXPECT_EQ(resource.use_count(), 1);
    std::thread([&] {
      EXPECT_NE(thrown<fibers::UsageError>([&] {
                  loop.call_soon_threadsafe([] {});
                }).find("Event loop is closed"),
                std::string::npos);
    }).join();
  });
  handle.cancel();
}

}  // namespace
}  // namespace weft::loop
