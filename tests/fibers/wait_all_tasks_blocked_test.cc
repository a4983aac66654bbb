// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/testing/wait_all_tasks_blocked.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/support/pipe.h"
#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/fd_watch.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/checkpoints.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;

// trio: test_testing.py::test_wait_all_tasks_blocked
FIBER_TEST(WaitAllTasksBlockedTest, ReturnsWhenEverybodyElseWaits) {
  int steps = 0;
  open_nursery([&steps](Nursery& nursery) {
    nursery.start_soon([&steps] {
      for (; steps < 10; ++steps) checkpoint();
      sleep_forever();
    });
    wait_all_tasks_blocked();
    EXPECT_EQ(steps, 10);
    nursery.cancel_scope().cancel();
  });
}

FIBER_TEST(WaitAllTasksBlockedTest, IsACheckpointAlsoWithNobodyElse) {
  assert_checkpoints([] { wait_all_tasks_blocked(); });
}

// trio: test_testing.py::test_wait_all_tasks_blocked_with_timeouts
FIBER_TEST(WaitAllTasksBlockedTest, ATaskThatSleepsIsBlocked) {
  const Instant start = current_time();
  bool woken = false;
  open_nursery([&woken](Nursery& nursery) {
    nursery.start_soon([&woken] {
      sleep(seconds(5));
      woken = true;
    });
    wait_all_tasks_blocked();
    EXPECT_FALSE(woken);
  });
  EXPECT_EQ(current_time(), start + seconds(5));
}

// trio: test_mock_clock.py::test_mock_clock_autojump_0_and_wait_all_tasks_blocked_nonzero
FIBER_TEST(WaitAllTasksBlockedTest, GoesBeforeAClockThatJumps) {
  const Instant start = current_time();
  open_nursery([](Nursery& nursery) {
    nursery.start_soon([] { sleep(seconds(5)); });
    wait_all_tasks_blocked(milliseconds(1));
    nursery.cancel_scope().cancel();
  });
  EXPECT_EQ(current_time(), start);
}

// trio: test_testing.py::test_wait_all_tasks_blocked_with_cushion
FIBER_TEST(WaitAllTasksBlockedTest, TheSmallestCushionsGoFirstAndTogether) {
  std::vector<int> order;
  open_nursery([&order](Nursery& nursery) {
    for (const int cushion : {3, 1, 2, 1}) {
      nursery.start_soon([&order, cushion] {
        wait_all_tasks_blocked(milliseconds(cushion));
        order.push_back(cushion);
        if (cushion == 1) checkpoint();
        if (cushion == 1) order.push_back(10);
      });
    }
  });
  EXPECT_THAT(order, ElementsAre(1, 1, 10, 10, 2, 3));
}

FIBER_TEST(WaitAllTasksBlockedTest, IsCancelledAtOnce) {
  CancelScope scope;
  bool blocked = true;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      EXPECT_FALSE(scope.run([] { wait_all_tasks_blocked(std::chrono::hours(1)); }));
      blocked = false;
    });
    checkpoint();
    scope.cancel();
    for (int turn = 0; blocked && turn < 3; ++turn) checkpoint();
    EXPECT_FALSE(blocked);
  });
  wait_all_tasks_blocked();
}

// A descriptor that is ready for as long as nobody reads it, and by which nobody becomes ready.
FIBER_TEST(WaitAllTasksBlockedTest, AWatchThatMakesNobodyReadyIsNoTask) {
  const test::SocketPair pair;
  pair.write(1);  // For pair[0].
  int calls = 0;
  FdWatch watch;
  watch.arm(
      pair[0], FdDirection::kRead, [](void* count) { ++*static_cast<int*>(count); }, &calls);
  wait_all_tasks_blocked();
  EXPECT_GE(calls, 1);
  const Instant start = current_time();
  sleep(seconds(5));  // Virtual time passes, too.
  EXPECT_EQ(current_time(), start + seconds(5));
}

TEST(WaitAllTasksBlockedTest, NeedsATask) {
  EXPECT_THROW(wait_all_tasks_blocked(), UsageError);
}

}  // namespace
}  // namespace weft::fibers::testing
