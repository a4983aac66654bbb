// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What happens at an end, or takes back what has been begun, and so must not fail: without memory
// for what it would say it says less.

#include <gtest/gtest.h>

#include <exception>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

#include "tests/faults/faults_testing.h"
#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/condition.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/greenlet.h"
#include "weft/fibers/lock.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/parking_lot.h"
#include "weft/fibers/parking_lot_breaker.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/fibers/thread_event.h"

namespace weft::fibers::testing {
namespace {

FAULT_TEST(EndFaults, AScopeIsCancelledWithoutItsReason) {
  CancelScope scope;
  std::string why(100, 'x');
  scope.run([&] {
    scope.cancel(why);
    EXPECT_TRUE(scope.cancel_called());
    checkpoint();
    ADD_FAILURE() << "not cancelled";
  });
}

FAULT_TEST(EndFaults, TheOwnerOfALockEnds) {
  Lock lock;
  Condition condition(lock);
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      lock.acquire();
      try {
        condition.wait();
        ADD_FAILURE() << "nobody notifies";
      } catch (const BrokenResourceError&) {
      }
    });
    wait_all_tasks_blocked();
    nursery.start_soon([&] {
      lock.acquire();
      wait_all_tasks_blocked();
    });
    nursery.start_soon([&] {
      while (!lock.locked()) checkpoint();
      try {
        lock.acquire();
        ADD_FAILURE() << "nobody gives it back";
      } catch (const BrokenResourceError&) {
      }
    });
  });
}

FAULT_TEST(EndFaults, ATaskThatBreaksALotEnds) {
  ParkingLot lot;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      add_parking_lot_breaker(current_task(), lot);
      wait_all_tasks_blocked();
    });
    nursery.start_soon([&] {
      try {
        lot.park();
        ADD_FAILURE() << "nobody unparks";
      } catch (const BrokenResourceError&) {
      }
    });
  });
}

FAULT_TEST(EndFaults, AThreadEventIsSet) {
  ThreadEvent event;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { event.wait(); });
    wait_all_tasks_blocked();
    event.set();
  });
}

FAULT_TEST(EndFaults, GroupsInGroupsAreDropped) {
  std::exception_ptr error = std::make_exception_ptr(std::runtime_error("innermost"));
  for (int i = 0; i < 10; ++i) error = make_exception_group("around", {error});
}

// Unwinds what other threads have dropped, as the next greenlet of the thread does.
struct UnwindDropped {
  UnwindDropped() = default;
  UnwindDropped(const UnwindDropped&) = delete;
  UnwindDropped& operator=(const UnwindDropped&) = delete;
  ~UnwindDropped() {
    try {
      const Greenlet next;
    } catch (const std::bad_alloc&) {  // Of no use any more.
    }
  }
};

FAULT_TEST(EndFaults, AGreenletIsDroppedByAnotherThread) {
  const UnwindDropped at_the_end;
  Greenlet greenlet([] { getcurrent().parent().switch_to(); });
  greenlet.switch_to();
  std::thread([last = std::move(greenlet)] {}).join();
}

}  // namespace
}  // namespace weft::fibers::testing
