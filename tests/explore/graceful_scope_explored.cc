// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/graceful_scope.h"

#include <chrono>

#include "weft/fibers/event.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

using std::chrono::seconds;

// Everybody inside hears of it, wherever they are when it is said.
// explores: GracefulScope
EXPLORE_TEST(GracefulScopeExplored, EverybodyInsideIsAsked) {
  GracefulScope scope;
  int stopped = 0;
  open_nursery([&](Nursery& outside) {
    outside.start_soon([&] {
      scope.run([&] {
        open_nursery([&](Nursery& nursery) {
          nursery.start_soon([&] {
            wait_stopping();
            ++stopped;
          });
          nursery.start_soon([&] {
            until_stopping([] { sleep_forever(); });
            EXPECT_TRUE(is_stopping());
            ++stopped;
          });
        });
      });
    });
    outside.start_soon([&] {
      checkpoint();
      scope.stop(seconds(10));
    });
  });
  EXPECT_EQ(stopped, 2);
  EXPECT_FALSE(scope.cancelled_caught());
}

// Who has something in hand may finish it in the grace period, and is cut short at its end.
// explores: GracefulScope
EXPLORE_TEST(GracefulScopeExplored, TheGracePeriodEndsWhatDoesNotEnd) {
  GracefulScope scope;
  bool quick = false;
  bool slow = false;
  const Instant begun = current_time();
  open_nursery([&](Nursery& outside) {
    outside.start_soon([&] {
      scope.run([&] {
        open_nursery([&](Nursery& nursery) {
          nursery.start_soon([&] {
            sleep(seconds(4));
            quick = true;
          });
          nursery.start_soon([&] {
            sleep(seconds(6));
            slow = true;
          });
        });
      });
    });
    for (int i = 0; i < 2; ++i) outside.start_soon([&] { scope.stop(seconds(5)); });
  });
  EXPECT_TRUE(quick);
  EXPECT_FALSE(slow);
  EXPECT_TRUE(scope.cancelled_caught());
  EXPECT_EQ(current_time() - begun, seconds(5));
}

// A request is answered whole or not taken: asking falls between two of them.
// explores: GracefulScope
EXPLORE_TEST(GracefulScopeExplored, NothingIsTakenAndNotAnswered) {
  exploration.prune();
  GracefulScope scope;
  Event request;
  int taken = 0;
  int answered = 0;
  open_nursery([&](Nursery& outside) {
    outside.start_soon([&] {
      scope.run([&] {
        while (until_stopping([&] {
          request.wait();
          ++taken;
        })) {
          checkpoint();
          ++answered;
          if (answered == 2) return;
        }
      });
    });
    outside.start_soon([&] {
      checkpoint();
      request.set();
    });
    outside.start_soon([&] {
      checkpoint();
      checkpoint();
      scope.stop(seconds(1));
    });
  });
  EXPECT_EQ(taken, answered);
  EXPECT_FALSE(scope.cancelled_caught());
}

// A listener ends at the moment in which everybody is asked.
// explores: GracefulScope
EXPLORE_TEST(GracefulScopeExplored, ListenersMayComeAndGo) {
  GracefulScope scope;
  int turns = 0;
  open_nursery([&](Nursery& outside) {
    outside.start_soon([&] {
      scope.run([&] {
        open_nursery([&](Nursery& nursery) {
          for (int i = 0; i < 2; ++i) {
            nursery.start_soon([&] {
              for (int turn = 0; turn < 2; ++turn) {
                if (until_stopping([] { checkpoint(); }) || is_stopping()) ++turns;
              }
            });
          }
        });
      });
    });
    outside.start_soon([&] {
      checkpoint();
      scope.stop(seconds(1));
    });
  });
  EXPECT_EQ(turns, 4);
}

}  // namespace
}  // namespace weft::fibers
