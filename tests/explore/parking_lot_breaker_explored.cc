// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/parking_lot_breaker.h"

#include <stdexcept>

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/parking_lot.h"
#include "weft/fibers/testing/fiber_test.h"

namespace weft::fibers {
namespace {

// True if it was let go, false if the lot was broken.
bool park(ParkingLot& lot) {
  try {
    lot.park();
    return true;
  } catch (const BrokenResourceError&) {
    return false;
  }
}

// However the task ends, nobody waits for it in vain.
// explores: add_parking_lot_breaker
EXPLORE_TEST(ParkingLotBreakerExplored, TheEndOfTheTaskIsHeardByAll) {
  exploration.prune();
  ParkingLot lot;
  CancelScope leaves;
  int broken = 0;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      add_parking_lot_breaker(current_task(), lot);
      leaves.run([] { checkpoint(); });
    });
    for (int i = 0; i < 2; ++i) {
      nursery.start_soon([&] {
        if (!park(lot)) ++broken;
      });
    }
    nursery.start_soon([&] { leaves.cancel(); });
  });
  EXPECT_EQ(broken, 2);
}

// explores: add_parking_lot_breaker
EXPLORE_TEST(ParkingLotBreakerExplored, WhatWasTakenBackBreaksNothing) {
  exploration.prune();
  ParkingLot lot;
  int through = 0;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      add_parking_lot_breaker(current_task(), lot);
      checkpoint();
      remove_parking_lot_breaker(current_task(), lot);
    });
    for (int i = 0; i < 2; ++i) {
      nursery.start_soon([&] {
        if (park(lot)) ++through;
      });
    }
    nursery.start_soon([&] {
      for (int i = 0; i < 3; ++i) checkpoint();
      lot.unpark_all();
    });
  });
  EXPECT_EQ(through, 2);
  EXPECT_FALSE(lot.broken());
}

// Two who could let the others go: the first to end breaks it, and both are noted.
// explores: add_parking_lot_breaker
EXPLORE_TEST(ParkingLotBreakerExplored, EveryoneWhoEndsIsNoted) {
  exploration.prune();
  ParkingLot lot;
  int broken = 0;
  open_nursery([&](Nursery& nursery) {
    for (int i = 0; i < 2; ++i) {
      nursery.start_soon([&] {
        add_parking_lot_breaker(current_task(), lot);
        checkpoint();
      });
    }
    nursery.start_soon([&] {
      if (!park(lot)) ++broken;
    });
  });
  EXPECT_EQ(broken, 1);
  EXPECT_EQ(lot.broken_by().size(), 2U);
}

}  // namespace
}  // namespace weft::fibers
