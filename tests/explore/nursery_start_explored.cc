// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Nursery.start: who a task belongs to, while that changes.

#include <stdexcept>

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/event.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

// Two tasks that start something in the same nursery do not get each other's.
// explores: Nursery.start
EXPLORE_TEST(NurseryStartExplored, EveryCallerGetsItsOwnValue) {
  int running = 0;
  open_nursery([&](Nursery& nursery) {
    for (int i = 0; i < 2; ++i) {
      nursery.start_soon([&, i] {
        const int value = nursery.start<int>([&running, i](TaskStatus<int>& status) {
          checkpoint();
          status.started(i);
          ++running;
          checkpoint();
          --running;
        });
        EXPECT_EQ(value, i);
      });
    }
  });
  EXPECT_EQ(running, 0);
}

// An error belongs to the caller before started(), and to the nursery after it.
// explores: Nursery.start
EXPLORE_TEST(NurseryStartExplored, AnErrorGoesToWhomTheTaskBelongs) {
  bool called = false;
  bool by_caller = false;
  bool by_nursery = false;
  Event go;
  try {
    open_nursery([&](Nursery& nursery) {
      open_nursery([&](Nursery& callers) {
        callers.start_soon([&] {
          try {
            nursery.start([&](TaskStatus<void>& status) {
              if (!go.is_set()) {
                status.started();
                called = true;
              }
              checkpoint();
              throw std::runtime_error("of the task");
            });
          } catch (const std::runtime_error&) {
            by_caller = true;
          }
        });
        callers.start_soon([&] { go.set(); });
      });
    });
  } catch (const ExceptionGroup&) {
    by_nursery = true;
  }
  EXPECT_EQ(by_nursery, called);
  EXPECT_EQ(by_caller, !called);
}

// The nursery is cancelled while the task is on its way: it is the caller's, and goes on.
// explores: Nursery.start
EXPLORE_TEST(NurseryStartExplored, TheNurserysCancellationReachesItFromStartedOn) {
  Nursery* target = nullptr;
  Event open;
  Event done;
  bool passed = false;
  bool cut = false;
  open_nursery([&](Nursery& callers) {
    callers.start_soon([&] {
      open_nursery([&](Nursery& nursery) {
        target = &nursery;
        open.set();
        CancelScope until_done({.shield = true});
        until_done.run([&] { done.wait(); });
      });
    });
    open.wait();
    open_nursery([&](Nursery& pair) {
      pair.start_soon([&] {
        target->start([&](TaskStatus<void>& status) {
          checkpoint();
          passed = true;
          status.started();
          try {
            sleep_forever();
          } catch (const Cancelled&) {
            cut = true;
            throw;
          }
        });
        done.set();
      });
      pair.start_soon([&] {
        checkpoint();
        target->cancel_scope().cancel();
      });
    });
  });
  EXPECT_TRUE(passed);
  EXPECT_TRUE(cut);
}

}  // namespace
}  // namespace weft::fibers
