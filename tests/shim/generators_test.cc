// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What open_loop does with asynchronous generators of its loop.

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/shim/shim_test_support.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/lone_error.h"
#include "weft/fibers/timeouts.h"
#include "weft/loop/async_generator.h"
#include "weft/loop/coro.h"
#include "weft/shim/open_loop.h"

namespace weft::shim {
namespace {

using namespace std::chrono_literals;
using fibers::current_time;
using loop::AsyncGenerator;
using loop::Coro;

// Closes in the loop, and takes so long for it.
AsyncGenerator<int> closes_slowly(SharedLog log, fibers::Duration takes) {
  std::exception_ptr error;
  try {
    for (int i = 1;; ++i) co_yield i;
  } catch (const loop::GeneratorExit&) {
    error = std::current_exception();
  }
  log->push_back(loop::running_loop() != nullptr ? "closing" : "in no loop");
  bool cancelled = false;
  try {
    co_await loop::sleep(takes);
  } catch (const loop::CancelledError&) {
    cancelled = true;
  }
  log->push_back(cancelled ? "cancelled" : "closed");
  std::rethrow_exception(error);
}
Coro<void> begin(AsyncGenerator<int>& generator) {
  const std::optional<int> first = co_await generator.next();
  EXPECT_EQ(first, 1);
}

// trio-asyncio: test_trio_asyncio.py::test_asyncgens
FIBER_TEST(OpenLoopGeneratorsTest, AreClosedInTheLoopWhetherDroppedOrNot) {
  for (const bool alive : {true, false}) {
    const SharedLog log = make_log();
    std::optional<AsyncGenerator<int>> generator(closes_slowly(log, 10s));
    const auto start = current_time();
    open_loop([&](EventLoop& loop) {
      loop::await(loop.create_task(begin(*generator)));
      if (!alive) generator.reset();
    });
    EXPECT_EQ(*log, (std::vector<std::string>{"closing", "closed"}));
    EXPECT_EQ(current_time() - start, 10s);
  }
}

// trio-asyncio: test_trio_asyncio.py::test_asyncgens
FIBER_TEST(OpenLoopGeneratorsTest, ACancellationFromOutsideReachesThemOnceTheyClose) {
  for (const fibers::Duration timeout : {fibers::Duration(0s), fibers::Duration(1s)}) {
    const SharedLog log = make_log();
    AsyncGenerator<int> generator = closes_slowly(log, 10s);
    const auto start = current_time();
    fibers::CancelScope scope;
    scope.run([&] {
      open_loop([&](EventLoop& loop) {
        loop::await(loop.create_task(begin(generator)));
        scope.set_deadline(current_time() + timeout);
      });
    });
    EXPECT_EQ(*log, (std::vector<std::string>{"closing", "cancelled"}));
    EXPECT_EQ(current_time() - start, timeout);
  }
}

// trio-asyncio: test_trio_asyncio.py::test_asyncgens
FIBER_TEST(OpenLoopGeneratorsTest, TakeTheirTimeUnlessADeadlineComesFirst) {
  for (const bool alive : {true, false}) {
    for (const fibers::Duration takes : {0s, 10s}) {
      for (const fibers::Duration timeout : {0s, 1s, 20s}) {
        const SharedLog log = make_log();
        std::optional<AsyncGenerator<int>> generator(closes_slowly(log, takes));
        const auto start = current_time();
        fibers::CancelScope scope;
        scope.run([&] {
          open_loop([&](EventLoop& loop) {
            loop::await(loop.create_task(begin(*generator)));
            if (!alive) generator.reset();
            scope.set_deadline(current_time() + timeout);
          });
        });
        ASSERT_EQ(log->size(), 2U);
        EXPECT_EQ(log->front(), "closing");
        const auto took = std::min(takes, timeout);
        EXPECT_EQ(current_time() - start, took);
        if (timeout != takes) {
          EXPECT_EQ(log->back(), timeout > takes ? "closed" : "cancelled");
        }
      }
    }
  }
}

FIBER_TEST(OpenLoopGeneratorsTest, OneWithAStackIsClosedToo) {
  const SharedLog log = make_log();
  std::optional<AsyncGenerator<int>> generator;
  open_loop([&](EventLoop& loop) {
    generator = loop::async_generator<int>(loop, [log](loop::Yield<int>& yield) {
      try {
        for (;;) yield(1);
      } catch (const loop::GeneratorExit&) {
        fibers::sleep(1s);
        log->emplace_back("closed");
        throw;
      }
    });
    loop::await(loop.create_task(begin(*generator)));
  });
  EXPECT_EQ(*log, (std::vector<std::string>{"closed"}));
}

// trio-asyncio: _loop.py, an error of a generator that is closed ends the block
FIBER_TEST(OpenLoopGeneratorsTest, WhatClosingThrowsComesOutOfTheBlock) {
  const auto fails = []() -> AsyncGenerator<int> {
    try {
      co_yield 1;
    } catch (const loop::GeneratorExit&) {
      throw std::runtime_error("cannot close");
    }
  };
  AsyncGenerator<int> generator = fails();
  std::exception_ptr error;
  try {
    open_loop([&](EventLoop& loop) { loop::await(loop.create_task(begin(generator))); });
  } catch (const fibers::Cancelled&) {
    throw;
  } catch (...) {
    error = std::current_exception();
  }
  ASSERT_NE(error, nullptr);
  EXPECT_TRUE(fibers::holds<std::runtime_error>(fibers::lone_error(error)));
}

}  // namespace
}  // namespace weft::shim
