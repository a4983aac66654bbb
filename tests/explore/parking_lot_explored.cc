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

// explores: ParkingLot
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

// explores: ParkingLot
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

// As many go as unpark() says, and who parks meanwhile is not among them.
// explores: ParkingLot
EXPLORE_TEST(ParkingLotExplored, AsManyGoAsItSays) {
  exploration.prune();
  ParkingLot lot;
  std::size_t let_go = 0;
  std::size_t through = 0;
  open_nursery([&](Nursery& nursery) {
    for (int i = 0; i < 3; ++i) {
      nursery.start_soon([&] {
        lot.park();
        ++through;
      });
    }
    nursery.start_soon([&] {
      let_go += lot.unpark(2);
      checkpoint();
      checkpoint();
      EXPECT_EQ(through, let_go);
      EXPECT_EQ(lot.size(), 3 - through);
      let_go += lot.unpark_all();
    });
  });
  EXPECT_EQ(through, 3U);
  EXPECT_EQ(let_go, 3U);
}

// explores: ParkingLot.repark
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

// explores: ParkingLot.repark
EXPLORE_TEST(ParkingLotExplored, TheOthersKeepTheirOrder) {
  exploration.prune();
  ParkingLot first;
  ParkingLot second;
  int parked = 0;
  int seen[3] = {-1, -1, -1};
  int through = 0;
  open_nursery([&](Nursery& nursery) {
    for (int i = 0; i < 3; ++i) {
      nursery.start_soon([&] {
        const int mine = parked++;
        first.park();
        seen[mine] = through++;
      });
    }
    while (parked < 3) checkpoint();
    EXPECT_EQ(first.repark(second, 1), 1U);
    EXPECT_EQ(first.size(), 2U);
    for (int i = 0; i < 2; ++i) {
      first.unpark();
      while (through <= i) checkpoint();
    }
    second.unpark();
  });
  EXPECT_EQ(seen[1], 0);
  EXPECT_EQ(seen[2], 1);
  EXPECT_EQ(seen[0], 2);
}

// Who is moved into a lot that breaks gets that lot's error.
// explores: ParkingLot.repark
EXPLORE_TEST(ParkingLotExplored, WhoIsMovedSharesTheFateOfTheNewLot) {
  exploration.prune();
  ParkingLot first;
  ParkingLot second;
  int broken = 0;
  int through = 0;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      try {
        first.park();
        ++through;
      } catch (const BrokenResourceError&) {
        ++broken;
      }
    });
    nursery.start_soon([&] {
      checkpoint();
      if (!second.broken()) first.repark_all(second);
      first.unpark_all();
    });
    nursery.start_soon([&] {
      checkpoint();
      second.break_lot();
    });
  });
  EXPECT_EQ(broken + through, 1);
  EXPECT_TRUE(first.empty());
  EXPECT_TRUE(second.empty());
}

// Everybody is told once, whether they wait already or come later.
// explores: ParkingLot.break_lot
EXPLORE_TEST(ParkingLotExplored, ABrokenLotTellsEverybody) {
  exploration.prune();
  ParkingLot lot;
  int told = 0;
  open_nursery([&](Nursery& nursery) {
    for (int i = 0; i < 3; ++i) {
      nursery.start_soon([&] {
        try {
          lot.park();
        } catch (const BrokenResourceError&) {
          ++told;
        }
      });
    }
    nursery.start_soon([&] { lot.break_lot(); });
  });
  EXPECT_EQ(told, 3);
  EXPECT_EQ(lot.broken_by().size(), 1U);
}

// explores: ParkingLot.break_lot
EXPLORE_TEST(ParkingLotExplored, WhoWasUnparkedBeforeItBrokeIsThrough) {
  exploration.prune();
  ParkingLot lot;
  int told = 0;
  int through = 0;
  std::size_t unparked = 0;
  open_nursery([&](Nursery& nursery) {
    for (int i = 0; i < 2; ++i) {
      nursery.start_soon([&] {
        try {
          lot.park();
          ++through;
        } catch (const BrokenResourceError&) {
          ++told;
        }
      });
    }
    nursery.start_soon([&] {
      unparked = lot.unpark();
      lot.break_lot();
    });
  });
  EXPECT_EQ(static_cast<std::size_t>(through), unparked);
  EXPECT_EQ(through + told, 2);
}

// explores: ParkingLot.break_lot
EXPLORE_TEST(ParkingLotExplored, ACancelledTaskHearsOfOneOfTheTwo) {
  exploration.prune();
  ParkingLot lot;
  CancelScope leaves;
  bool told = false;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      leaves.run([&] {
        try {
          lot.park();
        } catch (const BrokenResourceError&) {
          told = true;
        }
      });
    });
    nursery.start_soon([&] { lot.break_lot(); });
    nursery.start_soon([&] { leaves.cancel(); });
  });
  EXPECT_NE(told, leaves.cancelled_caught());
  EXPECT_TRUE(lot.empty());
}

}  // namespace
}  // namespace weft::fibers
