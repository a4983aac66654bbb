// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/conflict_detector.h"

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/fiber_test.h"

namespace weft::fibers {
namespace {

// Who is there first uses it to the end; who comes meanwhile is told.
// explores: ConflictDetector
EXPLORE_TEST(ConflictDetectorExplored, OneUsesItAndTheOthersAreTold) {
  exploration.prune();
  ConflictDetector detector("busy");
  int inside = 0;
  int used = 0;
  int told = 0;
  open_nursery([&](Nursery& nursery) {
    for (int i = 0; i < 3; ++i) {
      nursery.start_soon([&] {
        try {
          const ConflictDetector::Use use(detector);
          EXPECT_EQ(++inside, 1);
          checkpoint();
          --inside;
          ++used;
        } catch (const BusyResourceError&) {
          ++told;
        }
      });
    }
  });
  EXPECT_EQ(used, 1);
  EXPECT_EQ(told, 2);
}

// explores: ConflictDetector
EXPLORE_TEST(ConflictDetectorExplored, OneAfterTheOtherIsNoConflict) {
  exploration.prune();
  ConflictDetector detector("busy");
  int used = 0;
  open_nursery([&](Nursery& nursery) {
    for (int i = 0; i < 2; ++i) {
      nursery.start_soon([&] {
        for (int turn = 0; turn < 2; ++turn) {
          while (detector.in_use()) checkpoint();
          const ConflictDetector::Use use(detector);
          checkpoint();
          ++used;
        }
      });
    }
  });
  EXPECT_EQ(used, 4);
  EXPECT_FALSE(detector.in_use());
}

// explores: ConflictDetector
EXPLORE_TEST(ConflictDetectorExplored, WhoIsCancelledNoLongerUsesIt) {
  exploration.prune();
  ConflictDetector detector("busy");
  CancelScope leaves;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      leaves.run([&] {
        const ConflictDetector::Use use(detector);
        for (;;) checkpoint();
      });
      EXPECT_FALSE(detector.in_use());
    });
    nursery.start_soon([&] {
      checkpoint();
      EXPECT_THROW(const ConflictDetector::Use use(detector), BusyResourceError);
      leaves.cancel();
    });
    nursery.start_soon([&] {
      for (int i = 0; i < 4; ++i) checkpoint();
      const ConflictDetector::Use use(detector);
    });
  });
  EXPECT_FALSE(detector.in_use());
}

}  // namespace
}  // namespace weft::fibers
