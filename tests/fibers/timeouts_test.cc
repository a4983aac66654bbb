// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/timeouts.h"

#include <gtest/gtest.h>

#include <chrono>
#include <optional>
#include <stdexcept>
#include <vector>

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/event.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/run.h"
#include "weft/fibers/testing/checkpoints.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"

namespace weft::fibers {
namespace {

using testing::assert_checkpoints;
using testing::wait_all_tasks_blocked;

using namespace std::chrono_literals;

// trio: test_timeouts.py::test_sleep
FIBER_TEST(TimeoutsTest, SleepTakesItsTimeByTheRunsClock) {
  const Instant start = current_time();
  sleep(24h);
  EXPECT_EQ(current_time() - start, 24h);
  sleep_until(start + 25h);
  EXPECT_EQ(current_time() - start, 25h);
  assert_checkpoints([] { sleep(0s); });
  assert_checkpoints([&] { sleep_until(start); });
  assert_checkpoints([] { sleep(1s); });
  EXPECT_EQ(current_time() - start, 25h + 1s);
}

// trio: test_timeouts.py::test_timeouts_raise_value_error
FIBER_TEST(TimeoutsTest, NegativeTimesAreRefused) {
  EXPECT_THROW(sleep(-1ns), UsageError);
  EXPECT_THROW(move_on_after(-1ns, [] {}), UsageError);
  EXPECT_THROW(fail_after(-1ns, [] {}), UsageError);
}

FIBER_TEST(TimeoutsTest, ManySleepersWakeInOrderOfTheirTimes) {
  std::vector<int> order;
  open_nursery([&](Nursery& nursery) {
    for (const int i : {3, 1, 4, 0, 2}) {
      nursery.start_soon([&order, i] {
        sleep(std::chrono::seconds(i));
        order.push_back(i);
      });
    }
  });
  EXPECT_EQ(order, (std::vector{0, 1, 2, 3, 4}));
}

FIBER_TEST(TimeoutsTest, CancelledSleeperDoesNotFinish) {
  const Instant start = current_time();
  EXPECT_FALSE(move_on_after(1s, [] { sleep(10s); }));
  EXPECT_FALSE(move_on_after(1s, [] { sleep_forever(); }));
  EXPECT_FALSE(move_on_after(1s, [] { sleep(Duration::max()); }));
  EXPECT_EQ(current_time() - start, 3s);
}

FIBER_TEST(TimeoutsTest, SleepOfTheSameLengthAsTheScopeAroundItEndsOnce) {
  // Both fire at once; whichever way it goes, the next wait hears of the outer one.
  EXPECT_FALSE(move_on_after(1s, [] {
    sleep(1s);
    checkpoint();
  }));
}

// A sleep whose time has come by the clock must not hide that it has been cancelled.
FIBER_TEST(TimeoutsTest, LoopOfTinySleepsCanBeCancelled) {
  CancelScope scope;
  scope.cancel();
  EXPECT_FALSE(scope.run([] {
    for (;;) sleep(1ns);
  }));
}

// Cancelled in the same look at the clock: a sleep that has ended returns, one that has not raises.
FIBER_TEST(TimeoutsTest, OfASleepAndAScopeThatEndAtOnceTheOlderEndsFirst) {
  const Instant end = current_time() + 1s;
  bool finished = false;
  EXPECT_FALSE(move_on_at(end, [&] {
    sleep_until(end);
    finished = true;
  }));
  EXPECT_FALSE(finished);
  CancelScope scope;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      EXPECT_TRUE(scope.run([&] {
        sleep_until(end + 1s);
        finished = true;
      }));
    });
    wait_all_tasks_blocked();
    scope.set_deadline(end + 1s);
  });
  EXPECT_TRUE(finished);
  EXPECT_TRUE(scope.cancel_called());
}

