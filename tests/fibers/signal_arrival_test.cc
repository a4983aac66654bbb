// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A signal is handled whatever the thread was about to do when it arrived: switch to another task,
// make one, or end one.

#include <gtest/gtest.h>
#include <pthread.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <thread>

#include "weft/fibers/greenlet.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/run.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

constexpr int kSignals = 200;

std::atomic<int> g_handled{0};

// Sends the calling thread signals while it does `step` again and again, each when the one before
// it has been handled.
template <typename F>
void expect_each_handled(F step) {
  g_handled = 0;
  std::atomic<int> missed{0};
  std::atomic<bool> done{false};
  const auto before = std::signal(SIGUSR2, [](int) { ++g_handled; });
  std::thread sender([&, target = pthread_self()] {
    for (int sent = 0; sent < kSignals && missed == 0; ++sent) {
      pthread_kill(target, SIGUSR2);
      const auto late = std::chrono::steady_clock::now() + std::chrono::seconds(10);
      while (g_handled <= sent && missed == 0) {
        std::this_thread::yield();
        if (std::chrono::steady_clock::now() > late) ++missed;
      }
    }
    done = true;
  });
  while (!done) step();
  sender.join();
  std::signal(SIGUSR2, before);
  EXPECT_EQ(missed, 0) << g_handled << " of " << kSignals << " have been handled";
}

TEST(SignalArrivalTest, BetweenTasks) {
  run([] {
    open_nursery([](Nursery& nursery) {
      for (int i = 0; i < 3; ++i) nursery.start_soon([] { sleep_forever(); });
      expect_each_handled([] { checkpoint(); });
      nursery.cancel_scope().cancel();
    });
  });
}

TEST(SignalArrivalTest, WhileTasksBeginAndEnd) {
  run([] {
    expect_each_handled(
        [] { open_nursery([](Nursery& nursery) { nursery.start_soon([] { checkpoint(); }); }); });
  });
}

TEST(SignalArrivalTest, WhileGreenletsBeginAndEnd) {
  expect_each_handled([] {
    Greenlet greenlet([](int x) { return x; });
    greenlet.switch_to(1);
  });
}

}  // namespace
}  // namespace weft::fibers
