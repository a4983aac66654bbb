// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/asio/open_context.h"

#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <thread>

#include "tests/flavours/asio/asio_testing.h"
#include "weft/asio/awaitable.h"
#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/run.h"

namespace weft::asio {
namespace {

using namespace std::chrono_literals;

TEST(OpenContextTest, AThreadRunsIt) {
  fibers::run([] {
    const auto here = std::this_thread::get_id();
    const auto there = open_context([&](IoContext& context) {
      const auto who = []() -> ba::awaitable<std::thread::id> {
        co_return std::this_thread::get_id();
      };
      const auto thread = await(who(), context.get_executor());
      EXPECT_NE(thread, here);
      EXPECT_EQ(await(who(), context.get_executor()), thread);
      EXPECT_EQ(std::this_thread::get_id(), here);
      return thread;
    });
    EXPECT_NE(there, here);
  });
}

TEST(OpenContextTest, WorkIsWaitedFor) {
  fibers::run([] {
    int rings = 0;
    std::unique_ptr<ba::steady_timer> timer;
    open_context([&](IoContext& context) {
      timer = std::make_unique<ba::steady_timer>(context, 1ms);
      timer->async_wait([&](error_code) {
        timer->expires_after(1ms);
        timer->async_wait([&](error_code) {
          timer = nullptr;
          ++rings;
        });
      });
    });
    EXPECT_EQ(rings, 1);
  });
}

// The task goes on when the operation has ended there, and the context as ever.
TEST(OpenContextTest, ADeadlineCancelsAnOperationThere) {
  fibers::run([] {
    open_context([](IoContext& context) {
      ba::steady_timer timer(context, 1h);
      const auto token = use_fiber.on(context);
      EXPECT_FALSE(fibers::move_on_after(1ms, [&] { timer.async_wait(token); }));
      ba::post(context, use_fiber);
    });
  });
}

TEST(OpenContextTest, WhoIsCancelledDoesNotWaitForTheWork) {
  fibers::run([] {
    const auto kept = std::make_shared<int>(1);
    const auto leave_work = [&](IoContext& context) {
      auto timer = std::make_unique<ba::steady_timer>(context, 1h);
      ba::steady_timer& waits = *timer;
      waits.async_wait([kept, timer = std::move(timer)](error_code) { FAIL(); });
    };
    EXPECT_FALSE(fibers::move_on_after(1ms, [&] { open_context(leave_work); }));
    EXPECT_EQ(kept.use_count(), 1);
    const auto fail = [&](IoContext& context) {
      leave_work(context);
      throw std::out_of_range("far");
    };
    EXPECT_THROW(open_context(fail), std::out_of_range);
    EXPECT_EQ(kept.use_count(), 1);
  });
}

TEST(OpenContextTest, WhatAHandlerThrowsCancelsTheBody) {
  fibers::run([] {
    const auto fail = [](IoContext& context) {
      ba::post(context, [] { throw std::out_of_range("far"); });
      fibers::sleep_forever();
    };
    EXPECT_THROW(open_context(fail), std::out_of_range);
    const auto fail_twice = [](IoContext& context) {
      ba::post(context, [] { throw std::out_of_range("far"); });
      try {
        fibers::sleep_forever();
      } catch (...) {
      }
      throw std::length_error("long");
    };
    EXPECT_THROW(open_context(fail_twice), fibers::ExceptionGroup);
  });
}

TEST(OpenContextTest, SeveralAtATime) {
  fibers::run([] {
    open_context([](IoContext& one) {
      open_context([&](IoContext& other) {
        for (int i = 0; i < 20; ++i) {
          ba::post(one, use_fiber);
          ba::post(other, use_fiber);
        }
      });
    });
  });
}

}  // namespace
}  // namespace weft::asio
