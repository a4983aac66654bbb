// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The one way to suspend, and what shows where everybody is.

#include "weft/fibers/lowlevel.h"

#include <stdexcept>
#include <utility>
#include <vector>

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/event.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

using testing::wait_all_tasks_blocked;

// One place for one task, which is woken with a value.
class Slot {
 public:
  int wait() {
    task_ = &current_task();
    return wait_task_rescheduled<int>([this](const RaiseCancel&) {
      task_ = nullptr;
      return Abort::kSucceeded;
    });
  }
  // Whether somebody got it.
  bool give(int value) {
    if (task_ == nullptr) return false;
    reschedule(*std::exchange(task_, nullptr), Outcome<int>(Value<int>{value}));
    return true;
  }

 private:
  Task* task_ = nullptr;
};

// explores: wait_task_rescheduled
EXPLORE_TEST(LowlevelExplored, AValueThatWasGivenIsGot) {
  exploration.prune();
  Slot slot;
  CancelScope leaves;
  int given = 0;
  int got = 0;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { leaves.run([&] { got = slot.wait(); }); });
    nursery.start_soon([&] {
      checkpoint();
      if (slot.give(7)) given = 7;
    });
    nursery.start_soon([&] {
      checkpoint();
      leaves.cancel();
    });
  });
  EXPECT_EQ(got, given);
}

// An operation that cannot be called back: its outcome comes, also for who is cancelled.
// explores: wait_task_rescheduled
EXPLORE_TEST(LowlevelExplored, WhatCannotBeAbortedIsWaitedFor) {
  exploration.prune();
  CancelScope leaves;
  Task* waiting = nullptr;
  int aborts = 0;
  bool done = false;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      leaves.run([&] {
        waiting = &current_task();
        wait_task_rescheduled([&](const RaiseCancel&) {
          ++aborts;
          return Abort::kFailed;
        });
        done = true;
        checkpoint();
        checkpoint();
      });
    });
    nursery.start_soon([&] {
      leaves.cancel();
      leaves.cancel();
    });
    nursery.start_soon([&] {
      checkpoint();
      reschedule(*waiting);
    });
  });
  EXPECT_TRUE(done);
  EXPECT_EQ(aborts, 1);
  EXPECT_TRUE(leaves.cancelled_caught());
}

// An error is a way to be woken, too, and comes out where the task waits.
// explores: wait_task_rescheduled
EXPLORE_TEST(LowlevelExplored, AnErrorIsThrownWhereTheTaskWaits) {
  exploration.prune();
  CancelScope leaves;
  Task* waiting = nullptr;
  bool sent = false;
  bool caught = false;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      leaves.run([&] {
        try {
          waiting = &current_task();
          wait_task_rescheduled([&](const RaiseCancel&) {
            waiting = nullptr;
            return Abort::kSucceeded;
          });
        } catch (const std::runtime_error&) {
          caught = true;
        }
      });
    });
    nursery.start_soon([&] {
      checkpoint();
      if (Task* const task = std::exchange(waiting, nullptr)) {
        reschedule(*task, std::make_exception_ptr(std::runtime_error("sent")));
        sent = true;
      }
    });
    nursery.start_soon([&] { leaves.cancel(); });
  });
  EXPECT_EQ(caught, sent);
}

// Whoever is ready has its turn before anybody has a second one.
// explores: checkpoint
EXPLORE_TEST(CheckpointExplored, NobodyIsAheadByMoreThanOne) {
  exploration.prune();
  int turns[3] = {0, 0, 0};
  open_nursery([&](Nursery& nursery) {
    for (int& mine : turns) {
      nursery.start_soon([&] {
        for (int i = 0; i < 3; ++i) {
          ++mine;
          for (const int other : turns) EXPECT_LE(mine, other + 1);
          checkpoint();
        }
      });
    }
  });
}

// explores: checkpoint
EXPLORE_TEST(CheckpointExplored, HearsOfACancellationAndGoesOnHearing) {
  exploration.prune();
  CancelScope leaves;
  int heard = 0;
  int before = 0;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      leaves.run([&] {
        while (heard == 0) {
          try {
            ++before;
            checkpoint();
          } catch (const Cancelled&) {
            ++heard;
          }
        }
        EXPECT_TRUE(leaves.cancel_called());
        checkpoint();
        ADD_FAILURE() << "a cancelled task passed a checkpoint";
      });
    });
    nursery.start_soon([&] {
      checkpoint();
      leaves.cancel();
    });
  });
  EXPECT_EQ(heard, 1);
  EXPECT_LE(before, 3);
}

// The halves: one does not hear, the other does not wait.
// explores: checkpoint
EXPLORE_TEST(CheckpointExplored, ItsHalvesAreEachTheirOwn) {
  exploration.prune();
  CancelScope leaves;
  bool shielded = false;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      leaves.run([&] {
        for (int i = 0; i < 3; ++i) cancel_shielded_checkpoint();
        shielded = true;
        checkpoint_if_cancelled();
        EXPECT_FALSE(leaves.cancel_called());
      });
    });
    nursery.start_soon([&] {
      checkpoint();
      leaves.cancel();
    });
  });
  EXPECT_TRUE(shielded);
  EXPECT_TRUE(leaves.cancelled_caught());
}

// explores: wait_all_tasks_blocked
EXPLORE_TEST(WaitAllTasksBlockedExplored, NobodyIsOnTheWayThen) {
  exploration.prune();
  Event event;
  int waiting = 0;
  open_nursery([&](Nursery& nursery) {
    for (int i = 1; i < 3; ++i) {
      nursery.start_soon([&, i] {
        for (int step = 0; step < i; ++step) checkpoint();
        ++waiting;
        event.wait();
      });
    }
    wait_all_tasks_blocked();
    EXPECT_EQ(waiting, 2);
    event.set();
  });
}

// Those who wait for it go on together; what they wake comes after.
// explores: wait_all_tasks_blocked
EXPLORE_TEST(WaitAllTasksBlockedExplored, SeveralWhoWaitForItGoOnTogether) {
  exploration.prune();
  Event event;
  bool woken = false;
  int seen = 0;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      event.wait();
      woken = true;
    });
    for (int i = 0; i < 2; ++i) {
      nursery.start_soon([&] {
        wait_all_tasks_blocked();
        EXPECT_FALSE(woken);
        ++seen;
        event.set();
      });
    }
  });
  EXPECT_EQ(seen, 2);
  EXPECT_TRUE(woken);
}

// Before time moves; and being cancelled is no other way through.
// explores: wait_all_tasks_blocked
EXPLORE_TEST(WaitAllTasksBlockedExplored, ComesBeforeTheNextDeadline) {
  exploration.prune();
  CancelScope leaves;
  bool passed = false;
  const Instant begun = current_time();
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      wait_all_tasks_blocked();
      EXPECT_EQ(current_time(), begun);
      passed = true;
    });
    nursery.start_soon([&] {
      leaves.run([] {
        wait_all_tasks_blocked();
        sleep_forever();
      });
    });
    nursery.start_soon([&] {
      sleep(std::chrono::seconds(1));
      EXPECT_TRUE(passed);
      leaves.cancel();
    });
  });
  EXPECT_TRUE(leaves.cancelled_caught());
}

}  // namespace
}  // namespace weft::fibers
