// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/asio/run.h"

#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/flavours/asio/asio_testing.h"
#include "tests/support/captured_log.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/event.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/timeouts.h"
#include "weft/shim/open_loop.h"

namespace weft::asio {
namespace {

using namespace std::chrono_literals;

TEST(AsioRunTest, HandlersGoOnBesideTasks) {
  ba::io_context context;
  fibers::Event rung;
  std::string library;
  ba::steady_timer timer(context, 1ms);
  timer.async_wait([&](error_code) {
    EXPECT_FALSE(fibers::in_trio_task());
    EXPECT_THROW(fibers::checkpoint(), fibers::UsageError);
    library = shim::current_async_library();
    rung.set();
  });
  const int value = run(context, [&] {
    EXPECT_EQ(&current_context(), &context);
    EXPECT_EQ(shim::current_async_library(), "trio");
    rung.wait();
    ba::steady_timer own(context, 1ms);
    own.async_wait(use_fiber);
    fibers::sleep(1ms);
    EXPECT_FALSE(fibers::move_on_after(1ms, [] { fibers::sleep_forever(); }));
    return 7;
  });
  EXPECT_EQ(value, 7);
  EXPECT_EQ(library, "asio");
  EXPECT_THROW(shim::current_async_library(), fibers::UsageError);
  EXPECT_THROW(current_context(), fibers::UsageError);
}

TEST(AsioRunTest, AnIdleRunDoesNotPoll) {
  ba::io_context context;
  int turns = 0;
  const auto guest = [&] { fibers::sleep(20ms); };
  bool over = false;
  start_guest_run(context, guest, [&](fibers::Outcome<void> outcome) {
    outcome.unwrap();
    over = true;
  });
  while (!over) turns += static_cast<int>(context.run_one());
  EXPECT_LE(turns, 20);
}

TEST(AsioRunTest, ErrorsOfMainComeOut) {
  ba::io_context context;
  EXPECT_THROW(run(context, [] { throw std::out_of_range("far"); }), std::out_of_range);
  EXPECT_EQ(*run(context, [] { return std::make_unique<int>(3); }), 3);
}

TEST(AsioRunTest, AHandlersErrorCancelsMain) {
  ba::io_context context;
  ba::post(context, [] { throw std::out_of_range("far"); });
  EXPECT_THROW(run(context, [] { fibers::sleep_forever(); }), std::out_of_range);
  ba::post(context, [] { throw std::out_of_range("far"); });
  const auto fail = [] {
    try {
      fibers::sleep_forever();
    } catch (...) {
    }
    throw std::length_error("long");
  };
  EXPECT_THROW(run(context, fail), fibers::ExceptionGroup);
}

TEST(AsioRunTest, StopDoesNotEndIt) {
  ba::io_context context;
  EXPECT_EQ(run(context,
                [&] {
                  context.stop();
                  fibers::sleep(1ms);
                  return 5;
                }),
            5);
}

// As a coroutine of Asio's does: no turn of the context lies between.
TEST(AsioRunTest, AWaitGoesOnInTheHandlerThatEndsIt) {
  ba::io_context context;
  int turns = 0;
  bool over = false;
  start_guest_run(
      context,
      [&] {
        for (int i = 0; i < 30; ++i) ba::post(context, use_fiber);
      },
      [&](const fibers::Outcome<void>&) { over = true; });
  while (!over) turns += static_cast<int>(context.run_one());
  EXPECT_GE(turns, 30);
  EXPECT_LE(turns, 40);
}

// Now each in its handler, now all of them in a tick after that.
TEST(AsioRunTest, OperationsOfManyTasksEndTogether) {
  ba::io_context context;
  std::vector<int> waits(20);
  run(context, [&] {
    fibers::open_nursery([&](fibers::Nursery& nursery) {
      for (int& count : waits) {
        nursery.start_soon([&] {
          for (; count < 50; ++count) ba::post(context, use_fiber);
        });
      }
    });
    for (int i = 0; i < 50; ++i) ba::post(context, use_fiber);
  });
  EXPECT_EQ(waits, std::vector<int>(20, 50));
}

TEST(AsioRunTest, WhatDoneThrowsComesOutOfTheContext) {
  ba::io_context context;
  start_guest_run(
      context, [&] { ba::post(context, use_fiber); },
      [](const fibers::Outcome<void>&) { throw std::out_of_range("far"); });
  EXPECT_THROW(context.run(), std::out_of_range);
  EXPECT_EQ(run(context, [] { return 3; }), 3);
}

// The thread is free for another run at once.
TEST(AsioRunTest, WhoDropsTheContextAbandonsTheGuest) {
  WEFT_LEAVES_OVER("tasks that nobody can unwind");
  const test::CapturedLog log;
  for (int i = 0; i < 2; ++i) {
    ba::io_context context;
    start_guest_run(
        context, [] { fibers::sleep_forever(); }, [](const fibers::Outcome<void>&) { FAIL(); });
    context.poll();
    EXPECT_EQ(&current_context(), &context);
  }
  ASSERT_EQ(log.lines.size(), 2U);
  EXPECT_NE(log.lines[0].find("a guest run was abandoned"), std::string::npos);
  EXPECT_THROW(current_context(), fibers::UsageError);
}

TEST(AsioRunTest, AGuestIsToldOfByDone) {
  ba::io_context context;
  std::vector<int> values;
  start_guest_run(
      context, [owned = std::make_unique<int>(7)] { return *owned; },
      [&](fibers::Outcome<int> outcome) { values.push_back(outcome.unwrap()); });
  context.run();
  EXPECT_EQ(values, std::vector<int>{7});
}

}  // namespace
}  // namespace weft::asio
