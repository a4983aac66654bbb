// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/strict_fifo_lock.h"

#include <gtest/gtest.h>

#include <type_traits>
#include <vector>

#include "weft/fibers/condition.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/checkpoints.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

using testing::assert_checkpoints;
using testing::assert_no_checkpoints;
using testing::wait_all_tasks_blocked;

// trio: test_sync.py::test_Condition
static_assert(std::is_constructible_v<Condition, Lock&>);
static_assert(!std::is_constructible_v<Condition, StrictFIFOLock&>);
static_assert(!std::is_convertible_v<StrictFIFOLock*, Lock*>);

// trio: test_sync.py::test_Lock_and_StrictFIFOLock
FIBER_TEST(StrictFIFOLockTest, IsALockWithAnOwner) {
  StrictFIFOLock lock;
  EXPECT_FALSE(lock.locked());
  assert_no_checkpoints([&] { lock.acquire_nowait(); });
  EXPECT_TRUE(lock.locked());
  EXPECT_THROW(lock.acquire(), UsageError);
  EXPECT_THROW(lock.acquire_nowait(), UsageError);
  EXPECT_EQ(lock.statistics().owner, &current_task());
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      EXPECT_THROW(lock.release(), UsageError);
      EXPECT_THROW(lock.acquire_nowait(), WouldBlock);
      const Guard guard(lock);
    });
    wait_all_tasks_blocked();
    EXPECT_EQ(lock.statistics().tasks_waiting, 1U);
    lock.release();
  });
  EXPECT_FALSE(lock.locked());
  EXPECT_THROW(lock.release(), UsageError);
  assert_checkpoints([&] { lock.acquire(); });
  lock.release();
}

// trio: test_sync.py::test_generic_lock_fifo_fairness
FIBER_TEST(StrictFIFOLockTest, TasksGetItInTheOrderInWhichTheyAsked) {
  StrictFIFOLock lock;
  std::vector<int> order;
  CancelScope leaves;
  open_nursery([&](Nursery& nursery) {
    lock.acquire();
    for (int task = 0; task < 5; ++task) {
      nursery.start_soon([&, task] {
        const auto take = [&] {
          const Guard guard(lock);
          order.push_back(task);
          checkpoint();
        };
        task == 2 ? static_cast<void>(leaves.run(take)) : take();
      });
      wait_all_tasks_blocked();
    }
    leaves.cancel();
    lock.release();
    // Too late to come before any of them.
    lock.acquire();
    order.push_back(5);
    lock.release();
  });
  EXPECT_EQ(order, (std::vector{0, 1, 3, 4, 5}));
}

// trio: test_sync.py::test_lock_acquire_unowned_lock
FIBER_TEST(StrictFIFOLockTest, AnOwnerThatEndsBreaksIt) {
  StrictFIFOLock lock;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      lock.acquire();
      nursery.start_soon([&] { EXPECT_THROW(lock.acquire(), BrokenResourceError); });
      wait_all_tasks_blocked();
    });
  });
  EXPECT_THROW(lock.acquire(), BrokenResourceError);
}

}  // namespace
}  // namespace weft::fibers
