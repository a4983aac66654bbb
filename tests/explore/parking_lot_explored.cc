// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/parking_lot.h"

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/fiber_test.h"

namespace weft::fibers {
namespace {

EXPLORE_TEST(ParkingLotExplored, UnparkTakesThemInOrder) {
  exploration.prune();
  ParkingLot lot;
  int parked = 0;
  int last = -1;
  open_nursery([&](Nursery& nursery) {
    for (int i = 0; i < 3; ++i) {
      nursery.start_soon([&] {
        const int mine = parked++;
        lot.park();
        EXPECT_GT(mine, last);
        last = mine;
      });
    }
    while (parked < 3) checkpoint();
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(lot.unpark(), 1U);
      // The next one is let go when this one has run.
      while (last < i) checkpoint();
    }
  });
  EXPECT_EQ(last, 2);
  EXPECT_TRUE(lot.empty());
}

EXPLORE_TEST(ParkingLotExplored, ACancelledTaskIsNotCounted) {
  exploration.prune();
  ParkingLot lot;
  CancelScope leaves;
  int through = 0;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      if (leaves.run([&] { lot.park(); })) ++through;
    });
    nursery.start_soon([&] {
      lot.park();
      ++through;
    });
    nursery.start_soon([&] { leaves.cancel(); });
    nursery.start_soon([&] {
      checkpoint();
      checkpoint();
      // Whoever is still there, and nobody twice.
      const std::size_t there = lot.size();
      EXPECT_EQ(lot.unpark(5), there);
    });
  });
  EXPECT_GE(through, 1);
  EXPECT_TRUE(lot.empty());
}

EXPLORE_TEST(ParkingLotExplored, MovingToAnotherLotKeepsThemWaiting) {
  exploration.prune();
  ParkingLot first;
  ParkingLot second;
  CancelScope leaves;
  int through = 0;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { leaves.run([&] { first.park(); }); });
    nursery.start_soon([&] {
      first.park();
      ++through;
    });
    nursery.start_soon([&] {
      checkpoint();
      first.repark_all(second);
      EXPECT_TRUE(first.empty());
    });
    nursery.start_soon([&] {
      checkpoint();
      leaves.cancel();
    });
    for (int i = 0; i < 4; ++i) checkpoint();
    EXPECT_EQ(second.unpark_all(), 1U);
  });
  EXPECT_EQ(through, 1);
}

}  // namespace
}  // namespace weft::fibers
