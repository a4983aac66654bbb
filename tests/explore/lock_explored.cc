// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/lock.h"

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/strict_fifo_lock.h"
#include "weft/fibers/testing/fiber_test.h"

namespace weft::fibers {
namespace {

template <class L>
void one_at_a_time(testing::Exploration& exploration) {
  exploration.prune();
  L lock;
  int inside = 0;
  int turns = 0;
  open_nursery([&](Nursery& nursery) {
    for (int i = 0; i < 3; ++i) {
      nursery.start_soon([&] {
        const Guard guard(lock);
        EXPECT_EQ(++inside, 1);
        checkpoint();
        --inside;
        ++turns;
      });
    }
  });
  EXPECT_EQ(turns, 3);
  EXPECT_FALSE(lock.locked());
}

// explores: Lock
EXPLORE_TEST(LockExplored, LetsOneInAtATime) {
  one_at_a_time<Lock>(exploration);
}
// explores: StrictFIFOLock
EXPLORE_TEST(StrictFIFOLockExplored, LetsOneInAtATime) {
  one_at_a_time<StrictFIFOLock>(exploration);
}

// Whoever is cancelled when the lock has just been handed to it has it, or somebody else has.
// explores: Lock
EXPLORE_TEST(LockExplored, IsNotLostToACancellation) {
  exploration.prune();
  Lock lock;
  CancelScope leaves;
  int turns = 0;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      leaves.run([&] {
        const Guard guard(lock);
        checkpoint();
      });
    });
    for (int i = 0; i < 2; ++i) {
      nursery.start_soon([&] {
        const Guard guard(lock);
        ++turns;
        checkpoint();
      });
    }
    nursery.start_soon([&] {
      checkpoint();
      leaves.cancel();
    });
  });
  EXPECT_EQ(turns, 2);
  EXPECT_FALSE(lock.locked());
}

// Trying never takes the lock from somebody to whom it has been handed.
// explores: Lock
EXPLORE_TEST(LockExplored, TryingDoesNotJumpTheQueue) {
  exploration.prune();
  Lock lock;
  int inside = 0;
  int tries = 0;
  open_nursery([&](Nursery& nursery) {
    for (int i = 0; i < 2; ++i) {
      nursery.start_soon([&] {
        const Guard guard(lock);
        EXPECT_EQ(++inside, 1);
        checkpoint();
        --inside;
      });
    }
    nursery.start_soon([&] {
      for (int i = 0; i < 2; ++i, checkpoint()) {
        try {
          lock.acquire_nowait();
        } catch (const WouldBlock&) {
          continue;
        }
        EXPECT_EQ(inside, 0);
        ++tries;
        lock.release();
      }
    });
  });
  EXPECT_LE(tries, 2);
  EXPECT_FALSE(lock.locked());
}

// Who asked first gets it first, whoever is given up in between.
// explores: StrictFIFOLock
EXPLORE_TEST(StrictFIFOLockExplored, KeepsTheOrderOfAsking) {
  exploration.prune();
  StrictFIFOLock lock;
  CancelScope leaves;
  int asked = 0;
  int last = -1;
  open_nursery([&](Nursery& nursery) {
    for (int i = 0; i < 3; ++i) {
      nursery.start_soon([&, i] {
        const auto take = [&] {
          const int mine = asked++;
          const Guard guard(lock);
          EXPECT_GT(mine, last);
          last = mine;
          checkpoint();
        };
        i == 1 ? static_cast<void>(leaves.run(take)) : take();
      });
    }
    checkpoint();
    leaves.cancel();
  });
  EXPECT_EQ(asked, 3);
  EXPECT_FALSE(lock.locked());
}

// explores: StrictFIFOLock
EXPLORE_TEST(StrictFIFOLockExplored, AnOwnerThatEndsBreaksItForAll) {
  exploration.prune();
  StrictFIFOLock lock;
  int broken = 0;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      try {
        lock.acquire();
      } catch (const BrokenResourceError&) {
        ++broken;
      }
    });
    nursery.start_soon([&] {
      try {
        lock.acquire();
      } catch (const BrokenResourceError&) {
        ++broken;
      }
    });
  });
  EXPECT_EQ(broken, 1);
}

}  // namespace
}  // namespace weft::fibers
