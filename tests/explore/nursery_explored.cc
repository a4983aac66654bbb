// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/nursery.h"

#include <stdexcept>

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/event.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

EXPLORE_TEST(NurseryExplored, EveryErrorArrivesAndEveryTaskEnds) {
  exploration.prune();
  int ended = 0;
  std::size_t errors = 0;
  try {
    open_nursery([&](Nursery& nursery) {
      for (int i = 0; i < 2; ++i) {
        nursery.start_soon([&] {
          ++ended;
          throw std::runtime_error("one of two");
        });
      }
      nursery.start_soon([&] {
        try {
          sleep_forever();
        } catch (const Cancelled&) {
          ++ended;
          throw;
        }
      });
    });
  } catch (const ExceptionGroup& group) {
    errors = group.exceptions().size();
  }
  EXPECT_EQ(errors, 2U);
  EXPECT_EQ(ended, 3);
}

EXPLORE_TEST(NurseryExplored, StartingGivesTheValueOrTheError) {
  bool stays = false;
  CancelScope scope;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { scope.cancel(); });
    scope.run([&] {
      const int value = nursery.start<int>([&](TaskStatus<int>& status) {
        checkpoint();
        status.started(7);
        stays = true;
        checkpoint();
      });
      EXPECT_EQ(value, 7);
    });
    // Either the start was cancelled, or the task has moved to the nursery and is not touched.
    EXPECT_TRUE(stays || scope.cancelled_caught());
  });
}

EXPLORE_TEST(NurseryExplored, ATaskMayStartOthersWhileTheNurseryCloses) {
  exploration.prune();
  int ran = 0;
  open_nursery([&](Nursery& nursery) {
    for (int i = 0; i < 2; ++i) {
      nursery.start_soon([&] {
        checkpoint();
        nursery.start_soon([&] {
          checkpoint();
          ++ran;
        });
      });
    }
  });
  EXPECT_EQ(ran, 2);
}

}  // namespace
}  // namespace weft::fibers
