// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/capacity_limiter.h"

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/fiber_test.h"

namespace weft::fibers {
namespace {

EXPLORE_TEST(CapacityLimiterExplored, NeverLendsMoreThanItHas) {
  CapacityLimiter limiter(2);
  int inside = 0;
  int turns = 0;
  exploration.prune([&] { return std::uint64_t{limiter.borrowed_tokens()}; });
  open_nursery([&](Nursery& nursery) {
    for (int i = 0; i < 3; ++i) {
      nursery.start_soon([&] {
        const Guard guard(limiter);
        EXPECT_LE(++inside, 2);
        checkpoint();
        --inside;
        ++turns;
      });
    }
  });
  EXPECT_EQ(turns, 3);
  EXPECT_EQ(limiter.borrowed_tokens(), 0U);
}

EXPLORE_TEST(CapacityLimiterExplored, MoreTokensWakeWhoeverWaits) {
  CapacityLimiter limiter(0);
  int turns = 0;
  open_nursery([&](Nursery& nursery) {
    for (int i = 0; i < 2; ++i) {
      nursery.start_soon([&] {
        const Guard guard(limiter);
        checkpoint();
        ++turns;
      });
    }
    nursery.start_soon([&] {
      limiter.set_total_tokens(1);
      checkpoint();
      limiter.set_total_tokens(2);
    });
  });
  EXPECT_EQ(turns, 2);
  EXPECT_EQ(limiter.available_tokens(), 2U);
}

EXPLORE_TEST(CapacityLimiterExplored, ACancelledTaskOwesNothing) {
  CapacityLimiter limiter(1);
  CancelScope leaves;
  int turns = 0;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      leaves.run([&] {
        const Guard guard(limiter);
        checkpoint();
      });
    });
    nursery.start_soon([&] {
      const Guard guard(limiter);
      ++turns;
    });
    nursery.start_soon([&] { leaves.cancel(); });
  });
  EXPECT_EQ(turns, 1);
  EXPECT_EQ(limiter.borrowed_tokens(), 0U);
}

}  // namespace
}  // namespace weft::fibers