FIBER_TEST(TimeoutsTest, ACancelledSleeperLeavesNoTimerBehind) {
  open_nursery([](Nursery& nursery) {
    nursery.start_soon([] { sleep(1h); });
    wait_all_tasks_blocked();
    EXPECT_EQ(current_statistics().deadlines, 1);
    nursery.cancel_scope().cancel();
    EXPECT_EQ(current_statistics().deadlines, 0);
  });
}

// Before it runs, its time comes: it is ready already.
FIBER_TEST(TimeoutsTest, ASleeperWokenByHandIsNotWokenAgainByItsTimer) {
  const Instant start = current_time();
  Task* sleeper = nullptr;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      sleep_until(start + 1s);
      reschedule(*sleeper);
    });
    wait_all_tasks_blocked();
    nursery.start_soon([&] {
      sleeper = &current_task();
      sleep_until(start + 1s + 1ns);
      EXPECT_LE(current_time(), start + 1s + 1ns);
      EXPECT_EQ(current_statistics().deadlines, 0);
      sleep(1s);
      EXPECT_GE(current_time(), start + 2s);
    });
  });
}

FIBER_TEST(TimeoutsTest, ASleepInADestructorIsNotCancelledFromOutside) {
  struct Sleeper {
    ~Sleeper() {
      sleep(4s);
      slept = true;
    }
    bool& slept;
  };
  const Instant start = current_time();
  bool slept = false;
  EXPECT_FALSE(move_on_after(1s, [&] {
    const Sleeper sleeper{slept};
    sleep_forever();
  }));
  EXPECT_TRUE(slept);
  EXPECT_EQ(current_time() - start, 5s);
}

// trio: test_timeouts.py::test_cannot_wake_sleep_forever
FIBER_TEST(TimeoutsTest, SleepForeverIsNotWokenByHand) {
  Task* sleeper = nullptr;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      sleeper = &current_task();
      EXPECT_THROW(sleep_forever(), UsageError);
    });
    wait_all_tasks_blocked();
    reschedule(*sleeper);
  });
}

// trio: test_timeouts.py::test_move_on_after
FIBER_TEST(TimeoutsTest, MoveOnTellsWhetherTheBodyFinished) {
  EXPECT_TRUE(move_on_after(10s, [] { sleep(1s); }));
  EXPECT_FALSE(move_on_after(1s, [] { sleep(10s); }));
  EXPECT_EQ(move_on_after(10s, [] { return 3; }).value(), 3);
  EXPECT_FALSE(move_on_after(1s, []() -> int { sleep_forever(); }).finished());
  EXPECT_FALSE(move_on_at(current_time() + 1s, [] { sleep_forever(); }));
}

// trio: test_timeouts.py::test_fail
FIBER_TEST(TimeoutsTest, FailThrowsWhenTheBodyWasCutShort) {
  EXPECT_THROW(fail_after(1s, [] { sleep(2s); }), TooSlowError);
  EXPECT_THROW(fail_at(current_time() + 1s, [] { sleep_forever(); }), TooSlowError);
  EXPECT_EQ(fail_after(1s, [] { return 3; }), 3);
  // Late, but not cut short.
  EXPECT_NO_THROW(fail_at(current_time() - 1s, [] {}));
}

// trio: test_timeouts.py::test_context_shields_from_outer
FIBER_TEST(TimeoutsTest, AShieldedTimeoutHidesWhatIsOutside) {
  CancelScope outer;
  CancelScope inner({.relative_deadline = 1s, .shield = true});
  outer.run([&] {
    outer.cancel();
    EXPECT_TRUE(move_on_after(1s, [] { checkpoint(); }, {.shield = true}));
    EXPECT_TRUE(move_on_at(current_time() + 1s, [] { checkpoint(); }, {.shield = true}));
    fail_after(1s, [] { checkpoint(); }, {.shield = true});
    fail_at(current_time() + 1s, [] { checkpoint(); }, {.shield = true});
    inner.run([&] {
      checkpoint();
      inner.set_shield(false);
      checkpoint();
      ADD_FAILURE() << "the shield is gone";
    });
  });
  EXPECT_FALSE(inner.cancelled_caught());
  EXPECT_TRUE(outer.cancelled_caught());
}

