// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/capacity_limiter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <vector>

#include "weft/fibers/errors.h"
#include "weft/fibers/event.h"
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

// trio: test_sync.py::test_CapacityLimiter
FIBER_TEST(CapacityLimiterTest, LendsEachBorrowerOneToken) {
  CapacityLimiter limiter(2);
  assert_checkpoints([&] { limiter.acquire(); });
  EXPECT_EQ(limiter.borrowed_tokens(), 1U);
  EXPECT_EQ(limiter.available_tokens(), 1U);
  EXPECT_THROW(limiter.acquire(), UsageError);
  EXPECT_THROW(limiter.acquire_nowait(), UsageError);
  int other = 0;
  assert_no_checkpoints([&] { limiter.acquire_on_behalf_of_nowait(&other); });
  int third = 0;
  EXPECT_THROW(limiter.acquire_on_behalf_of_nowait(&third), WouldBlock);
  EXPECT_EQ(limiter.statistics().borrowers.size(), 2U);
  EXPECT_EQ(limiter.statistics().total_tokens, 2U);
  EXPECT_THROW(limiter.release_on_behalf_of(&third), UsageError);
  assert_no_checkpoints([&] { limiter.release(); });
  EXPECT_THROW(limiter.release(), UsageError);
  limiter.release_on_behalf_of(&other);
  EXPECT_EQ(limiter.borrowed_tokens(), 0U);
}

FIBER_TEST(CapacityLimiterTest, BorrowerThatWaitsMayNotWaitTwice) {
  CapacityLimiter limiter(0);
  int borrower = 0;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { limiter.acquire_on_behalf_of(&borrower); });
    wait_all_tasks_blocked();
    EXPECT_THROW(limiter.acquire_on_behalf_of(&borrower), UsageError);
    EXPECT_THROW(limiter.release_on_behalf_of(&borrower), UsageError);
    limiter.set_total_tokens(1);
  });
  limiter.release_on_behalf_of(&borrower);
}

// trio: test_sync.py::test_CapacityLimiter_inf
FIBER_TEST(CapacityLimiterTest, MayBeUnlimited) {
  CapacityLimiter limiter(CapacityLimiter::kUnlimited);
  std::vector<char> borrowers(100);
  for (const char& borrower : borrowers) limiter.acquire_on_behalf_of_nowait(&borrower);
  EXPECT_EQ(limiter.borrowed_tokens(), 100U);
  for (const char& borrower : borrowers) limiter.release_on_behalf_of(&borrower);
}

// trio: test_sync.py::test_CapacityLimiter_change_total_tokens
FIBER_TEST(CapacityLimiterTest, GrowsAndShrinksWhileInUse) {
  CapacityLimiter limiter(2);
  std::vector<char> borrowers(5);
  std::vector<bool> inside(5);
  open_nursery([&](Nursery& nursery) {
    for (std::size_t i = 0; i < 5; ++i) {
      nursery.start_soon([&, i] {
        limiter.acquire_on_behalf_of(&borrowers[i]);
        inside[i] = true;
      });
      wait_all_tasks_blocked();
    }
    EXPECT_EQ(inside, (std::vector<bool>{true, true, false, false, false}));
    limiter.set_total_tokens(4);
    wait_all_tasks_blocked();
    EXPECT_EQ(inside, (std::vector<bool>{true, true, true, true, false}));
    limiter.set_total_tokens(1);
    EXPECT_EQ(limiter.available_tokens(), 0U);
    EXPECT_EQ(limiter.borrowed_tokens(), 4U);
    // One too many go until there is room for the one that waits.
    for (std::size_t i = 0; i < 3; ++i) limiter.release_on_behalf_of(&borrowers[i]);
    wait_all_tasks_blocked();
    EXPECT_FALSE(inside[4]);
    limiter.release_on_behalf_of(&borrowers[3]);
    wait_all_tasks_blocked();
    EXPECT_TRUE(inside[4]);
  });
}

// trio: test_sync.py::test_CapacityLimiter_zero_limit_tokens
FIBER_TEST(CapacityLimiterTest, WithNoTokensEverybodyWaits) {
  CapacityLimiter limiter(0);
  bool inside = false;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      const Guard guard(limiter);
      inside = true;
    });
    wait_all_tasks_blocked();
    EXPECT_FALSE(inside);
    EXPECT_THROW(limiter.acquire_nowait(), WouldBlock);
    limiter.set_total_tokens(1);
  });
  EXPECT_TRUE(inside);
}

// trio: test_sync.py::test_CapacityLimiter_memleak_548
FIBER_TEST(CapacityLimiterTest, CancelledBorrowerIsForgotten) {
  CapacityLimiter limiter(1);
  int holder = 0;
  limiter.acquire_on_behalf_of_nowait(&holder);
  EXPECT_FALSE(move_on_after(seconds(1), [&] { limiter.acquire(); }));
  EXPECT_EQ(limiter.statistics().tasks_waiting, 0U);
  limiter.release_on_behalf_of(&holder);
  EXPECT_EQ(limiter.borrowed_tokens(), 0U);
  // Not counted as waiting any more: it may come again.
  limiter.acquire();
  limiter.release();
}

// Stacks are used again, and with them the addresses of tasks.
FIBER_TEST(CapacityLimiterTest, ATaskIsNotTakenForAnEarlierOneAtTheSameAddress) {
  constexpr std::size_t kTasks = 100;
  CapacityLimiter limiter(CapacityLimiter::kUnlimited);
  for (std::size_t i = 0; i < kTasks; ++i) {
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] {
        EXPECT_THROW(limiter.release(), UsageError) << "a token that it never had";
        limiter.acquire();  // And ends with it.
      });
    });
  }
  EXPECT_EQ(limiter.borrowed_tokens(), kTasks);
  EXPECT_EQ(limiter.statistics().borrowers, std::vector<const void*>(kTasks, nullptr));
  limiter.acquire();
  EXPECT_THAT(limiter.statistics().borrowers, ::testing::Contains(&current_task()));
  limiter.release();
}

}  // namespace
}  // namespace weft::fibers
