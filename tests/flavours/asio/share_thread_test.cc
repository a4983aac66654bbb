// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/asio/share_thread.h"

#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <cstddef>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "tests/flavours/asio/asio_testing.h"
#include "tests/support/pipe.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/event.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/io.h"
#include "weft/fibers/run.h"
#include "weft/fibers/to_thread.h"
#include "weft/shim/open_loop.h"

namespace weft::asio {
namespace {

using namespace std::chrono_literals;

// In the machine's time: Asio's timers know no other.
TEST(AsioShareThreadTest, HandlersGoOnBesideTasks) {
  ba::io_context context;
  fibers::Event rung;
  std::string library;
  const int value = fibers::run([&] {
    return share_thread(context, [&] {
      EXPECT_EQ(&current_context(), &context);
      EXPECT_EQ(shim::current_async_library(), "trio");
      ba::steady_timer timer(context, 1ms);
      timer.async_wait([&](error_code) {
        EXPECT_FALSE(fibers::in_trio_task());
        EXPECT_THROW(fibers::checkpoint(), fibers::UsageError);
        library = shim::current_async_library();
        rung.set();
      });
      rung.wait();
      ba::steady_timer own(context, 1ms);
      own.async_wait(use_fiber);
      fibers::sleep(1ms);
      EXPECT_FALSE(fibers::move_on_after(1ms, [] { fibers::sleep_forever(); }));
      return 7;
    });
  });
  EXPECT_EQ(value, 7);
  EXPECT_EQ(library, "asio");
  EXPECT_THROW(current_context(), fibers::UsageError);
}

FIBER_TEST(AsioShareThreadTest, MayBeEnteredAgainAndGivesWhatTheBodyReturns) {
  ba::io_context context;
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(*share_thread(context, [&] { return std::make_unique<int>(i); }), i);
    EXPECT_THROW(share_thread(context, [] { throw std::out_of_range("far"); }), std::out_of_range);
    EXPECT_THROW(current_context(), fibers::UsageError);
  }
  int calls = 0;
  ba::post(context, [&] { ++calls; });
  fibers::checkpoint();
  EXPECT_EQ(calls, 0);  // Nobody turns it now.
  share_thread(context, [&] { ba::post(context, use_fiber); });
  EXPECT_EQ(calls, 1);
}

FIBER_TEST(AsioShareThreadTest, TasksWaitForOneAnotherByAsiosSockets) {
  WEFT_NOT_ALLOCATION_SWEPT("Asio's connect_pair loses what it has opened then");
  using Local = ba::local::stream_protocol;
  ba::io_context context;
  share_thread(context, [&] {
    Local::socket one(context);
    Local::socket two(context);
    ba::local::connect_pair(one, two);
    std::string got(5, ' ');
    fibers::open_nursery([&](fibers::Nursery& nursery) {
      nursery.start_soon([&] { ba::async_read(two, ba::buffer(got), use_fiber); });
      nursery.start_soon([&] {
        fibers::checkpoint();
        ba::async_write(one, ba::buffer("hello", 5), use_fiber);
      });
    });
    EXPECT_EQ(got, "hello");
    char more = 0;
    EXPECT_FALSE(
        fibers::move_on_after(1h, [&] { ba::async_read(two, ba::buffer(&more, 1), use_fiber); }));
  });
}

// The run's own descriptors, threads and deadlines are waited for in the context.
FIBER_TEST(AsioShareThreadTest, WhatElseTheRunWaitsForComesToo) {
  WEFT_NOT_SWEPT("a thread waits for what the body does");
  WEFT_NOT_FAULT_SWEPT("a thread waits for what the body does");
  ba::io_context context;
  const test::Pipe pipe;
  share_thread(context, [&] {
    const auto token = fibers::current_token();
    fibers::Event called;
    fibers::open_nursery([&](fibers::Nursery& nursery) {
      nursery.start_soon([&] {
        fibers::to_thread::run_sync([&] {
          token.run_sync_soon([&] { called.set(); });
          pipe.write(1);
        });
      });
      nursery.start_soon([&] {
        fibers::wait_readable(pipe[0]);
        EXPECT_EQ(pipe.read(0), 'x');
      });
      called.wait();
    });
  });
}

FIBER_TEST(AsioShareThreadTest, AnotherThreadMayPost) {
  WEFT_NOT_SWEPT("a thread waits for what the body does");
  WEFT_NOT_FAULT_SWEPT("a thread waits for what the body does");
  ba::io_context context;
  int calls = 0;
  share_thread(context, [&] {
    fibers::Event called;
    std::thread other([&] {
      ba::post(context, [&] {
        ++calls;
        called.set();
      });
    });
    called.wait();
    other.join();
  });
  EXPECT_EQ(calls, 1);
}

FIBER_TEST(AsioShareThreadTest, AHandlersErrorCancelsTheBody) {
  ba::io_context context;
  const auto fails = [] { throw std::out_of_range("far"); };
  EXPECT_THROW(share_thread(context,
                            [&] {
                              ba::post(context, fails);
                              fibers::sleep_forever();
                            }),
               std::out_of_range);
  const auto both = [&] {
    ba::post(context, fails);
    try {
      fibers::sleep_forever();
    } catch (...) {
    }
    throw std::length_error("long");
  };
  EXPECT_THROW(share_thread(context, both), fibers::ExceptionGroup);
}

FIBER_TEST(AsioShareThreadTest, StopDoesNotEndIt) {
  ba::io_context context;
  share_thread(context, [&] {
    context.stop();
    ba::post(context, use_fiber);
    context.stop();
    fibers::sleep(1h);
  });
}

// A task that never waits for the context, and a handler that never ends.
FIBER_TEST(AsioShareThreadTest, NeitherSideKeepsTheOtherFromRunning) {
  ba::io_context context;
  share_thread(context, [&] {
    bool over = false;
    int calls = 0;
    struct Again {
      ba::io_context& context;
      bool& over;
      int& calls;
      void operator()() const {
        ++calls;
        if (!over) ba::post(context, *this);
      }
    };
    ba::post(context, Again{context, over, calls});
    for (int i = 0; i < 10; ++i) fibers::sleep(1h);
    EXPECT_GT(calls, 0);
    const int before = calls;
    while (calls < before + 10) fibers::checkpoint();
    over = true;
    for (int last = -1; last != calls; fibers::checkpoint()) last = calls;
    ba::post(context, use_fiber);
  });
}

FIBER_TEST(AsioShareThreadTest, OneContextAtATime) {
  ba::io_context context;
  ba::io_context other;
  share_thread(context, [&] {
    EXPECT_THROW(share_thread(other, [] {}), fibers::UsageError);
    ba::post(context, use_fiber);
    EXPECT_EQ(&current_context(), &context);
  });
}

TEST(AsioShareThreadTest, AGuestsHostDoesTheWaiting) {
  ba::io_context context;
  run(context, [&] { EXPECT_THROW(share_thread(context, [] {}), fibers::UsageError); });
  EXPECT_THROW(share_thread(context, [] {}), fibers::UsageError);
}

TEST(AsioShareThreadTest, AnIdleRunDoesNotPoll) {
  ba::io_context context;
  std::uint64_t ticks = 0;
  fibers::run([&] {
    share_thread(context, [&] {
      const std::uint64_t before = fibers::current_statistics().ticks;
      fibers::sleep(20ms);
      ticks = fibers::current_statistics().ticks - before;
    });
  });
  EXPECT_LE(ticks, 10U);
}

// The wait for the run's descriptor ends in the context, at some time.
TEST(AsioShareThreadTest, TheContextMayGoOnByItself) {
  ba::io_context context;
  int calls = 0;
  fibers::run([&] {
    share_thread(context, [] { fibers::sleep(1ms); });
    ba::post(context, [&] { ++calls; });
  });
  context.restart();
  context.run();
  EXPECT_EQ(calls, 1);
}

TEST(AsioShareThreadTest, CtrlCEndsTheWait) {
  ba::io_context context;
  EXPECT_THROW(fibers::run([&] {
                 share_thread(context, [&] {
                   ba::post(context, [] { std::raise(SIGINT); });
                   fibers::sleep_forever();
                 });
               }),
               fibers::KeyboardInterrupt);
}

TEST(AsioShareThreadTest, ABodyMayReturnAReference) {
  ba::io_context context;
  int value = 7;
  fibers::run([&] { EXPECT_EQ(share_thread(context, [&]() -> int& { return value; }), 7); });
}

}  // namespace
}  // namespace weft::asio
