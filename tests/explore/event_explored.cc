// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/event.h"

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/fiber_test.h"

namespace weft::fibers {
namespace {

// explores: Event
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
// explores: Event
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

// explores: Event
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

// The statistics say who waits at that moment: neither who is woken nor who has given up.
// explores: Event.statistics
EXPLORE_TEST(EventExplored, CountsWhoeverWaits) {
  exploration.prune();
  Event event;
  std::size_t waiting = 0;
  open_nursery([&](Nursery& nursery) {
    for (int i = 0; i < 3; ++i) {
      nursery.start_soon([&] {
        if (!event.is_set()) ++waiting;
        event.wait();
      });
    }
    nursery.start_soon([&] {
      EXPECT_EQ(event.statistics().tasks_waiting, waiting);
      checkpoint();
      EXPECT_EQ(event.statistics().tasks_waiting, 3U);
      event.set();
      EXPECT_EQ(event.statistics().tasks_waiting, 0U);
    });
  });
}

// explores: Event.statistics
EXPLORE_TEST(EventExplored, WhoGivesUpIsNotCountedFromThatMomentOn) {
  exploration.prune();
  Event event;
  CancelScope leaves;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { leaves.run([&] { event.wait(); }); });
    nursery.start_soon([&] { event.wait(); });
    nursery.start_soon([&] {
      checkpoint();
      EXPECT_EQ(event.statistics().tasks_waiting, 2U);
      leaves.cancel();
      EXPECT_EQ(event.statistics().tasks_waiting, 1U);
    });
    nursery.start_soon([&] {
      for (int i = 0; i < 3; ++i) checkpoint();
      EXPECT_EQ(event.statistics().tasks_waiting, 1U);
      event.set();
    });
  });
}

// explores: Event.statistics
EXPLORE_TEST(EventExplored, NobodyWaitsForWhatHasHappened) {
  exploration.prune();
  Event event;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { event.set(); });
    for (int i = 0; i < 2; ++i) {
      nursery.start_soon([&] {
        checkpoint();
        event.wait();
      });
    }
    nursery.start_soon([&] {
      for (int i = 0; i < 3; ++i, checkpoint()) {
        if (event.is_set()) {
          EXPECT_EQ(event.statistics().tasks_waiting, 0U);
        }
      }
    });
  });
}

}  // namespace
}  // namespace weft::fibers
