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
// explores: Condition
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
// explores: Condition
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

// One item and one notification for two tasks. The one that may be cancelled puts back what it has
// taken; the other always gets the item.
// explores: Condition
EXPLORE_TEST(ConditionExplored, ACancelledTaskPassesItsNotificationOn) {
  exploration.prune();
  Condition condition;
  CancelScope leaves;
  int items = 0;
  const auto put = [&] {
    const Guard guard(condition.lock());
    ++items;
    condition.notify();
  };
  const auto take = [&] {
    const Guard guard(condition.lock());
    while (items == 0) condition.wait();
    --items;
  };
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      if (leaves.run(take)) put();
    });
    nursery.start_soon(take);
    nursery.start_soon(put);
    nursery.start_soon([&] { leaves.cancel(); });
  });
  EXPECT_EQ(items, 0);
  EXPECT_FALSE(condition.lock().locked());
}

// explores: Condition.notify_all
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

// explores: Condition.notify_all
EXPLORE_TEST(ConditionExplored, NotifyAllAndACancellationLeaveTheLockFree) {
  exploration.prune();
  Condition condition;
  CancelScope leaves;
  bool open = false;
  int through = 0;
  const auto pass = [&] {
    const Guard guard(condition.lock());
    while (!open) condition.wait();
    ++through;
  };
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { leaves.run(pass); });
    nursery.start_soon(pass);
    nursery.start_soon([&] {
      const Guard guard(condition.lock());
      open = true;
      condition.notify_all();
    });
    nursery.start_soon([&] { leaves.cancel(); });
  });
  EXPECT_EQ(through, leaves.cancelled_caught() ? 1 : 2);
  EXPECT_EQ(condition.statistics().tasks_waiting, 0U);
  EXPECT_FALSE(condition.lock().locked());
}

// They go on one by one, in the order in which they had waited.
// explores: Condition.notify_all
EXPLORE_TEST(ConditionExplored, WhoAreNotifiedGoOnInTheirOrder) {
  exploration.prune();
  Condition condition;
  bool open = false;
  int waiting = 0;
  int last = -1;
  int inside = 0;
  open_nursery([&](Nursery& nursery) {
    for (int i = 0; i < 2; ++i) {
      nursery.start_soon([&] {
        const Guard guard(condition.lock());
        const int mine = waiting++;
        while (!open) condition.wait();
        EXPECT_GT(mine, last);
        last = mine;
        EXPECT_EQ(++inside, 1);
        checkpoint();
        --inside;
      });
    }
    while (condition.statistics().tasks_waiting < 2) checkpoint();
    const Guard guard(condition.lock());
    open = true;
    condition.notify_all();
  });
  EXPECT_EQ(last, 1);
}

// Two conditions share a lock: one's notification is not the other's.
// explores: Condition
EXPLORE_TEST(ConditionExplored, TwoConditionsOfOneLock) {
  exploration.prune();
  Lock lock;
  Condition not_empty(lock);
  Condition not_full(lock);
  int items = 0;
  int taken = 0;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      for (int i = 0; i < 2; ++i) {
        const Guard guard(lock);
        while (items == 1) not_full.wait();
        ++items;
        not_empty.notify();
      }
    });
    for (int i = 0; i < 2; ++i) {
      nursery.start_soon([&] {
        const Guard guard(lock);
        while (items == 0) not_empty.wait();
        EXPECT_EQ(items--, 1);
        ++taken;
        not_full.notify();
      });
    }
  });
  EXPECT_EQ(taken, 2);
}

}  // namespace
}  // namespace weft::fibers
