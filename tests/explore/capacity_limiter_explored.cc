// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/capacity_limiter.h"

#include <utility>

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/fiber_test.h"

namespace weft::fibers {
namespace {

// explores: CapacityLimiter
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

// explores: CapacityLimiter
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

// explores: CapacityLimiter
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

// Tokens may be returned by somebody else than who borrowed them, and still go to whoever waits.
// explores: CapacityLimiter.acquire_on_behalf_of
EXPLORE_TEST(CapacityLimiterExplored, ATokenOnBehalfIsGivenBackByAnother) {
  CapacityLimiter limiter(1);
  const int borrowers[2] = {0, 1};
  const int* has = nullptr;
  int turns = 0;
  open_nursery([&](Nursery& nursery) {
    for (const int& borrower : borrowers) {
      nursery.start_soon([&] {
        limiter.acquire_on_behalf_of(&borrower);
        EXPECT_EQ(has, nullptr);
        has = &borrower;
        ++turns;
      });
    }
    nursery.start_soon([&] {
      for (int given_back = 0; given_back < 2; ++given_back) {
        while (has == nullptr) checkpoint();
        limiter.release_on_behalf_of(std::exchange(has, nullptr));
      }
    });
  });
  EXPECT_EQ(turns, 2);
  EXPECT_EQ(limiter.borrowed_tokens(), 0U);
}

// The same borrower twice: the second one is told, whichever that is, also while the first waits.
// explores: CapacityLimiter.acquire_on_behalf_of
EXPLORE_TEST(CapacityLimiterExplored, ABorrowerHasOneTokenOrWaitsForOne) {
  CapacityLimiter limiter(1);
  const int borrower = 0;
  int refused = 0;
  int got = 0;
  open_nursery([&](Nursery& nursery) {
    for (int i = 0; i < 2; ++i) {
      nursery.start_soon([&] {
        try {
          limiter.acquire_on_behalf_of(&borrower);
          ++got;
          checkpoint();
          limiter.release_on_behalf_of(&borrower);
        } catch (const UsageError&) {
          ++refused;
        }
      });
    }
    nursery.start_soon([&] {
      const Guard guard(limiter);
      checkpoint();
    });
  });
  EXPECT_EQ(got, 1);
  EXPECT_EQ(refused, 1);
  EXPECT_EQ(limiter.statistics().tasks_waiting, 0U);
}

// explores: CapacityLimiter.acquire_on_behalf_of
EXPLORE_TEST(CapacityLimiterExplored, WhoIsCancelledHasBorrowedForNobody) {
  CapacityLimiter limiter(1);
  const int borrowers[2] = {0, 1};
  CancelScope leaves;
  bool got = false;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      got = leaves.run([&] { limiter.acquire_on_behalf_of(&borrowers[0]); });
      if (got) limiter.release_on_behalf_of(&borrowers[0]);
    });
    nursery.start_soon([&] {
      limiter.acquire_on_behalf_of(&borrowers[1]);
      checkpoint();
      limiter.release_on_behalf_of(&borrowers[1]);
    });
    nursery.start_soon([&] {
      checkpoint();
      leaves.cancel();
    });
  });
  EXPECT_EQ(limiter.borrowed_tokens(), 0U);
  EXPECT_EQ(limiter.statistics().tasks_waiting, 0U);
  // And may borrow again.
  limiter.acquire_on_behalf_of_nowait(&borrowers[0]);
}

}  // namespace
}  // namespace weft::fibers
