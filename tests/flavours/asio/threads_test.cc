// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Operations of an io_context that another thread runs.

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <thread>
#include <utility>

#include "tests/flavours/asio/asio_testing.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/run.h"
#include "weft/fibers/timeouts.h"

namespace weft::asio {
namespace {

using namespace std::chrono_literals;

class OtherThread {
 public:
  OtherThread() = default;
  OtherThread(const OtherThread&) = delete;
  OtherThread& operator=(const OtherThread&) = delete;
  ~OtherThread() {
    work_.reset();
    thread_.join();
  }
  ba::io_context context;

 private:
  ba::executor_work_guard<ba::io_context::executor_type> work_ = ba::make_work_guard(context);
  std::thread thread_{[this] { context.run(); }};
};

TEST(UseFiberThreadsTest, TheTaskWaitsHere) {
  OtherThread other;
  fibers::run([&] {
    const auto here = std::this_thread::get_id();
    const auto token = use_fiber.on(other.context.get_executor());
    ba::post(other.context, use_fiber);
    EXPECT_EQ(std::this_thread::get_id(), here);
    ba::steady_timer timer(other.context, 1ms);
    timer.async_wait(token);
    timer.expires_after(1h);
    EXPECT_FALSE(fibers::move_on_after(1ms, [&] { timer.async_wait(token); }));
    const auto refuse = [](auto&& given) {
      return ba::async_initiate<decltype(given), void(error_code)>(
          [](auto) { throw std::out_of_range("far"); }, given);
    };
    EXPECT_THROW(refuse(token), std::out_of_range);
  });
}

// The cancellation meets the end of the operation in every order.
TEST(UseFiberThreadsTest, CancellationsRaceWithResults) {
  OtherThread other;
  fibers::run([&] {
    fibers::open_nursery([&](fibers::Nursery& nursery) {
      for (int task = 0; task < 4; ++task) {
        nursery.start_soon([&other, task] {
          const auto token = use_fiber.on(other.context.get_executor());
          ba::steady_timer timer(other.context);
          for (int i = 0; i < 100; ++i) {
            timer.expires_after(std::chrono::microseconds((i * 7 + task) % 40));
            fibers::move_on_after(20us, [&] { timer.async_wait(token); });
          }
        });
      }
    });
  });
}

TEST(UseFiberThreadsTest, BytesGoThroughAStrand) {
  OtherThread other;
  fibers::run([&] {
    ba::local::stream_protocol::socket one(ba::make_strand(other.context));
    ba::local::stream_protocol::socket two(ba::make_strand(other.context));
    ba::local::connect_pair(one, two);
    fibers::open_nursery([&](fibers::Nursery& nursery) {
      nursery.start_soon([&] {
        std::array<char, 4> bytes{};
        const auto token = use_fiber.on(two.get_executor());
        for (int i = 0; i < 50; ++i) {
          ba::async_read(two, ba::buffer(bytes), token);
          ba::async_write(two, ba::buffer(bytes), token);
        }
      });
      std::array<char, 4> bytes{};
      const auto token = use_fiber.on(one.get_executor());
      for (int i = 0; i < 50; ++i) {
        ba::async_write(one, ba::buffer("ping", 4), token);
        EXPECT_EQ(ba::async_read(one, ba::buffer(bytes), token), 4U);
      }
    });
  });
}

TEST(UseFiberThreadsTest, AHandlerMayBeDroppedThere) {
  fibers::run([] {
    std::jthread thread;
    const auto drop = [&](auto&& token) {
      return ba::async_initiate<decltype(token), void(error_code)>(
          [&](auto handler) { thread = std::jthread([dropped = std::move(handler)] {}); }, token);
    };
    EXPECT_THROW(drop(use_fiber), fibers::BrokenResourceError);
  });
}

}  // namespace
}  // namespace weft::asio
