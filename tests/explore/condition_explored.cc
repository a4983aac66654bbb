// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/condition.h"

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/fiber_test.h"

namespace weft::fibers {
namespace {

// The usual loop: who finds nothing waits, who adds something notifies one.
EXPLORE_TEST(ConditionExplored, NoItemIsOverlooked) {
  exploration.prune();
  Condition condition;
  int items = 0;
  int taken = 0;
  open_nursery([&](Nursery& nursery) {
    for (int i = 0; i < 2; ++i) {
      nursery.start_soon([&] {
        const Guard guard(condition.lock());
        while (items == 0) condition.wait();
        --items;
        ++taken;
      });
      nursery.start_soon([&] {
        const Guard guard(condition.lock());
        ++items;
        condition.notify();
      });
    }
  });
  EXPECT_EQ(taken, 2);
  EXPECT_FALSE(condition.lock().locked());
}

// Whoever is cancelled after it has been notified has the lock when it hears of it; the item stays
// for the other one.
EXPLORE_TEST(ConditionExplored, ACancelledWaitHoldsTheLock) {
  exploration.prune();
  Condition condition;
  CancelScope leaves;
  int items = 0;
  int taken = 0;
  const auto take = [&] {
    const Guard guard(condition.lock());
    while (items == 0) {
      try {
        condition.wait();
      } catch (...) {
        EXPECT_EQ(condition.lock().statistics().owner, &current_task());
        if (items > 0) condition.notify();
        throw;
      }
    }
    --items;
    ++taken;
  };
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { leaves.run(take); });
    nursery.start_soon([&] {
      const Guard guard(condition.lock());
      ++items;
      condition.notify();
    });
    nursery.start_soon([&] { leaves.cancel(); });
  });
  EXPECT_EQ(taken + items, 1);
  EXPECT_EQ(condition.statistics().tasks_waiting, 0U);
  EXPECT_FALSE(condition.lock().locked());
}

EXPLORE_TEST(ConditionExplored, NotifyAllReachesEveryone) {
  exploration.prune();
  Condition condition;
  bool open = false;
  int through = 0;
  open_nursery([&](Nursery& nursery) {
    for (int i = 0; i < 3; ++i) {
      nursery.start_soon([&] {
        const Guard guard(condition.lock());
        while (!open) condition.wait();
        ++through;
      });
    }
    nursery.start_soon([&] {
      const Guard guard(condition.lock());
      open = true;
      condition.notify_all();
    });
  });
  EXPECT_EQ(through, 3);
}

}  // namespace
}  // namespace weft::fibers
