// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The turns of the scheduler: what runs in which, and how often the world is looked at.

#include "fibers/core/scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/pipe.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/event.h"
#include "weft/fibers/instrument.h"
#include "weft/fibers/io.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/timeouts.h"
#include "weft/fibers/token.h"

namespace weft::fibers {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;

// Trio: guarantee of a batch: what becomes ready in a turn runs in the next.
FIBER_TEST(SchedulerTest, ATurnRunsOnlyWhatWasReadyWhenItBegan) {
  WEFT_NOT_SHUFFLED("the order in a turn is the usual one");
  std::vector<std::string> order;
  const std::uint64_t begin = current_statistics().ticks;
  const auto note = [&order, begin](const std::string& what) {
    order.push_back(what + std::to_string(current_statistics().ticks - begin));
  };
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      note("a");
      nursery.start_soon([&] { note("child of a"); });
      checkpoint();
      note("a");
    });
    nursery.start_soon([&] { note("b"); });
  });
  EXPECT_THAT(order, ElementsAre("a1", "b1", "child of a2", "a2"));
}

FIBER_TEST(SchedulerTest, UnderATestsClockEachTurnLooksAtTheWorld) {
  const std::uint64_t before = current_statistics().ticks;
  for (int i = 0; i < 100; ++i) checkpoint();
  EXPECT_EQ(current_statistics().ticks, before + 100);
}

// Under the real clock most hand-overs go from task to task, but the world is not forgotten.
TEST(SchedulerTest, BusyTasksDoNotKeepDescriptorsDeadlinesOrCallsWaiting) {
  run([] {
    test::Pipe pipe;
    bool readable = false;
    bool slept = false;
    bool called = false;
    open_nursery([&](Nursery& nursery) {
      for (int i = 0; i < 3; ++i) {
        nursery.start_soon([&] {
          while (!readable || !slept || !called) checkpoint();
        });
      }
      nursery.start_soon([&] {
        wait_readable(pipe[0]);
        readable = true;
      });
      nursery.start_soon([&] {
        sleep(milliseconds(1));
        slept = true;
      });
      pipe.write(1);
      current_token().run_sync_soon([&called] { called = true; });
    });
  });
}

TEST(SchedulerTest, MostCheckpointsOfABusyRunAreNoSystemCalls) {
  run([] {
    for (int i = 0; i < 10'000; ++i) checkpoint();  // Until the budget has adapted itself.
    const std::uint64_t before = current_statistics().ticks;
    for (int i = 0; i < 100'000; ++i) checkpoint();
    EXPECT_LT(current_statistics().ticks - before, 50'000U);
  });
}

FIBER_TEST(SchedulerTest, ThousandsOfTasksMayBeReadyAtOnce) {
  WEFT_NOT_SHUFFLED("so many choices take long");
  constexpr int kTasks = 3000;
  int ran = 0;
  open_nursery([&](Nursery& nursery) {
    for (int i = 0; i < kTasks; ++i) {
      nursery.start_soon(
          [&ran] {
            checkpoint();
            ++ran;
          },
          {.stack_size = 16 * 1024});
    }
    EXPECT_EQ(current_statistics().tasks_runnable, std::size_t{kTasks});
  });
  EXPECT_EQ(ran, kTasks);
}

// Waking is fair: who became ready first runs first.
FIBER_TEST(SchedulerTest, TasksRunInTheOrderInWhichTheyBecameReady) {
  WEFT_NOT_SHUFFLED("this is the usual order");
  std::vector<Task*> tasks(5);
  std::vector<std::size_t> order;
  open_nursery([&](Nursery& nursery) {
    for (std::size_t i = 0; i < tasks.size(); ++i) {
      nursery.start_soon([&, i] {
        tasks[i] = &current_task();
        wait_task_rescheduled([](const RaiseCancel&) { return Abort::kSucceeded; });
        order.push_back(i);
      });
    }
    checkpoint();
    for (const std::size_t i : {3U, 0U, 4U, 1U, 2U}) reschedule(*tasks[i]);
  });
  EXPECT_THAT(order, ElementsAre(3, 0, 4, 1, 2));
}

TEST(SchedulerTest, AShuffledRunTriesManyOrders) {
  std::set<std::vector<int>> orders;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    std::vector<int> order;
    run(
        [&order] {
          open_nursery([&order](Nursery& nursery) {
            for (int i = 0; i < 3; ++i) nursery.start_soon([&order, i] { order.push_back(i); });
          });
        },
        {.schedule_seed = seed});
    orders.insert(order);
  }
  EXPECT_EQ(orders.size(), 6U);  // All of them.
}

// The life of a deadlock: while a descriptor is watched, the world may still act.
FIBER_TEST(SchedulerTest, ARunThatWaitsForADescriptorIsNotDead) {
  test::Pipe pipe;
  pipe.write(1);
  wait_readable(pipe[0]);
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      sleep(seconds(5));
      pipe.close(1);
    });
    pipe.drain(0);
    wait_readable(pipe[0]);
  });
}

TEST(SchedulerTest, AfterADeadlockWasHandledTheRunGoesOn) {
  testing::run_fiber_test([] {
    for (int i = 0; i < 3; ++i) {
      Event never;
      EXPECT_THROW(never.wait(), DeadlockError);
      sleep(seconds(1));
    }
  });
}

// Who is about to sleep is woken at once, and how long it would have slept is noted.
struct LightSleep : Instrument {
  void before_io_wait(Duration timeout) override {
    if (timeout == Duration::zero() || event == nullptr) return;
    slept.push_back(timeout);
    token->run_sync_soon([this] { std::exchange(event, nullptr)->set(); });
  }
  std::optional<Token> token;
  Event* event = nullptr;
  std::vector<Duration> slept;
};

// Many stacks that have been given back, and their memory too, are no reason to wake up.
TEST(SchedulerTest, AnIdleRunWithATrimmedPoolSleepsOn) {
  const auto light_sleep = std::make_shared<LightSleep>();
  run(
      [&] {
        open_nursery([](Nursery& nursery) {
          for (int i = 0; i < 400; ++i) nursery.start_soon([] { checkpoint(); });
        });
        EXPECT_GE(stack_statistics().pooled, 400U);
        Event first;
        light_sleep->token = current_token();
        light_sleep->event = &first;
        first.wait();
        trim_stacks();
        Event second;
        light_sleep->event = &second;
        second.wait();
      },
      {.instruments = {light_sleep}});
  ASSERT_EQ(light_sleep->slept.size(), 2U);
  EXPECT_LT(light_sleep->slept[0], std::chrono::seconds(1)) << "there is memory to give back";
  EXPECT_GT(light_sleep->slept[1], std::chrono::hours(1));
}

}  // namespace
}  // namespace weft::fibers
