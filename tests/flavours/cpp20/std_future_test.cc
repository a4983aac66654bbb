// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/cpp20/std_future.h"

#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <memory>
#include <optional>
#include <stdexcept>
#include <thread>
#include <utility>

#include "tests/flavours/cpp20/meanwhile.h"
#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/capacity_limiter.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/event.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/threads.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/fibers/timeouts.h"
#include "weft/loop/errors.h"

namespace weft::cpp20 {
namespace {

using fibers::CancelScope;
using fibers::Nursery;
using fibers::open_nursery;
using fibers::testing::wait_all_tasks_blocked;
using test::let_others_wait;
using test::meanwhile;
using namespace std::chrono_literals;

FIBER_TEST(StdFutureTest, ATaskWaitsForOne) {
  std::promise<std::unique_ptr<int>> promise;
  auto future = promise.get_future();
  meanwhile([&] { EXPECT_EQ(*std_future_as_trio(future), 7); },
            [&] { promise.set_value(std::make_unique<int>(7)); });
  EXPECT_FALSE(future.valid());
}

FIBER_TEST(StdFutureTest, ItsErrorIsThrown) {
  std::promise<void> promise;
  auto future = promise.get_future();
  meanwhile([&] { EXPECT_THROW(std_future_as_trio(future), std::runtime_error); },
            [&] { promise.set_exception(std::make_exception_ptr(std::runtime_error("no"))); });
}

FIBER_TEST(StdFutureTest, OneThatIsReadyTakesNoThread) {
  std::promise<int&> promise;
  int number = 1;
  promise.set_value(number);
  auto future = promise.get_future();
  EXPECT_EQ(&std_future_as_trio(future), &number);
  EXPECT_EQ(fibers::testing::active_thread_count(), 0U);
}

FIBER_TEST(StdFutureTest, ADeferredFunctionRunsInTheTask) {
  const auto here = std::this_thread::get_id();
  auto future = std::async(std::launch::deferred, [] {
    fibers::sleep(1s);
    return std::this_thread::get_id();
  });
  EXPECT_EQ(std_future_as_trio(std::move(future)), here);
}

FIBER_TEST(StdFutureTest, SeveralWaitForASharedOne) {
  std::promise<int> promise;
  const std::shared_future<int> future = promise.get_future().share();
  int sum = 0;
  meanwhile(
      [&] {
        open_nursery([&](Nursery& nursery) {
          for (int i = 0; i < 3; ++i) {
            nursery.start_soon([&] { sum += std_future_as_trio(future); });
          }
        });
      },
      [&] { promise.set_value(2); });
  EXPECT_EQ(sum, 6);
}

FIBER_TEST(StdFutureTest, ACancelledTaskWaitsOnAndGetsTheValue) {
  std::promise<int> promise;
  auto future = promise.get_future();
  CancelScope scope;
  int got = 0;
  meanwhile([&] { scope.run([&] { got = std_future_as_trio(future); }); },
            [&] {
              scope.cancel();
              let_others_wait();
              promise.set_value(3);
            });
  EXPECT_EQ(got, 3);
}

FIBER_TEST(StdFutureTest, CancelledBeforeAThreadWaitsNothingIsLost) {
  std::promise<int> promise;
  auto future = promise.get_future();
  CancelScope scope;
  scope.cancel();
  scope.run([&] { std_future_as_trio(future); });
  EXPECT_TRUE(scope.cancelled_caught());
  promise.set_value(4);
  EXPECT_EQ(std_future_as_trio(future), 4);
}

FIBER_TEST(StdFutureTest, OneThatHasBeenMovedInMayBeAbandoned) {
  std::promise<int> promise;
  fibers::CapacityLimiter limiter(1);
  CancelScope scope;
  meanwhile(
      [&] {
        scope.run([&] {
          std_future_as_trio(promise.get_future(),
                             {.abandon_on_cancel = true, .limiter = &limiter});
        });
      },
      [&] { scope.cancel(); });
  EXPECT_TRUE(scope.cancelled_caught());
  promise.set_value(1);  // Lets the thread go.
  CancelScope shield({.shield = true});
  shield.run([&] { limiter.acquire(); });
  limiter.release();
}

FIBER_TEST(StdFutureTest, OneThatHasNotBeenMovedMayNot) {
  std::promise<int> promise;
  auto future = promise.get_future();
  EXPECT_THROW(std_future_as_trio(future, {.abandon_on_cancel = true}), fibers::UsageError);
  EXPECT_TRUE(future.valid());
}

FIBER_TEST(StdFutureTest, OneWithoutAStateIsAUsageError) {
  std::future<int> empty;
  EXPECT_THROW(std_future_as_trio(empty), fibers::UsageError);
}

// --- The other way. ---

FIBER_TEST(StdFutureTest, AThreadWaitsForATask) {
  WEFT_NOT_ALLOCATION_SWEPT("what its thread throws ends the process");
  int got = 0;
  struct Joined {
    std::thread thread;
    ~Joined() {
      if (thread.joinable()) thread.join();
    }
  };
  std::optional<Joined> other(std::in_place);
  open_nursery([&](Nursery& nursery) {
    other->thread = std::thread([&got, future = trio_as_std_future(nursery, [] {
                                         fibers::sleep(1s);
                                         return 5;
                                       })]() mutable {
      try {
        got = future.get();
      } catch (const loop::CancelledError&) {
        // In a sweep.
      }
    });
  });
  other.reset();
  EXPECT_EQ(got, 5);
}

FIBER_TEST(StdFutureTest, WhatTheTaskThrowsGoesToTheFutureOnly) {
  std::future<void> future;
  open_nursery([&](Nursery& nursery) {
    future = trio_as_std_future(nursery, [] { throw std::runtime_error("no"); });
  });
  EXPECT_THROW(future.get(), std::runtime_error);
}

FIBER_TEST(StdFutureTest, ACancelledTaskIsACancelledError) {
  std::future<void> future;
  open_nursery([&](Nursery& nursery) {
    future = trio_as_std_future(nursery, [] { fibers::sleep_forever(); });
    wait_all_tasks_blocked();
    nursery.cancel_scope().cancel();
  });
  EXPECT_THROW(future.get(), loop::CancelledError);
}

}  // namespace
}  // namespace weft::cpp20
