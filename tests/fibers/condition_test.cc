// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/condition.h"

#include <gtest/gtest.h>

#include <vector>

#include "weft/fibers/errors.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/checkpoints.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

using testing::wait_all_tasks_blocked;

// trio: test_sync.py::test_Condition
FIBER_TEST(ConditionTest, NeedsItsLock) {
  Lock lock;
  Condition condition(lock);
  EXPECT_EQ(&condition.lock(), &lock);
  EXPECT_THROW(condition.wait(), UsageError);
  EXPECT_THROW(condition.notify(), UsageError);
  EXPECT_THROW(condition.notify_all(), UsageError);
}

// trio: test_sync.py::test_Condition
FIBER_TEST(ConditionTest, NotifiesInOrderAndHandsTheLockOver) {
  Condition condition;
  std::vector<int> woken;
  open_nursery([&](Nursery& nursery) {
    for (int i = 0; i < 4; ++i) {
      nursery.start_soon([&, i] {
        const LockGuard guard(condition.lock());
        condition.wait();
        EXPECT_EQ(condition.lock().statistics().owner, &current_task());
        woken.push_back(i);
      });
      wait_all_tasks_blocked();
    }
    EXPECT_EQ(condition.statistics().tasks_waiting, 4U);
    {
      const LockGuard guard(condition.lock());
      condition.notify();
      EXPECT_EQ(condition.statistics().tasks_waiting, 3U);
      EXPECT_EQ(condition.statistics().lock_statistics.tasks_waiting, 1U);
      checkpoint();
      EXPECT_TRUE(woken.empty());
    }
    wait_all_tasks_blocked();
    EXPECT_EQ(woken, (std::vector{0}));
    const LockGuard guard(condition.lock());
    condition.notify_all();
  });
  EXPECT_EQ(woken, (std::vector{0, 1, 2, 3}));
}

// trio: test_sync.py::test_Condition
FIBER_TEST(ConditionTest, CancelledWaitTakesTheLockAgainFirst) {
  Condition condition;
  CancelScope scope;
  bool held = false;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      scope.run([&] {
        const LockGuard guard(condition.lock());
        try {
          condition.wait();
        } catch (const Cancelled&) {
          held = condition.lock().statistics().owner == &current_task();
          throw;
        }
      });
    });
    wait_all_tasks_blocked();
    {
      const LockGuard guard(condition.lock());
      scope.cancel();
      wait_all_tasks_blocked();
      EXPECT_FALSE(held);
      EXPECT_EQ(condition.lock().statistics().tasks_waiting, 1U);
    }
  });
  EXPECT_TRUE(held);
  EXPECT_TRUE(scope.cancelled_caught());
  EXPECT_FALSE(condition.lock().locked());
}

FIBER_TEST(ConditionTest, ANotifiedTaskThatIsCancelledPassesTheNotificationOn) {
  Condition condition;
  CancelScope leaves;
  int items = 0;
  int taken = 0;
  const auto take = [&] {
    const LockGuard guard(condition.lock());
    while (items == 0) condition.wait();
    --items;
    ++taken;
  };
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { leaves.run(take); });
    wait_all_tasks_blocked();
    nursery.start_soon(take);
    wait_all_tasks_blocked();
    const LockGuard guard(condition.lock());
    ++items;
    condition.notify();
    leaves.cancel();
  });
  EXPECT_TRUE(leaves.cancelled_caught());
  EXPECT_EQ(taken, 1);
}

FIBER_TEST(ConditionTest, IsAcquiredAsItsLock) {
  Lock lock;
  Condition condition(lock);
  testing::assert_checkpoints([&] { condition.acquire(); });
  EXPECT_TRUE(condition.locked());
  EXPECT_TRUE(lock.locked());
  EXPECT_THROW(condition.acquire(), UsageError);
  condition.notify_all();
  condition.release();
  EXPECT_FALSE(condition.locked());
  condition.acquire_nowait();
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { EXPECT_THROW(condition.acquire_nowait(), WouldBlock); });
  });
  lock.release();
  EXPECT_THROW(condition.release(), UsageError);
}

FIBER_TEST(ConditionTest, AnOwnerOfTheLockThatEndsFailsThoseItHasNotified) {
  Condition condition;
  open_nursery([&](Nursery& nursery) {
    for (int i = 0; i < 2; ++i) {
      nursery.start_soon([&] {
        condition.lock().acquire();
        EXPECT_THROW(condition.wait(), BrokenResourceError);
      });
    }
    wait_all_tasks_blocked();
    nursery.start_soon([&] {
      condition.lock().acquire();
      condition.notify_all();
    });
  });
  EXPECT_THROW(condition.lock().acquire(), BrokenResourceError);
}

}  // namespace
}  // namespace weft::fibers
