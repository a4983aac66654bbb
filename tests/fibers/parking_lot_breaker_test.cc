// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/parking_lot_breaker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "weft/fibers/detail/task_exit.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/event.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/parking_lot.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;
using testing::wait_all_tasks_blocked;

// A task that lives until `end` is set.
Task& start_idle(Nursery& nursery, Event& end, const char* name) {
  nursery.start_soon([&end] { end.wait(); }, {.name = name});
  wait_all_tasks_blocked();
  for (Task* task : nursery.child_tasks()) {
    if (task->name() == name) return *task;
  }
  throw std::logic_error("the task has not been started");
}

// trio: test_parking_lot.py::test_parking_lot_breaker_basic
FIBER_TEST(ParkingLotBreakerTest, TheTasksEndBreaksTheLot) {
  ParkingLot lot;
  Event end;
  open_nursery([&](Nursery& nursery) {
    add_parking_lot_breaker(start_idle(nursery, end, "breaker"), lot);
    nursery.start_soon([&] { EXPECT_THROW(lot.park(), BrokenResourceError); });
    wait_all_tasks_blocked();
    EXPECT_FALSE(lot.broken());
    end.set();
  });
  EXPECT_THAT(lot.broken_by(), ElementsAre("breaker"));
  EXPECT_THROW(lot.park(), BrokenResourceError);
}

FIBER_TEST(ParkingLotBreakerTest, ATaskThatFailsOrIsCancelledBreaksItToo) {
  ParkingLot lot;
  const auto breaking = [&lot](auto&& then) {
    return [&lot, then] {
      add_parking_lot_breaker(current_task(), lot);
      then();
    };
  };
  EXPECT_THROW(open_nursery([&](Nursery& nursery) {
                 nursery.start_soon(breaking([] { throw std::runtime_error("x"); }),
                                    {.name = "fails"});
                 nursery.start_soon(breaking([] { sleep_forever(); }), {.name = "cancelled"});
               }),
               ExceptionGroup);
  EXPECT_THAT(lot.broken_by(), UnorderedElementsAre("fails", "cancelled"));
}

// trio: test_parking_lot.py::test_parking_lot_breaker_registration
FIBER_TEST(ParkingLotBreakerTest, APairIsRemovedAsOftenAsItWasAdded) {
  ParkingLot lot, other;
  Task& task = current_task();
  EXPECT_THROW(remove_parking_lot_breaker(task, lot), UsageError);
  add_parking_lot_breaker(task, lot);
  add_parking_lot_breaker(task, lot);
  EXPECT_THROW(remove_parking_lot_breaker(task, other), UsageError);
  remove_parking_lot_breaker(task, lot);
  remove_parking_lot_breaker(task, lot);
  EXPECT_THROW(remove_parking_lot_breaker(task, lot), UsageError);
}

// trio: test_parking_lot.py::test_parking_lot_breaker_registration
FIBER_TEST(ParkingLotBreakerTest, WhatIsAddedToABrokenLotIsNotedInTheEnd) {
  ParkingLot lot;
  Event end;
  lot.break_lot();
  open_nursery([&](Nursery& nursery) {
    Task& late = start_idle(nursery, end, "late");
    add_parking_lot_breaker(late, lot);
    add_parking_lot_breaker(late, lot);
    end.set();
  });
  EXPECT_THAT(lot.broken_by(), ElementsAre("main", "late", "late"));
}

FIBER_TEST(ParkingLotBreakerTest, WhatWasRemovedDoesNotBreak) {
  ParkingLot lot;
  Event end;
  open_nursery([&](Nursery& nursery) {
    Task& task = start_idle(nursery, end, "harmless");
    add_parking_lot_breaker(task, lot);
    remove_parking_lot_breaker(task, lot);
    end.set();
  });
  EXPECT_FALSE(lot.broken());
}

// trio: test_parking_lot.py::test_parking_lot_multiple_breakers_exit
FIBER_TEST(ParkingLotBreakerTest, EveryBreakerIsNotedWhenAllEndTogether) {
  ParkingLot lot;
  Event end;
  open_nursery([&](Nursery& nursery) {
    for (const char* name : {"a", "b", "c"}) {
      add_parking_lot_breaker(start_idle(nursery, end, name), lot);
    }
    nursery.cancel_scope().cancel();
  });
  EXPECT_THAT(lot.broken_by(), UnorderedElementsAre("a", "b", "c"));
}

// trio: test_parking_lot.py::test_parking_lot_breaker_register_exited_task
// A Task that has ended is no longer there to be named. What can be is one that is just ending: it
// must not be waited for in vain either.
FIBER_TEST(ParkingLotBreakerTest, ATaskThatIsEndingAlreadyBreaksTheLotAtOnce) {
  WEFT_NOT_ALLOCATION_SWEPT("a function of its own that must not throw allocates");
  struct AtTheEnd : detail::TaskExit {
    explicit AtTheEnd(ParkingLot& l)
        : TaskExit([](TaskExit& link, Task& ended) noexcept {
            add_parking_lot_breaker(ended, static_cast<AtTheEnd&>(link).lot);
          }),
          lot(l) {}
    ParkingLot& lot;
  };
  ParkingLot lot;
  AtTheEnd at_the_end(lot);
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { EXPECT_THROW(lot.park(), BrokenResourceError); });
    wait_all_tasks_blocked();
    nursery.start_soon([&] { detail::link_exit(at_the_end); }, {.name = "ending"});
  });
  EXPECT_THAT(lot.broken_by(), ElementsAre("ending"));
}

FIBER_TEST(ParkingLotBreakerTest, ALotMayGoBeforeItsBreakers) {
  ParkingLot stays;
  Event end;
  open_nursery([&](Nursery& nursery) {
    Task& task = start_idle(nursery, end, "breaker");
    std::optional<ParkingLot> goes(std::in_place);
    add_parking_lot_breaker(task, *goes);
    add_parking_lot_breaker(task, stays);
    add_parking_lot_breaker(task, *goes);
    goes.reset();
    end.set();
  });
  EXPECT_THAT(stays.broken_by(), ElementsAre("breaker"));
}

}  // namespace
}  // namespace weft::fibers
