// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/parking_lot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "weft/fibers/errors.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/checkpoints.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

using testing::wait_all_tasks_blocked;

// Starts `count` tasks that park one after the other and note their number when they go on.
void park_in_order(Nursery& nursery, ParkingLot& lot, int count, std::vector<int>& woken) {
  for (int i = 0; i < count; ++i) {
    nursery.start_soon([&lot, &woken, i] {
      lot.park();
      woken.push_back(i);
    });
    wait_all_tasks_blocked();
  }
}

// trio: test_parking_lot.py::test_parking_lot_basic
FIBER_TEST(ParkingLotTest, UnparksOneByOneInOrder) {
  ParkingLot lot;
  std::vector<int> woken;
  EXPECT_TRUE(lot.empty());
  open_nursery([&](Nursery& nursery) {
    park_in_order(nursery, lot, 3, woken);
    EXPECT_EQ(lot.size(), 3U);
    EXPECT_EQ(lot.statistics().tasks_waiting, 3U);
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(lot.unpark(), 1U);
      wait_all_tasks_blocked();
    }
    EXPECT_EQ(woken, (std::vector{0, 1, 2}));
    EXPECT_EQ(lot.unpark(), 0U);
  });
}

// trio: test_parking_lot.py::test_parking_lot_basic
FIBER_TEST(ParkingLotTest, UnparkTakesACountFromTheFront) {
  ParkingLot lot;
  std::vector<int> woken;
  open_nursery([&](Nursery& nursery) {
    park_in_order(nursery, lot, 3, woken);
    EXPECT_EQ(lot.unpark(2), 2U);
    wait_all_tasks_blocked();
    EXPECT_EQ(woken.size(), 2U);
    EXPECT_EQ(lot.size(), 1U);
    EXPECT_EQ(lot.unpark_all(), 1U);
    wait_all_tasks_blocked();
    EXPECT_EQ(woken.back(), 2);
  });
}

// trio: test_parking_lot.py::test_parking_lot_cancel
FIBER_TEST(ParkingLotTest, CancelledTaskLeavesFromTheMiddle) {
  ParkingLot lot;
  std::vector<int> woken;
  CancelScope second;
  open_nursery([&](Nursery& nursery) {
    park_in_order(nursery, lot, 1, woken);
    nursery.start_soon([&] { second.run([&] { lot.park(); }); });
    wait_all_tasks_blocked();
    nursery.start_soon([&] {
      lot.park();
      woken.push_back(2);
    });
    wait_all_tasks_blocked();
    second.cancel();
    wait_all_tasks_blocked();
    EXPECT_TRUE(second.cancelled_caught());
    EXPECT_EQ(lot.size(), 2U);
    lot.unpark_one();
    wait_all_tasks_blocked();
    lot.unpark_one();
  });
  EXPECT_EQ(woken, (std::vector{0, 2}));
}

// trio: test_parking_lot.py::test_parking_lot_repark
FIBER_TEST(ParkingLotTest, ReparkKeepsOrderAndAsksForAnotherLot) {
  ParkingLot first, second;
  std::vector<int> woken;
  open_nursery([&](Nursery& nursery) {
    park_in_order(nursery, first, 3, woken);
    EXPECT_EQ(first.repark(second), 1U);
    EXPECT_EQ(first.size(), 2U);
    EXPECT_EQ(first.repark_all(second), 2U);
    EXPECT_TRUE(first.empty());
    for (int i = 0; i < 3; ++i) {
      second.unpark_one();
      wait_all_tasks_blocked();
    }
    EXPECT_EQ(woken, (std::vector{0, 1, 2}));
    EXPECT_THROW(first.repark(first), UsageError);
  });
}

