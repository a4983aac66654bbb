// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Guests of Boost.Asio, both ways.

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <optional>
#include <utility>

#include "tests/support/pipe.h"
#include "weft/fibers/event.h"
#include "weft/fibers/guest.h"
#include "weft/fibers/io.h"
#include "weft/fibers/memory_channel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/mock_clock.h"
#include "weft/fibers/timeouts.h"
#include "weft/fibers/to_thread.h"

namespace weft::fibers {
namespace {

namespace asio = boost::asio;

// An io_context and its guest.
class AsioHost {
 public:
  explicit AsioHost(bool polls) : polls_(polls) {}

  void start(std::function<void()> main, RunOptions run = {}) {
    GuestOptions<void> options{.done_callback =
                                   [this](Outcome<void> outcome) {
                                     outcome.unwrap();
                                     work_.reset();
                                   },
                               .run = std::move(run)};
    if (!polls_) {
      options.run_sync_soon_threadsafe = [this](GuestTick tick) {
        asio::post(context, [this, tick = std::move(tick)] {
          ++ticks;
          tick();
        });
      };
    }
    guest_.emplace(start_guest_run(std::move(main), std::move(options)));
    if (polls_) {
      descriptor_.assign(guest_->pollable_fd());
      wait_for_tick();
    }
  }
  ~AsioHost() {
    if (descriptor_.is_open()) descriptor_.release();
  }

  asio::io_context context;
  int ticks = 0;

 private:
  void wait_for_tick() {
    descriptor_.async_wait(asio::posix::stream_descriptor::wait_read,
                           [this](const boost::system::error_code& error) {
                             ++ticks;
                             if (!error && guest_->tick()) wait_for_tick();
                           });
  }

  bool polls_;
  asio::posix::stream_descriptor descriptor_{context};
  std::optional<GuestRun> guest_;
  // While the run goes on the context has something to do.
  std::optional<asio::executor_work_guard<asio::io_context::executor_type>> work_{
      context.get_executor()};
};

class GuestAsioTest : public ::testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(, GuestAsioTest, ::testing::Bool(),
                         [](const auto& polls) { return polls.param ? "Polled" : "InThread"; });

// trio: test_guest_mode.py::test_guest_mode_on_asyncio
TEST_P(GuestAsioTest, HandlersAndTasksTalkToEachOther) {
  AsioHost host(GetParam());
  int sum = 0;
  host.start([&] {
    auto [send, receive] = open_memory_channel<int>(10);
    for (int i = 0; i < 10; ++i) {
      asio::post(host.context, [&, i] { send.send_nowait(i * 2); });
      sum += receive.receive();
    }
    // By way of a timer of Asio's.
    Event event;
    asio::steady_timer timer(host.context, std::chrono::milliseconds(1));
    timer.async_wait([&](const boost::system::error_code&) { event.set(); });
    event.wait();
    EXPECT_EQ(to_thread::run_sync([] { return 3; }), 3);
  });
  host.context.run();
  EXPECT_EQ(sum, 90);
}

TEST_P(GuestAsioTest, WaitsForDescriptorsAndDeadlines) {
  AsioHost host(GetParam());
  testing::MockClock clock(0.0, Duration::zero());
  const test::SocketPair pair;
  int rounds = 0;
  host.start(
      [&] {
        open_nursery([&](Nursery& nursery) {
          nursery.start_soon([&] {
            for (int i = 0; i < 5; ++i) {
              wait_readable(pair[1]);
              pair.write(1, static_cast<char>(pair.read(1) + 1));
            }
          });
          for (int i = 0; i < 5; ++i) {
            sleep(std::chrono::hours(1));
            pair.write(0, 'a');
            wait_readable(pair[0]);
            rounds += pair.read(0) == 'b' ? 1 : 0;
          }
        });
        EXPECT_EQ(current_time().time_since_epoch(), std::chrono::hours(5));
      },
      {.clock = &clock});
  host.context.run();
  EXPECT_EQ(rounds, 5);
}

TEST_P(GuestAsioTest, NothingTicksWhileNothingHappens) {
  AsioHost host(GetParam());
  Event event;
  host.start([&] { event.wait(); });
  while (host.context.poll() > 0) {
  }
  const int ticks = host.ticks;
  int ran = 0;
  for (int i = 0; i < 100; ++i) {
    asio::post(host.context, [&] { ++ran; });
    EXPECT_EQ(host.context.poll(), 1U);
  }
  EXPECT_EQ(ran, 100);
  EXPECT_EQ(host.ticks, ticks);
  event.set();
  host.context.run();
}

}  // namespace
}  // namespace weft::fibers
