// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/event.h"

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/fiber_test.h"

namespace weft::fibers {
namespace {

EXPLORE_TEST(EventExplored, NobodyWhoWaitsIsForgotten) {
  exploration.prune();
  Event event;
  int woken = 0;
  open_nursery([&](Nursery& nursery) {
    for (int i = 0; i < 3; ++i) {
      nursery.start_soon([&] {
        event.wait();
        EXPECT_TRUE(event.is_set());
        ++woken;
      });
    }
    nursery.start_soon([&] { event.set(); });
  });
  EXPECT_EQ(woken, 3);
  EXPECT_EQ(event.statistics().tasks_waiting, 0U);
}

// The cancellation may come before the task waits, while it waits, and when it has been woken.
EXPLORE_TEST(EventExplored, WhoeverIsCancelledLeavesTheOthersAlone) {
  exploration.prune();
  Event event;
  CancelScope leaves;
  int woken = 0;
  bool left = false;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { left = !leaves.run([&] { event.wait(); }); });
    nursery.start_soon([&] {
      event.wait();
      ++woken;
    });
    nursery.start_soon([&] { leaves.cancel(); });
    nursery.start_soon([&] {
      checkpoint();
      event.set();
    });
  });
  EXPECT_EQ(woken, 1);
  EXPECT_EQ(left, leaves.cancelled_caught());
  EXPECT_EQ(event.statistics().tasks_waiting, 0U);
}

EXPLORE_TEST(EventExplored, SettingTwiceIsSettingOnce) {
  exploration.prune();
  Event event;
  int woken = 0;
  open_nursery([&](Nursery& nursery) {
    for (int i = 0; i < 2; ++i) nursery.start_soon([&] { event.set(); });
    for (int i = 0; i < 2; ++i) {
      nursery.start_soon([&] {
        event.wait();
        ++woken;
        event.wait();
        ++woken;
      });
    }
  });
  EXPECT_EQ(woken, 4);
}

}  // namespace
}  // namespace weft::fibers