// trio: test_parking_lot.py::test_parking_lot_repark_with_count
FIBER_TEST(ParkingLotTest, ReparkTakesACountFromTheFrontAndPutsItBehindTheOthers) {
  ParkingLot first, second;
  std::vector<int> woken, woken_second;
  open_nursery([&](Nursery& nursery) {
    park_in_order(nursery, second, 1, woken_second);
    park_in_order(nursery, first, 3, woken);
    EXPECT_EQ(first.repark(second, 2), 2U);
    EXPECT_EQ(first.size(), 1U);
    EXPECT_EQ(second.size(), 3U);
    EXPECT_EQ(first.unpark(), 1U);
    wait_all_tasks_blocked();
    EXPECT_EQ(woken, (std::vector{2}));
    second.unpark();
    wait_all_tasks_blocked();
    EXPECT_EQ(woken_second, (std::vector{0}));
    for (int i = 0; i < 2; ++i) {
      second.unpark();
      wait_all_tasks_blocked();
    }
    EXPECT_EQ(woken, (std::vector{2, 0, 1}));
    // More than there are.
    EXPECT_EQ(first.repark(second, 5), 0U);
  });
}

// trio: test_parking_lot.py::test_parking_lot_repark
FIBER_TEST(ParkingLotTest, ReparkedTaskCanBeCancelledInItsNewPlace) {
  ParkingLot first, second;
  CancelScope scope;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { scope.run([&] { first.park(); }); });
    wait_all_tasks_blocked();
    first.repark_all(second);
    EXPECT_EQ(second.size(), 1U);
    scope.cancel();
    EXPECT_TRUE(second.empty());
  });
  EXPECT_TRUE(scope.cancelled_caught());
}

// trio: test_parking_lot.py::test_parking_lot_break_parking_tasks
FIBER_TEST(ParkingLotTest, BreakingFailsThoseWhoWaitAndThoseWhoCome) {
  ParkingLot lot, other;
  int broken = 0;
  open_nursery([&](Nursery& nursery) {
    for (int i = 0; i < 2; ++i) {
      nursery.start_soon([&] {
        EXPECT_THROW(lot.park(), BrokenResourceError);
        ++broken;
      });
    }
    wait_all_tasks_blocked();
    lot.break_lot();
    EXPECT_TRUE(lot.broken());
    EXPECT_TRUE(lot.empty());
  });
  EXPECT_EQ(broken, 2);
  EXPECT_THROW(lot.park(), BrokenResourceError);
  EXPECT_EQ(lot.unpark_all(), 0U);
  EXPECT_EQ(lot.repark_all(other), 0U);
  EXPECT_THROW(other.repark(lot), UsageError);
}

// trio: test_parking_lot.py::test_parking_lot_breaker_rebreak
FIBER_TEST(ParkingLotTest, BreakingItAgainOnlyNotesWhoDid) {
  ParkingLot lot;
  EXPECT_TRUE(lot.broken_by().empty());
  lot.break_lot();
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { lot.break_lot(); }, {.name = "second"});
    lot.break_lot(*nursery.child_tasks().front());
  });
  EXPECT_EQ(lot.broken_by(), (std::vector<std::string>{"main", "second", "second"}));
  try {
    lot.park();
    ADD_FAILURE() << "not broken";
  } catch (const BrokenResourceError& e) {
    EXPECT_THAT(e.what(), ::testing::HasSubstr("broken by task 'main'"));
  }
}

// trio: test_parking_lot.py::test_parking_lot_break_itself
FIBER_TEST(ParkingLotTest, AParkedTaskMayBeTheOneNamedAsBreaker) {
  ParkingLot lot;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { EXPECT_THROW(lot.park(), BrokenResourceError); }, {.name = "parked"});
    wait_all_tasks_blocked();
    lot.break_lot(*nursery.child_tasks().front());
  });
  EXPECT_EQ(lot.broken_by(), (std::vector<std::string>{"parked"}));
}

FIBER_TEST(ParkingLotTest, SaysWhatItsTasksWaitFor) {
  ParkingLot lot;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { lot.park(); });
    nursery.start_soon([&] { lot.park({.what = "Gate.wait"}); });
    wait_all_tasks_blocked();
    std::vector<std::string> waits;
    for (const Task* task : nursery.child_tasks()) waits.push_back(task->waiting_for());
    std::sort(waits.begin(), waits.end());
    EXPECT_EQ(waits, (std::vector<std::string>{"Gate.wait", "ParkingLot.park"}));
    lot.unpark_all();
  });
}

}  // namespace
}  // namespace weft::fibers
