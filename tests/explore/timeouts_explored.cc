// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/timeouts.h"

#include <chrono>
#include <vector>

#include "weft/fibers/event.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/semaphore.h"
#include "weft/fibers/testing/fiber_test.h"

namespace weft::fibers {
namespace {

using std::chrono::seconds;

// explores: sleep
EXPLORE_TEST(SleepExplored, TheOrderIsThatOfTheDeadlines) {
  std::vector<int> order;
  open_nursery([&](Nursery& nursery) {
    for (const int length : {3, 1, 2}) {
      nursery.start_soon([&, length] {
        sleep(seconds(length));
        order.push_back(length);
      });
    }
  });
  EXPECT_EQ(order, (std::vector{1, 2, 3}));
}

// explores: sleep
EXPLORE_TEST(SleepExplored, ACancelledSleepTakesNoTime) {
  exploration.prune();
  CancelScope scope;
  const Instant begun = current_time();
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { scope.run([] { sleep(seconds(10)); }); });
    nursery.start_soon([&] {
      sleep(seconds(1));
      scope.cancel();
    });
    nursery.start_soon([] { sleep(seconds(1)); });
  });
  EXPECT_TRUE(scope.cancelled_caught());
  EXPECT_EQ(current_time() - begun, seconds(1));
}

// Two that end at the same moment, and the first one cancels the other: one or the other, not both.
// explores: sleep
EXPLORE_TEST(SleepExplored, AtTheSameMomentEachIsOverOrCancelled) {
  exploration.prune();
  CancelScope scopes[2];
  int woken = 0;
  open_nursery([&](Nursery& nursery) {
    for (int i = 0; i < 2; ++i) {
      nursery.start_soon([&, i] {
        scopes[i].run([&] {
          sleep(seconds(1));
          ++woken;
          scopes[1 - i].cancel();
        });
      });
    }
  });
  EXPECT_GE(woken, 1);
  EXPECT_EQ(woken + scopes[0].cancelled_caught() + scopes[1].cancelled_caught(), 2);
}

// What was got just in time is got: finished or cut short, and never both.
// explores: move_on_after
EXPLORE_TEST(MoveOnAfterExplored, AtTheDeadlineItIsOneOrTheOther) {
  exploration.prune();
  Event event;
  bool got = false;
  bool finished = false;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      finished = move_on_after(seconds(1), [&] {
        event.wait();
        got = true;
      });
    });
    nursery.start_soon([&] {
      sleep(seconds(1));
      event.set();
    });
    nursery.start_soon([] { sleep(seconds(1)); });
  });
  EXPECT_EQ(got, finished);
}

// A token that comes at the moment in which somebody gives up goes to somebody.
// explores: move_on_after
EXPLORE_TEST(MoveOnAfterExplored, WhoGivesUpTakesNothing) {
  exploration.prune();
  Semaphore semaphore(0);
  int got = 0;
  open_nursery([&](Nursery& nursery) {
    for (int i = 0; i < 2; ++i) {
      nursery.start_soon([&] {
        move_on_after(seconds(1), [&] {
          semaphore.acquire();
          ++got;
        });
      });
    }
    nursery.start_soon([&] {
      sleep(seconds(1));
      semaphore.release();
    });
  });
  EXPECT_EQ(static_cast<std::size_t>(got) + semaphore.value(), 1U);
}

// Of two nested ones the outer decides where both are over.
// explores: move_on_after
EXPLORE_TEST(MoveOnAfterExplored, TheOuterOneCutsTheInnerOneShort) {
  exploration.prune();
  bool inner_finished = true;
  bool after_inner = false;
  const Instant begun = current_time();
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      const bool finished = move_on_after(seconds(1), [&] {
        inner_finished = move_on_after(seconds(2), [] { sleep_forever(); });
        after_inner = true;
      });
      EXPECT_FALSE(finished);
    });
    nursery.start_soon([] { sleep(seconds(1)); });
  });
  EXPECT_FALSE(after_inner);
  EXPECT_EQ(current_time() - begun, seconds(1));
}

// explores: fail_after
EXPLORE_TEST(FailAfterExplored, GivesTheValueOrFails) {
  exploration.prune();
  Event event;
  int value = 0;
  bool too_slow = false;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      try {
        value = fail_after(seconds(1), [&] {
          event.wait();
          return 7;
        });
      } catch (const TooSlowError&) {
        too_slow = true;
      }
    });
    nursery.start_soon([&] {
      sleep(seconds(1));
      event.set();
    });
  });
  EXPECT_EQ(value, too_slow ? 0 : 7);
}

// Who is cancelled from outside in the same moment is one or the other.
// explores: fail_after
EXPLORE_TEST(FailAfterExplored, AnOuterCancellationIsNotBeingTooSlow) {
  exploration.prune();
  CancelScope outer;
  bool too_slow = false;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      outer.run([&] {
        try {
          fail_after(seconds(1), [] { sleep_forever(); });
        } catch (const TooSlowError&) {
          too_slow = true;
        }
      });
    });
    nursery.start_soon([&] {
      sleep(seconds(1));
      outer.cancel();
    });
  });
  EXPECT_NE(too_slow, outer.cancelled_caught());
}

// explores: fail_after
EXPLORE_TEST(FailAfterExplored, EachTaskHasItsOwnTime) {
  exploration.prune();
  int too_slow = 0;
  int in_time = 0;
  open_nursery([&](Nursery& nursery) {
    for (const int length : {1, 2, 3}) {
      nursery.start_soon([&, length] {
        try {
          fail_after(seconds(2), [&] {
            sleep(seconds(length));
            checkpoint();
          });
          ++in_time;
        } catch (const TooSlowError&) {
          ++too_slow;
        }
      });
    }
  });
  EXPECT_EQ(in_time, 1);
  EXPECT_EQ(too_slow, 2);
}

}  // namespace
}  // namespace weft::fibers
