// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/graceful_scope.h"

#include <gtest/gtest.h>

#include <optional>

#include "weft/fibers/errors.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

// Stops `scope` after a second, with ten of grace.
void stop_after_a_second(Nursery& nursery, GracefulScope& scope) {
  nursery.start_soon([&] {
    sleep(seconds(1));
    scope.stop(seconds(10));
  });
}

FIBER_TEST(GracefulScopeTest, WhoLooksComesToAnEnd) {
  GracefulScope scope;
  int rounds = 0;
  open_nursery([&](Nursery& nursery) {
    stop_after_a_second(nursery, scope);
    EXPECT_FALSE(is_stopping());
    const bool finished = scope.run([&] {
      while (!is_stopping()) {
        sleep(seconds(0.75));
        ++rounds;
      }
    });
    EXPECT_TRUE(finished);
    EXPECT_FALSE(is_stopping());
  });
  EXPECT_EQ(rounds, 2);
  EXPECT_TRUE(scope.stop_called());
  EXPECT_FALSE(scope.cancelled_caught());
}

FIBER_TEST(GracefulScopeTest, WhoDoesNotIsCancelledAfterTheGracePeriod) {
  GracefulScope scope;
  const Instant start = current_time();
  open_nursery([&](Nursery& nursery) {
    stop_after_a_second(nursery, scope);
    EXPECT_FALSE(scope.run([] { sleep_forever(); }));
  });
  EXPECT_EQ(current_time() - start, std::chrono::seconds(11));
  EXPECT_TRUE(scope.cancelled_caught());
}

// Among others that came before and after, and have gone in another order; nested ones too.
FIBER_TEST(GracefulScopeTest, EveryListenerThatIsLeftHears) {
  GracefulScope scope;
  int heard = 0;
  int finished = 0;
  const auto listen = [&](int for_so_long) {
    const auto stayed = until_stopping([&] {
      until_stopping([&] { sleep(seconds(for_so_long)); });
      checkpoint();
    });
    ++(stayed ? finished : heard);
  };
  open_nursery([&](Nursery& outside) {
    outside.start_soon([&] {
      sleep(seconds(4.5));
      scope.stop(seconds(10));
    });
    scope.run([&] {
      open_nursery([&](Nursery& nursery) {
        for (const int i : {9, 3, 1, 8, 4, 2, 7}) nursery.start_soon([&, i] { listen(i); });
      });
    });
  });
  EXPECT_EQ(finished, 4);
  EXPECT_EQ(heard, 3);
}

FIBER_TEST(GracefulScopeTest, TheSignalCanBeWaitedFor) {
  GracefulScope scope;
  const Instant start = current_time();
  open_nursery([&](Nursery& nursery) {
    stop_after_a_second(nursery, scope);
    scope.run([&] {
      wait_stopping();
      EXPECT_EQ(current_time() - start, std::chrono::seconds(1));
      wait_stopping();
    });
  });
  EXPECT_EQ(current_time() - start, std::chrono::seconds(1));
}

FIBER_TEST(GracefulScopeTest, AnIdleWaitIsEndedAtOnce) {
  GracefulScope scope;
  const Instant start = current_time();
  open_nursery([&](Nursery& nursery) {
    stop_after_a_second(nursery, scope);
    scope.run([&] {
      EXPECT_EQ(until_stopping([] { return 5; }).value(), 5);
      EXPECT_FALSE(until_stopping([] { sleep_forever(); }));
      // From now on at the first wait.
      EXPECT_FALSE(until_stopping([] { checkpoint(); }));
      sleep(seconds(3));
    });
  });
  EXPECT_EQ(current_time() - start, std::chrono::seconds(4));
}

FIBER_TEST(GracefulScopeTest, ReachesTheTasksOfNurseriesInside) {
  WEFT_NOT_SWEPT("a shielded wait has nobody left to end it");
  GracefulScope scope;
  int stopped = 0;
  open_nursery([&](Nursery& nursery) {
    stop_after_a_second(nursery, scope);
    scope.run([&] {
      open_nursery([&](Nursery& inner) {
        for (int i = 0; i < 3; ++i) {
          inner.start_soon([&] {
            CancelScope shield({.shield = true});  // Hides cancellation, not this.
            shield.run([] { wait_stopping(); });
            ++stopped;
          });
        }
        wait_stopping();
        inner.start_soon([&] { stopped += is_stopping() ? 1 : 0; });
      });
    });
  });
  EXPECT_EQ(stopped, 4);
}

FIBER_TEST(GracefulScopeTest, AnInnerOneHearsOfTheOuterOneAndNotTheOtherWayRound) {
  GracefulScope outer, inner;
  outer.run([&] {
    inner.run([&] {
      inner.stop(seconds(1));
      EXPECT_TRUE(is_stopping());
    });
    EXPECT_FALSE(is_stopping());
    GracefulScope second;
    second.run([&] {
      EXPECT_FALSE(is_stopping());
      outer.stop(seconds(1));
      EXPECT_TRUE(is_stopping());
      EXPECT_FALSE(second.stop_called());
    });
  });
}

FIBER_TEST(GracefulScopeTest, MayBeStoppedBeforeItRuns) {
  GracefulScope scope;
  scope.stop(seconds(2));
  const Instant start = current_time();
  sleep(seconds(1));
  scope.run([&] {
    EXPECT_TRUE(is_stopping());
    sleep_forever();
  });
  EXPECT_EQ(current_time() - start, std::chrono::seconds(2));
}

FIBER_TEST(GracefulScopeTest, TheEarlierEndCounts) {
  const auto length = [](Duration deadline, Duration first, Duration second) {
    const Instant start = current_time();
    GracefulScope scope({.relative_deadline = deadline});
    scope.run([&] {
      scope.stop(first);
      scope.stop(second);
      sleep_forever();
    });
    return current_time() - start;
  };
  EXPECT_EQ(length(seconds(9), seconds(5), seconds(7)), std::chrono::seconds(5));
  EXPECT_EQ(length(seconds(9), seconds(5), seconds(3)), std::chrono::seconds(3));
  EXPECT_EQ(length(seconds(1), seconds(5), seconds(3)), std::chrono::seconds(1));
  EXPECT_EQ(length(seconds(9), seconds(5), seconds(0)), std::chrono::seconds(0));
}

FIBER_TEST(GracefulScopeTest, CancelDoesNotWait) {
  GracefulScope scope;
  const Instant start = current_time();
  scope.run([&] {
    scope.stop(seconds(5));
    scope.cancel();
    sleep_forever();
  });
  EXPECT_EQ(current_time(), start);
  EXPECT_TRUE(scope.cancelled_caught());
}

FIBER_TEST(GracefulScopeTest, WithoutOneNobodyIsAskedToStop) {
  EXPECT_FALSE(is_stopping());
  EXPECT_FALSE(move_on_after(seconds(1), [] { wait_stopping(); }));
  EXPECT_EQ(until_stopping([] { return 1; }).value(), 1);
}

FIBER_TEST(GracefulScopeTest, WaitingForItCanBeCancelled) {
  GracefulScope scope;
  scope.run([] {
    EXPECT_FALSE(move_on_after(seconds(1), [] { wait_stopping(); }));
    EXPECT_FALSE(move_on_after(seconds(1), [] { until_stopping([] { sleep_forever(); }); }));
  });
}

FIBER_TEST(GracefulScopeTest, ANegativeGraceIsRefused) {
  GracefulScope scope;
  EXPECT_THROW(scope.stop(seconds(-1)), UsageError);
}

}  // namespace
}  // namespace weft::fibers
