// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/semaphore.h"

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/lock.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/fiber_test.h"

namespace weft::fibers {
namespace {

// explores: Semaphore
EXPLORE_TEST(SemaphoreExplored, LetsAsManyInAsItSays) {
  exploration.prune();
  Semaphore semaphore(2);
  int inside = 0;
  int turns = 0;
  open_nursery([&](Nursery& nursery) {
    for (int i = 0; i < 4; ++i) {
      nursery.start_soon([&] {
        const Guard guard(semaphore);
        EXPECT_LE(++inside, 2);
        checkpoint();
        --inside;
        ++turns;
      });
    }
  });
  EXPECT_EQ(turns, 4);
  EXPECT_EQ(semaphore.value(), 2U);
}

// explores: Semaphore
EXPLORE_TEST(SemaphoreExplored, ACancelledTaskTakesNothingWithIt) {
  exploration.prune();
  Semaphore semaphore(1);
  CancelScope leaves;
  int turns = 0;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      leaves.run([&] {
        const Guard guard(semaphore);
        checkpoint();
      });
    });
    for (int i = 0; i < 2; ++i) {
      nursery.start_soon([&] {
        const Guard guard(semaphore);
        ++turns;
      });
    }
    nursery.start_soon([&] { leaves.cancel(); });
  });
  EXPECT_EQ(turns, 2);
  EXPECT_EQ(semaphore.value(), 1U);
}

// As a counter of items: each release lets one in, whoever asks when.
// explores: Semaphore
EXPLORE_TEST(SemaphoreExplored, EveryReleaseLetsOneIn) {
  exploration.prune();
  Semaphore semaphore(0);
  int got = 0;
  open_nursery([&](Nursery& nursery) {
    for (int i = 0; i < 3; ++i) {
      nursery.start_soon([&] {
        semaphore.acquire();
        ++got;
      });
    }
    nursery.start_soon([&] {
      semaphore.release();
      checkpoint();
      semaphore.release();
      semaphore.release();
    });
  });
  EXPECT_EQ(got, 3);
  EXPECT_EQ(semaphore.value(), 0U);
}

}  // namespace
}  // namespace weft::fibers
