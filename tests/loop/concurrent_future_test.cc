// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/concurrent_future.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "tests/loop/loop_testing.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/to_thread.h"
#include "weft/loop/errors.h"

namespace weft::loop {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using namespace testing;  // NOLINT: the helpers of the folder.

TEST(ConcurrentFutureTest, GoesFromPendingThroughRunningToFinished) {
  auto future = ConcurrentFuture<int>::create();
  EXPECT_FALSE(future.running() || future.done() || future.cancelled());
  EXPECT_TRUE(future.set_running_or_notify_cancel());
  EXPECT_TRUE(future.running());
  EXPECT_FALSE(future.cancel());
  future.set_result(42);
  EXPECT_FALSE(future.running());
  EXPECT_TRUE(future.done());
  EXPECT_EQ(future.result(), 42);
  EXPECT_EQ(future.exception(), nullptr);
  EXPECT_FALSE(future.cancel());
  EXPECT_THROW(future.set_result(1), InvalidStateError);
  EXPECT_THROW(future.set_exception(std::make_exception_ptr(1)), InvalidStateError);
}

TEST(ConcurrentFutureTest, CancelsWhatHasNotBegun) {
  auto future = ConcurrentFuture<int>::create();
  EXPECT_TRUE(future.cancel());
  EXPECT_TRUE(future.cancel());
  EXPECT_TRUE(future.cancelled());
  EXPECT_TRUE(future.done());
  EXPECT_THROW(static_cast<void>(future.result()), CancelledError);
  EXPECT_THROW(static_cast<void>(future.exception()), CancelledError);
  EXPECT_THROW(future.set_result(1), InvalidStateError);
  EXPECT_FALSE(future.set_running_or_notify_cancel());
  EXPECT_TRUE(future.cancelled());
  EXPECT_THAT(thrown<fibers::UsageError>([&] { future.set_running_or_notify_cancel(); }),
              HasSubstr("Future in unexpected state"));
}

TEST(ConcurrentFutureTest, ThrowsItsException) {
  auto future = ConcurrentFuture<void>::create();
  EXPECT_THROW(future.set_exception(nullptr), fibers::UsageError);
  future.set_exception(std::make_exception_ptr(std::runtime_error("broken")));
  EXPECT_EQ(thrown<std::runtime_error>([&] { future.result(); }), "broken");
  EXPECT_NE(future.exception(), nullptr);
}

TEST(ConcurrentFutureTest, WaitsNoLongerThanItsTimeout) {
  auto future = ConcurrentFuture<int>::create();
  EXPECT_THROW(static_cast<void>(future.result(0s)), TimeoutError);
  EXPECT_THROW(static_cast<void>(future.exception(-1s)), TimeoutError);
  EXPECT_FALSE(future.done());
}

FIBER_TEST(ConcurrentFutureInTaskTest, SuspendsTheTaskAlone) {
  auto future = ConcurrentFuture<int>::create();
  int others = 0;
  fibers::open_nursery([&](fibers::Nursery& nursery) {
    nursery.start_soon([&] {
      fibers::sleep(1s);
      ++others;
      future.set_result(7);
    });
    EXPECT_EQ(future.result(), 7);
    EXPECT_EQ(others, 1);
  });
  EXPECT_THROW(static_cast<void>(ConcurrentFuture<int>::create().result(3s)), TimeoutError);
}

TEST(ConcurrentFutureTest, WakesThreads) {
  auto future = ConcurrentFuture<std::string>::create();
  std::vector<std::string> seen(3);
  std::vector<std::jthread> threads;
  threads.reserve(seen.size());
  for (std::string& each : seen) threads.emplace_back([&each, future] { each = future.result(); });
  future.set_result("all");
  threads.clear();
  EXPECT_THAT(seen, ElementsAre("all", "all", "all"));
}

TEST(ConcurrentFutureTest, CallsBackInOrderOnTheThreadThatEndsIt) {
  auto future = ConcurrentFuture<int>::create();
  std::vector<int> order;
  std::thread::id called_on;
  future.add_done_callback([&](const ConcurrentFuture<int>& done) {
    called_on = std::this_thread::get_id();
    order.push_back(done.result());
  });
  future.add_done_callback([&] { order.push_back(2); });
  std::thread::id ended_on;
  std::thread([&] {
    ended_on = std::this_thread::get_id();
    future.set_result(1);
  }).join();
  EXPECT_EQ(called_on, ended_on);
  EXPECT_THAT(order, ElementsAre(1, 2));
  future.add_done_callback([&] { order.push_back(3); });
  EXPECT_THAT(order, ElementsAre(1, 2, 3));
}

TEST(ConcurrentFutureTest, LogsWhatACallbackThrowsAndGoesOn) {
  CapturedLog log;
  auto future = ConcurrentFuture<int>::create();
  bool called = false;
  future.add_done_callback([] { throw std::runtime_error("from a callback"); });
  future.add_done_callback([&] { called = true; });
  EXPECT_TRUE(future.cancel());
  EXPECT_TRUE(called);
  ASSERT_EQ(log.lines.size(), 1U);
  EXPECT_THAT(log.lines[0], HasSubstr("exception calling a callback"));
  EXPECT_THAT(log.lines[0], HasSubstr("from a callback"));
}

TEST(ConcurrentFutureTest, ATemporaryGivesItsValueAway) {
  auto future = ConcurrentFuture<std::unique_ptr<int>>::create();
  future.set_result(std::make_unique<int>(5));
  const std::unique_ptr<int> value = std::move(future).result();
  EXPECT_EQ(*value, 5);
}

TEST(ConcurrentFutureTest, AValueThatCannotBeMadeLeavesItPending) {
  struct Refuses {
    explicit Refuses(bool refuse) {
      if (refuse) throw std::runtime_error("no");
    }
  };
  auto future = ConcurrentFuture<Refuses>::create();
  EXPECT_THROW(future.set_result(true), std::runtime_error);
  EXPECT_FALSE(future.done());
  future.set_result(false);
  EXPECT_TRUE(future.done());
}

TEST(ConcurrentFutureTest, AnEmptyOneSaysSo) {
  const ConcurrentFuture<int> empty;
  EXPECT_FALSE(empty);
  EXPECT_THROW(static_cast<void>(empty.done()), fibers::UsageError);
}

// One of several threads ends it; all of them agree on how.
TEST(ConcurrentFutureTest, RacingThreadsEndItOnce) {
  for (int round = 0; round < 200; ++round) {
    auto future = ConcurrentFuture<int>::create();
    std::atomic<int> won = 0;
    std::atomic<int> called = 0;
    future.add_done_callback([&] { ++called; });
    {
      const std::jthread canceller([&, future]() mutable { won += future.cancel() ? 1 : 0; });
      const std::jthread setter([&, future]() mutable {
        try {
          future.set_result(1);
          ++won;
        } catch (const InvalidStateError&) {
        }
      });
      const std::jthread waiter([future] {
        try {
          EXPECT_EQ(future.result(), 1);
        } catch (const CancelledError&) {
        }
      });
    }
    EXPECT_EQ(won, 1);
    EXPECT_EQ(called, 1);
  }
}

}  // namespace
}  // namespace weft::loop