// trio: test_timeouts.py::test_move_on_after_moves_on_even_if_shielded
FIBER_TEST(TimeoutsTest, AShieldDoesNotHideItsOwnDeadline) {
  const Instant start = current_time();
  CancelScope outer;
  EXPECT_TRUE(outer.run([&] {
    outer.cancel();
    EXPECT_FALSE(move_on_after(2s, [] { sleep_forever(); }, {.shield = true}));
  }));
  EXPECT_EQ(current_time() - start, 2s);
}

// trio: test_timeouts.py::test_fail_after_fails_even_if_shielded
FIBER_TEST(TimeoutsTest, WhatFailsBehindAShieldSaysSo) {
  const Instant start = current_time();
  CancelScope outer;
  EXPECT_THROW(outer.run([&] {
    outer.cancel();
    fail_after(2s, [] { sleep_forever(); }, {.shield = true});
  }),
               TooSlowError);
  EXPECT_EQ(current_time() - start, 2s);
  EXPECT_FALSE(outer.cancelled_caught());
}

// trio: test_timeouts.py::test_timeout_deadline_on_entry
FIBER_TEST(TimeoutsTest, ATimeoutCountsFromTheEntryOfItsScope) {
  CancelScope scope({.relative_deadline = 5s});
  EXPECT_EQ(scope.relative_deadline(), 5s);
  EXPECT_FALSE(scope.shield());
  scope.set_shield(true);
  EXPECT_TRUE(scope.shield());
  sleep(3s);
  const Instant start = current_time();
  scope.run([&] {
    EXPECT_EQ(scope.is_relative(), std::nullopt);
    EXPECT_EQ(scope.deadline(), start + 5s);
    EXPECT_EQ(scope.relative_deadline(), 5s);
    scope.set_deadline(start + 3s);
    EXPECT_EQ(scope.relative_deadline(), 3s);
    scope.set_relative_deadline(4s);
    EXPECT_EQ(scope.deadline(), start + 4s);
  });
}

// Under the machine's clock the world is not looked at in each turn; this must not show.
TEST(TimeoutsTest, ADeadlineThatHasPassedCutsShortInABusyRunToo) {
  run([] {
    for (int i = 0; i < 100; ++i) {
      EXPECT_FALSE(move_on_at(current_time(), [] { checkpoint(); }));
      EXPECT_FALSE(move_on_after(Duration::zero(), [] { checkpoint_if_cancelled(); }));
      CancelScope moved;
      EXPECT_FALSE(moved.run([&] {
        moved.set_deadline(current_time());
        checkpoint();
      }));
    }
    move_on_at(current_time(), [] { EXPECT_EQ(current_effective_deadline(), kLongAgo); });
  });
}

// trio: test_timeouts.py::test_invalid_access_unentered
FIBER_TEST(TimeoutsTest, BeforeItsEntryAScopeHasTheDeadlineThatItWasGivenOnly) {
  CancelScope relative({.relative_deadline = 5s});
  EXPECT_THROW(static_cast<void>(relative.deadline()), UsageError);
  EXPECT_THROW(relative.set_deadline(current_time()), UsageError);
  EXPECT_EQ(relative.relative_deadline(), 5s);
  EXPECT_EQ(relative.is_relative(), true);
  const Instant deadline = current_time() + 5s;
  CancelScope absolute({.deadline = deadline});
  EXPECT_THROW(static_cast<void>(absolute.relative_deadline()), UsageError);
  EXPECT_THROW(absolute.set_relative_deadline(7s), UsageError);
  EXPECT_EQ(absolute.deadline(), deadline);
  EXPECT_EQ(absolute.is_relative(), false);
}

}  // namespace
}  // namespace weft::fibers
