// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Guests of libuv, both ways.

#include <gtest/gtest.h>
#include <uv.h>

#include <deque>
#include <functional>
#include <mutex>
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

// A uv_loop_t and its guest. Nothing may throw through libuv, which is C.
class UvHost {
 public:
  explicit UvHost(bool polls) : polls_(polls) {
    uv_loop_init(&loop);
    uv_async_init(&loop, &async_, [](uv_async_t* handle) { of(handle).run_posted(); });
    async_.data = poll_.data = this;
  }
  UvHost(const UvHost&) = delete;
  UvHost& operator=(const UvHost&) = delete;
  ~UvHost() {
    uv_close(reinterpret_cast<uv_handle_t*>(&async_), nullptr);
    if (polls_) uv_close(reinterpret_cast<uv_handle_t*>(&poll_), nullptr);
    uv_run(&loop, UV_RUN_DEFAULT);
    EXPECT_EQ(uv_loop_close(&loop), 0);
  }

  void start(std::function<void()> main, RunOptions run = {}) {
    GuestOptions<void> options{.done_callback =
                                   [this](Outcome<void> outcome) {
                                     EXPECT_TRUE(outcome.has_value());
                                     if (polls_) uv_poll_stop(&poll_);
                                     uv_stop(&loop);
                                   },
                               .run = std::move(run)};
    if (!polls_) {
      options.run_sync_soon_threadsafe = [this](GuestTick tick) {
        post([this, tick = std::move(tick)] {
          ++ticks;
          tick();
        });
      };
    }
    guest_.emplace(start_guest_run(std::move(main), std::move(options)));
    if (!polls_) return;
    uv_poll_init(&loop, &poll_, guest_->pollable_fd());
    uv_poll_start(&poll_, UV_READABLE, [](uv_poll_t* handle, int, int) {
      ++of(handle).ticks;
      of(handle).guest_->tick();
    });
  }
  // Any thread.
  void post(std::function<void()> fn) {
    const std::lock_guard lock(mutex_);
    posted_.push_back(std::move(fn));
    uv_async_send(&async_);
  }

  uv_loop_t loop{};
  int ticks = 0;

 private:
  template <class Handle>
  static UvHost& of(Handle* handle) {
    return *static_cast<UvHost*>(handle->data);
  }
  void run_posted() {
    std::deque<std::function<void()>> now;
    {
      const std::lock_guard lock(mutex_);
      now.swap(posted_);
    }
    for (; !now.empty(); now.pop_front()) now.front()();
  }

  bool polls_;
  uv_async_t async_{};
  uv_poll_t poll_{};
  std::optional<GuestRun> guest_;
  std::mutex mutex_;
  std::deque<std::function<void()>> posted_;
};

class GuestLibuvTest : public ::testing::TestWithParam<bool> {
 protected:
  // With its first loop libuv opens a pipe for good.
  // NOLINTNEXTLINE(readability-identifier-naming): GoogleTest's.
  static void SetUpTestSuite() {
    uv_loop_t first{};
    ASSERT_EQ(uv_loop_init(&first), 0);
    ASSERT_EQ(uv_loop_close(&first), 0);
  }
};
INSTANTIATE_TEST_SUITE_P(, GuestLibuvTest, ::testing::Bool(),
                         [](const auto& polls) { return polls.param ? "Polled" : "InThread"; });

TEST_P(GuestLibuvTest, CallbacksAndTasksTalkToEachOther) {
  UvHost host(GetParam());
  int sum = 0;
  host.start([&] {
    auto [send, receive] = open_memory_channel<int>(10);
    for (int i = 0; i < 10; ++i) {
      host.post([&, i] { send.send_nowait(i * 2); });
      sum += receive.receive();
    }
    // By way of a timer of libuv's.
    Event event;
    uv_timer_t timer;
    uv_timer_init(&host.loop, &timer);
    timer.data = &event;
    uv_timer_start(
        &timer, [](uv_timer_t* t) { static_cast<Event*>(t->data)->set(); }, 1, 0);
    event.wait();
    Event closed;
    timer.data = &closed;
    uv_close(reinterpret_cast<uv_handle_t*>(&timer),
             [](uv_handle_t* t) { static_cast<Event*>(t->data)->set(); });
    closed.wait();
    EXPECT_EQ(to_thread::run_sync([] { return 3; }), 3);
  });
  uv_run(&host.loop, UV_RUN_DEFAULT);
  EXPECT_EQ(sum, 90);
}

TEST_P(GuestLibuvTest, WaitsForDescriptorsAndDeadlines) {
  UvHost host(GetParam());
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
  uv_run(&host.loop, UV_RUN_DEFAULT);
  EXPECT_EQ(rounds, 5);
}

TEST_P(GuestLibuvTest, NothingTicksWhileNothingHappens) {
  UvHost host(GetParam());
  Event event;
  host.start([&] { event.wait(); });
  // A few turns in which nothing has ticked: the guest is at rest.
  for (int quiet = 0; quiet < 3;) {
    const int before = host.ticks;
    uv_run(&host.loop, UV_RUN_NOWAIT);
    quiet = host.ticks == before ? quiet + 1 : 0;
  }
  const int ticks = host.ticks;
  int ran = 0;
  for (int i = 0; i < 100; ++i) {
    host.post([&] { ++ran; });
    while (ran <= i) uv_run(&host.loop, UV_RUN_ONCE);
  }
  EXPECT_EQ(host.ticks, ticks);
  event.set();
  uv_run(&host.loop, UV_RUN_DEFAULT);
}

}  // namespace
}  // namespace weft::fibers
