// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/thread_event.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "weft/fibers/errors.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/run.h"
#include "weft/fibers/testing/checkpoints.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/fibers/timeouts.h"
#include "weft/fibers/to_thread.h"
#include "weft/fibers/token.h"

namespace weft::fibers {
namespace {

FIBER_TEST(ThreadEventTest, AThreadWakesTasks) {
  ThreadEvent event;
  int woken = 0;
  std::optional<std::jthread> setter;
  open_nursery([&](Nursery& nursery) {
    for (int i = 0; i < 3; ++i) {
      nursery.start_soon([&] {
        event.wait();
        ++woken;
      });
    }
    testing::wait_all_tasks_blocked();
    EXPECT_EQ(woken, 0);
    setter.emplace([&] { event.set(); });
  });
  EXPECT_EQ(woken, 3);
  EXPECT_TRUE(event.is_set());
}

FIBER_TEST(ThreadEventTest, ATaskWaitsNoLongerThanItsTimeout) {
  ThreadEvent event;
  const Instant began = current_time();
  EXPECT_FALSE(event.wait_for(std::chrono::seconds(2)));
  EXPECT_EQ(current_time() - began, std::chrono::seconds(2));
  event.set();
  EXPECT_TRUE(event.wait_for(std::chrono::seconds(2)));
}

TEST(ThreadEventInThreadTest, AThreadWaitsNoLongerThanItsTimeout) {
  ThreadEvent event;
  EXPECT_FALSE(event.wait_for(std::chrono::milliseconds(1)));
  const std::jthread setter([&] { event.set(); });
  EXPECT_TRUE(event.wait_for(Duration::max()));
  EXPECT_TRUE(event.wait_for(-std::chrono::seconds(1)));
}

FIBER_TEST(ThreadEventTest, ATaskWakesThreads) {
  WEFT_NOT_ALLOCATION_SWEPT("its threads wait for what the body does later");
  ThreadEvent event;
  std::atomic<int> woken = 0;
  std::vector<std::jthread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      event.wait();
      ++woken;
    });
  }
  event.set();
  for (std::jthread& thread : threads) thread.join();
  EXPECT_EQ(woken, 3);
}

TEST(ThreadEventTest, ConnectsTwoRuns) {
  ThreadEvent there, back;
  std::jthread other([&] {
    run([&] {
      there.wait();
      back.set();
    });
  });
  run([&] {
    there.set();
    back.wait();
  });
}

FIBER_TEST(ThreadEventTest, ASetOneIsACheckpoint) {
  ThreadEvent event;
  EXPECT_FALSE(event.is_set());
  event.set();
  event.set();
  testing::assert_checkpoints([&] { event.wait(); });
}

FIBER_TEST(ThreadEventTest, AWaitingTaskCanBeCancelled) {
  ThreadEvent event;
  EXPECT_FALSE(move_on_after(seconds(1), [&] { event.wait(); }));
  event.set();
  event.wait();
}

// The set comes on its way into the run; until it is there the task may be cancelled.
FIBER_TEST(ThreadEventTest, CancelledWhileTheWakeUpIsOnItsWay) {
  ThreadEvent event;
  CancelScope scope;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { scope.run([&] { event.wait(); }); });
    testing::wait_all_tasks_blocked();
    event.set();
    scope.cancel();
  });
  EXPECT_TRUE(scope.cancelled_caught());
}

FIBER_TEST(ThreadEventTest, ARunThatWaitsForAThreadIsNotDead) {
  ThreadEvent event, waiting;
  std::jthread setter([&] {
    waiting.wait();
    event.set();
  });
  waiting.set();
  event.wait();
}

FIBER_TEST(ThreadEventTest, AWorkerMayWaitForATask) {
  WEFT_NOT_SWEPT("its thread waits for what the body does later");
  ThreadEvent event;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { to_thread::run_sync([&] { event.wait(); }); });
    checkpoint();
    event.set();
  });
}

FIBER_TEST(ThreadEventTest, ACallbackOfTheSchedulerMustNotWait) {
  ThreadEvent event;
  bool refused = false;
  current_token().run_sync_soon([&] {
    try {
      event.wait();
    } catch (const UsageError&) {
      refused = true;
    }
  });
  checkpoint();
  checkpoint();
  EXPECT_TRUE(refused);
}

}  // namespace
}  // namespace weft::fibers
