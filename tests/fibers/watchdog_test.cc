// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/watchdog.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <csignal>
#include <functional>
#include <memory>
#include <mutex>
#include <semaphore>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "tests/support/captured_log.h"
#include "weft/fibers/detail/sanitizers.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/run.h"
#include "weft/fibers/testing/mock_clock.h"
#include "weft/fibers/to_thread.h"
#include "weft/fibers/token.h"

namespace weft::fibers {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;
using ::testing::SizeIs;

// A dog whose time and whose looks are the test's.
struct Kennel {
  std::atomic<Duration> now{Duration::zero()};
  std::vector<HogReport> reports;
  std::shared_ptr<Watchdog> dog = std::make_shared<Watchdog>(
      WatchdogOptions{.limit = milliseconds(100),
                      .report = [this](const HogReport& hog) { reports.push_back(hog); },
                      .clock = [this] { return now.load(); }});

  // What the dog's thread would do while that time passes.
  void look_for(Duration length) {
    for (Duration passed{}; passed < length; passed += milliseconds(50)) {
      dog->look();
      now = now.load() + milliseconds(50);
    }
  }
};

// Keeps the thread while another one lets the dog look.
[[gnu::noinline]] void hog_the_thread(Kennel& kennel, Duration length) {
  std::thread looker([&] { kennel.look_for(length); });
  looker.join();
  asm volatile("" ::: "memory");  // No tail call: the frame has to stand in the backtrace.
}

TEST(WatchdogTest, NamesTheTaskThatHogsTheThreadAndWhereItIs) {
  Kennel kennel;
  std::uint64_t id = 0;
  run(
      [&] {
        open_nursery([&](Nursery& nursery) {
          nursery.start_soon(
              [&] {
                id = current_task().id();
                hog_the_thread(kennel, milliseconds(300));
              },
              {.name = "cruncher"});
        });
      },
      {.instruments = {kennel.dog}});
  ASSERT_THAT(kennel.reports, SizeIs(1));
  const HogReport& hog = kennel.reports[0];
  EXPECT_EQ(hog.task, "cruncher");
  EXPECT_EQ(hog.task_id, id);
  EXPECT_EQ(hog.at_least, milliseconds(100));
  EXPECT_THAT(hog.describe(), HasSubstr("task 'cruncher' #" + std::to_string(id) +
                                        " has kept the thread for 100 ms without a wait:\n"));
#ifndef WEFT_TSAN
  EXPECT_THAT(hog.describe(), HasSubstr("hog_the_thread"));
#if __has_include(<elfutils/libdwfl.h>)
  EXPECT_THAT(hog.describe(), HasSubstr("watchdog_test.cc:"));
#endif
#endif
}

TEST(WatchdogTest, ReportsEachHoggingOnce) {
  Kennel kennel;
  testing::MockClock clock;  // With it the run looks at the world after each batch.
  run(
      [&] {
        hog_the_thread(kennel, milliseconds(1000));
        EXPECT_THAT(kennel.reports, SizeIs(1));
        checkpoint();
        checkpoint();
        hog_the_thread(kennel, milliseconds(1000));
      },
      {.clock = &clock, .instruments = {kennel.dog}});
  EXPECT_THAT(kennel.reports, SizeIs(2));
}

TEST(WatchdogTest, WhoComesToAWaitInTimeIsLeftAlone) {
  Kennel kennel;
  run(
      [&] {
        for (int i = 0; i < 20; ++i) {
          hog_the_thread(kennel, milliseconds(100));
          checkpoint();
        }
      },
      {.instruments = {kennel.dog}});
  EXPECT_THAT(kennel.reports, SizeIs(0));
}

// Tells that the run is about to sleep; comes after the dog, which knows it by then.
struct Bedtime : Instrument {
  void before_io_wait(Duration timeout) override {
    if (timeout > Duration::zero() && !std::exchange(told, true)) sleeps.release();
  }
  std::binary_semaphore sleeps{0};
  bool told = false;
};

TEST(WatchdogTest, ARunThatSleepsHogsNothing) {
  Kennel kennel;
  const auto bedtime = std::make_shared<Bedtime>();
  run(
      [&] {
        to_thread::run_sync([&] {
          bedtime->sleeps.acquire();
          kennel.look_for(milliseconds(1000));
        });
      },
      {.instruments = {kennel.dog, bedtime}});
  EXPECT_THAT(kennel.reports, SizeIs(0));
}

TEST(WatchdogTest, ACallFromOutsideIsNoTask) {
  Kennel kennel;
  run(
      [&] {
        current_token().run_sync_soon([&] { hog_the_thread(kennel, milliseconds(300)); });
        checkpoint();
        checkpoint();
      },
      {.instruments = {kennel.dog}});
  ASSERT_THAT(kennel.reports, SizeIs(1));
  EXPECT_EQ(kennel.reports[0].task_id, 0U);
  EXPECT_THAT(kennel.reports[0].describe(), HasSubstr("a call outside all tasks has kept"));
}

TEST(WatchdogTest, ItsOwnThreadFindsAHogToo) {
  // Not a semaphore: waiting for one, TSan holds signals back.
  std::mutex mutex;
  std::condition_variable found;
  std::string name;
  const auto dog = std::make_shared<Watchdog>(
      WatchdogOptions{.limit = milliseconds(1), .report = [&](const HogReport& hog) {
                        const std::scoped_lock lock(mutex);
                        name = hog.task;
                        found.notify_one();
                      }});
  // Keeps the thread until it is found.
  const auto hog = [&] {
    std::unique_lock lock(mutex);
    found.wait(lock, [&] { return !name.empty(); });
  };
  run(hog, {.instruments = {dog}});
  EXPECT_EQ(name, "main");
}

TEST(WatchdogTest, MayBeAddedToARunThatGoesOnAndLogsByDefault) {
  const test::CapturedLog log;
  std::atomic<Duration> now{Duration::zero()};
  const auto dog = std::make_shared<Watchdog>(
      WatchdogOptions{.limit = milliseconds(100), .clock = [&] { return now.load(); }});
  testing::MockClock clock;  // With it the run looks at the world after each batch.
  run(
      [&] {
        add_instrument(dog);
        checkpoint();
        checkpoint();
        std::thread looker([&] {
          for (int i = 0; i < 5; ++i) {
            dog->look();
            now = now.load() + milliseconds(100);
          }
        });
        looker.join();
      },
      {.clock = &clock});
  ASSERT_THAT(log.lines, SizeIs(1));
  EXPECT_THAT(log.lines[0], HasSubstr("task 'main' #"));
}

std::atomic<int> g_others{0};

TEST(WatchdogTest, AHandlerThatWasThereIsStillCalled) {
  g_others = 0;
  struct sigaction mine {};
  struct sigaction before {};
  mine.sa_handler = [](int) { ++g_others; };
  ASSERT_EQ(::sigaction(SIGRTMIN + 3, &mine, &before), 0);
  const Watchdog dog(WatchdogOptions{.signal = SIGRTMIN + 3});
  ::raise(SIGRTMIN + 3);
  EXPECT_EQ(g_others, 1);
}

TEST(WatchdogTest, BadOptionsAreNamed) {
  EXPECT_THROW(Watchdog(WatchdogOptions{.limit = Duration::zero()}), UsageError);
  EXPECT_THROW(Watchdog(WatchdogOptions{.signal = SIGKILL}), std::system_error);
  EXPECT_THROW(Watchdog(WatchdogOptions{.signal = 100000}), std::system_error);
}

}  // namespace
}  // namespace weft::fibers
