// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/semaphore.h"

#include <gtest/gtest.h>

#include <optional>
#include <vector>

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

// trio: test_sync.py::test_Semaphore
FIBER_TEST(SemaphoreTest, CountsDownAndUp) {
  Semaphore semaphore(1);
  EXPECT_EQ(semaphore.value(), 1U);
  EXPECT_EQ(semaphore.max_value(), std::nullopt);
  assert_checkpoints([&] { semaphore.acquire(); });
  EXPECT_THROW(semaphore.acquire_nowait(), WouldBlock);
  assert_no_checkpoints([&] { semaphore.release(); });
  semaphore.release();
  EXPECT_EQ(semaphore.value(), 2U);
  semaphore.acquire_nowait();
  EXPECT_EQ(semaphore.value(), 1U);
}

// trio: test_sync.py::test_Semaphore
FIBER_TEST(SemaphoreTest, ReleaseWithWaitersKeepsTheValueAtZero) {
  Semaphore semaphore(0);
  bool got = false;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      semaphore.acquire();
      got = true;
    });
    wait_all_tasks_blocked();
    EXPECT_EQ(semaphore.statistics().tasks_waiting, 1U);
    semaphore.release();
    EXPECT_EQ(semaphore.value(), 0U);
    EXPECT_THROW(semaphore.acquire_nowait(), WouldBlock);
    wait_all_tasks_blocked();
    EXPECT_TRUE(got);
  });
}

// trio: test_sync.py::test_Semaphore_bounded
FIBER_TEST(SemaphoreTest, IsNotReleasedAboveItsMaximum) {
  EXPECT_THROW(Semaphore(2, 1), UsageError);
  Semaphore semaphore(1, 1);
  EXPECT_EQ(semaphore.max_value(), 1U);
  EXPECT_THROW(semaphore.release(), UsageError);
  EXPECT_EQ(semaphore.value(), 1U);
}

// As LockTest.AShieldPutUpInTheLastMomentDoesNotMakeTwoOwners.
FIBER_TEST(SemaphoreTest, AShieldPutUpInTheLastMomentDoesNotTakeItBelowZero) {
  WEFT_NOT_SWEPT("a shielded wait has nobody left to end it");
  Semaphore semaphore(1);
  CancelScope outer, inner;
  bool got = false;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      outer.run([&] {
        inner.run([&] {
          outer.cancel();
          semaphore.acquire();
          got = true;
        });
      });
    });
    nursery.start_soon([&] {
      semaphore.acquire_nowait();
      inner.set_shield(true);
      wait_all_tasks_blocked();
      EXPECT_FALSE(got);
      semaphore.release();
    });
  });
  EXPECT_TRUE(got);
  EXPECT_EQ(semaphore.value(), 0U);
}

FIBER_TEST(SemaphoreTest, CancelledTaskDoesNotTakeFromIt) {
  Semaphore semaphore(1);
  CancelScope scope;
  scope.cancel();
  EXPECT_FALSE(scope.run([&] { semaphore.acquire(); }));
  EXPECT_EQ(semaphore.value(), 1U);
}

}  // namespace
}  // namespace weft::fibers
