// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/asio/executor.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "tests/flavours/asio/asio_testing.h"
#include "weft/asio/awaitable.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/event.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/run.h"
#include "weft/shim/open_loop.h"

namespace weft::asio {
namespace {

using namespace std::chrono_literals;

static_assert(ba::execution::is_executor<RunExecutor>::value);
static_assert(std::is_constructible_v<ba::any_io_executor, RunExecutor>);

FIBER_TEST(RunExecutorTest, WhatIsPostedIsCalledInOrderOutsideOfTasks) {
  std::vector<int> calls;
  const int returned = open_executor([&](const RunExecutor& executor) {
    fibers::Event called;
    for (int i = 0; i < 5; ++i) ba::post(executor, [&calls, i] { calls.push_back(i); });
    ba::post(executor, [&, owned = std::make_unique<int>(5)] {
      EXPECT_FALSE(fibers::in_trio_task());
      EXPECT_THROW(fibers::checkpoint(), fibers::UsageError);
      EXPECT_EQ(shim::current_async_library(), "asio");
      calls.push_back(*owned);
      called.set();
    });
    EXPECT_TRUE(calls.empty());
    called.wait();
    return 7;
  });
  EXPECT_EQ(returned, 7);
  EXPECT_EQ(calls, (std::vector<int>{0, 1, 2, 3, 4, 5}));
}

FIBER_TEST(RunExecutorTest, DispatchCallsAtOnceInsideACallOnly) {
  std::string order;
  open_executor([&](const RunExecutor& executor) {
    ba::dispatch(executor, [&, executor] {
      EXPECT_TRUE(executor.running_in_this_thread());
      ba::dispatch(executor, [&] { order += 'a'; });
      ba::post(executor, [&] { order += 'd'; });
      ba::defer(executor, [&] { order += 'e'; });
      order += 'b';
    });
    EXPECT_FALSE(executor.running_in_this_thread());
    EXPECT_TRUE(order.empty());
  });
  EXPECT_EQ(order, "abde");
}

FIBER_TEST(RunExecutorTest, PropertiesAreAsios) {
  open_executor([&](const RunExecutor& executor) {
    namespace ex = ba::execution;
    EXPECT_TRUE(ba::query(executor, ex::blocking) == ex::blocking.possibly);
    const auto never = ba::require(executor, ex::blocking.never);
    EXPECT_TRUE(ba::query(never, ex::blocking) == ex::blocking.never);
    EXPECT_TRUE(ba::require(never, ex::blocking.possibly) == executor);
    EXPECT_FALSE(never == executor);
    auto tracked = ba::prefer(executor, ex::outstanding_work.tracked);
    EXPECT_TRUE(ba::query(tracked, ex::outstanding_work) == ex::outstanding_work.tracked);
    RunExecutor other = tracked;
    other = executor;
    EXPECT_TRUE(other == executor);
    EXPECT_TRUE(ba::require(tracked, ex::outstanding_work.untracked) == executor);
    EXPECT_EQ(&ba::query(executor, ex::context), &ba::query(tracked, ex::context));
    const ba::any_io_executor any(executor);
    EXPECT_EQ(*any.target<RunExecutor>(), executor);
    tracked = std::move(other);
  });
}

ba::awaitable<void> hop(int& hops, int count) {
  for (; hops < count; ++hops) co_await ba::post(ba::use_awaitable);
}

// Coroutines and work guards are waited for; nobody has to.
FIBER_TEST(RunExecutorTest, WorkIsWaitedFor) {
  int hops = 0;
  bool posted = false;
  open_executor([&](const RunExecutor& executor) {
    ba::co_spawn(executor, hop(hops, 10), ba::detached);
    ba::post(executor, [&, work = ba::make_work_guard(executor)]() mutable {
      ba::post(executor, [&, kept = std::move(work)] { posted = true; });
    });
  });
  EXPECT_EQ(hops, 10);
  EXPECT_TRUE(posted);
}

FIBER_TEST(RunExecutorTest, TasksWaitForCoroutinesOnIt) {
  open_executor([](const RunExecutor& executor) {
    const auto answer = []() -> ba::awaitable<int> {
      co_await ba::post(ba::use_awaitable);
      co_return 7;
    };
    EXPECT_EQ(await(answer(), executor), 7);
    ba::post(executor, use_fiber);
  });
}

FIBER_TEST(RunExecutorTest, WhatACallThrowsCancelsTheBody) {
  bool called = false;
  const auto fail = [&](const RunExecutor& executor) {
    ba::post(executor, [] { throw std::out_of_range("far"); });
    ba::post(executor, [&] { called = true; });
    fibers::sleep_forever();
  };
  EXPECT_THROW(open_executor(fail), std::out_of_range);
  EXPECT_TRUE(called);
  EXPECT_THROW(open_executor([](const RunExecutor& executor) {
                 ba::post(executor, [] { throw std::out_of_range("far"); });
               }),
               std::out_of_range);
  const auto fail_twice = [](const RunExecutor& executor) {
    ba::post(executor, [] { throw std::out_of_range("far"); });
    ba::post(executor, [] { throw std::length_error("long"); });
    fibers::sleep_forever();
  };
  EXPECT_THROW(open_executor(fail_twice), fibers::ExceptionGroup);
}

// Whoever throws, or is cancelled, does not wait: what is left is destroyed, and so is what comes.
FIBER_TEST(RunExecutorTest, WithoutTheBodyNothingIsCalledAnyMore) {
  int calls = 0;
  std::optional<RunExecutor> late;
  const auto left = std::make_shared<int>(1);
  EXPECT_THROW(open_executor([&](const RunExecutor& executor) {
                 late = executor;
                 ba::post(executor, [&, left] { ++calls; });
                 throw std::out_of_range("far");
               }),
               std::out_of_range);
  EXPECT_EQ(left.use_count(), 1);
  if (late) ba::post(*late, [&, left] { ++calls; });
  EXPECT_EQ(left.use_count(), 1);
  fibers::CancelScope scope;
  scope.run([&] {
    open_executor([&](const RunExecutor& executor) {
      late = ba::prefer(executor, ba::execution::outstanding_work.tracked);
      scope.cancel();
    });
  });
  EXPECT_TRUE(scope.cancelled_caught());
  EXPECT_EQ(calls, 0);
}

FIBER_TEST(RunExecutorTest, AnOperationThatIsDroppedAtTheEndIsTold) {
  fibers::open_nursery([&](fibers::Nursery& nursery) {
    EXPECT_THROW(open_executor([&](const RunExecutor& executor) {
                   nursery.start_soon([executor] {
                     EXPECT_THROW(ba::post(executor, use_fiber), fibers::BrokenResourceError);
                   });
                   fibers::checkpoint();
                   throw std::out_of_range("far");
                 }),
                 std::out_of_range);
  });
}

TEST(RunExecutorThreadsTest, OtherThreadsPost) {
  fibers::run([] {
    constexpr int kCalls = 2000;
    int calls = 0;
    const auto here = std::this_thread::get_id();
    std::vector<std::jthread> threads;
    open_executor([&](const RunExecutor& executor) {
      for (int thread = 0; thread < 3; ++thread) {
        threads.emplace_back([&, work = ba::make_work_guard(executor)] {
          for (int i = 0; i < kCalls; ++i) {
            ba::post(work.get_executor(), [&] {
              EXPECT_EQ(std::this_thread::get_id(), here);
              ++calls;
            });
          }
        });
      }
    });
    EXPECT_EQ(calls, 3 * kCalls);
  });
}

// Threads that know nothing of the end.
TEST(RunExecutorThreadsTest, CallsMeetTheEnd) {
  fibers::run([] {
    for (int round = 0; round < 20; ++round) {
      std::jthread thread;
      const auto left = std::make_shared<int>(0);
      EXPECT_THROW(open_executor([&](const RunExecutor& executor) {
                     thread = std::jthread([executor, left] {
                       for (int i = 0; i < 200; ++i) ba::post(executor, [left] { ++*left; });
                     });
                     for (int i = 0; i < round; ++i) fibers::checkpoint();
                     throw std::out_of_range("far");
                   }),
                   std::out_of_range);
      thread.join();
      EXPECT_EQ(left.use_count(), 1);
    }
  });
}

// The thread that waits for them is Asio's own.
TEST(RunExecutorThreadsTest, TimersAndSocketsCallHere) {
  fibers::run([] {
    std::size_t received = 0;
    bool rung = false;
    open_executor([&](const RunExecutor& executor) {
      const auto here = std::this_thread::get_id();
      ba::steady_timer timer(executor, 1ms);
      timer.async_wait([&](error_code) {
        EXPECT_EQ(std::this_thread::get_id(), here);
        rung = true;
      });
      ba::local::stream_protocol::socket one(executor);
      ba::local::stream_protocol::socket two(executor);
      ba::local::connect_pair(one, two);
      ba::async_write(one, ba::buffer("hello", 5), use_fiber);
      std::array<char, 5> bytes{};
      received = ba::async_read(two, ba::buffer(bytes), use_fiber);
      ba::steady_timer other(executor, 1h);
      EXPECT_FALSE(fibers::move_on_after(1ms, [&] { other.async_wait(use_fiber); }));
      timer.async_wait(use_fiber);
    });
    EXPECT_EQ(received, 5U);
    EXPECT_TRUE(rung);
  });
}

}  // namespace
}  // namespace weft::asio
