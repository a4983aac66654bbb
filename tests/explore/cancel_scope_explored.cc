// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/cancel_scope.h"

#include "weft/fibers/cancelled.h"
#include "weft/fibers/event.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

// Of two nested scopes the outermost cancelled one catches, in whatever order they are cancelled.
// explores: CancelScope
EXPLORE_TEST(CancelScopeExplored, TheOutermostCancelledOneCatches) {
  exploration.prune();
  CancelScope outer;
  CancelScope inner;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { outer.run([&] { inner.run([] { sleep_forever(); }); }); });
    nursery.start_soon([&] { inner.cancel(); });
    nursery.start_soon([&] {
      checkpoint();
      outer.cancel();
    });
  });
  EXPECT_TRUE(outer.cancelled_caught() || inner.cancelled_caught());
  EXPECT_FALSE(outer.cancelled_caught() && inner.cancelled_caught());
}

// explores: CancelScope.set_shield
EXPLORE_TEST(CancelScopeExplored, AShieldHoldsUntilItIsTakenAway) {
  exploration.prune();
  CancelScope outer;
  CancelScope inner({.shield = true});
  Event event;
  bool finished = false;
  bool shielded = true;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      outer.run([&] {
        inner.run([&] {
          try {
            event.wait();
            finished = true;
          } catch (const Cancelled&) {
            EXPECT_FALSE(shielded);
            throw;
          }
        });
      });
    });
    nursery.start_soon([&] { outer.cancel(); });
    nursery.start_soon([&] {
      checkpoint();
      shielded = false;
      inner.set_shield(false);
    });
    nursery.start_soon([&] {
      checkpoint();
      event.set();
    });
  });
  // A task that had been woken keeps what it got.
  EXPECT_TRUE(finished || outer.cancelled_caught());
}

// One task, one scope that two tasks cancel: one Cancelled.
// explores: CancelScope
EXPLORE_TEST(CancelScopeExplored, CancellingTwiceIsCancellingOnce) {
  exploration.prune();
  CancelScope scope;
  int delivered = 0;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      scope.run([&] {
        try {
          sleep_forever();
        } catch (const Cancelled&) {
          ++delivered;
          throw;
        }
      });
      checkpoint();
    });
    for (int i = 0; i < 2; ++i) nursery.start_soon([&] { scope.cancel(); });
  });
  EXPECT_EQ(delivered, 1);
  EXPECT_TRUE(scope.cancelled_caught());
}

// Cancelled and shielded from two sides: the shield of the scope in between counts, in any order.
// explores: CancelScope.set_shield
EXPLORE_TEST(CancelScopeExplored, AShieldThatIsRaisedInTimeHolds) {
  exploration.prune();
  CancelScope outer;
  CancelScope inner;
  bool raised_in_time = false;
  bool finished = false;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      outer.run([&] {
        inner.run([&] {
          for (int i = 0; i < 3; ++i) checkpoint();
          finished = true;
        });
        inner.set_shield(false);
      });
    });
    nursery.start_soon([&] {
      raised_in_time = !outer.cancel_called();
      inner.set_shield(true);
    });
    nursery.start_soon([&] { outer.cancel(); });
  });
  if (raised_in_time) {
    EXPECT_TRUE(finished);
  }
  // It may have heard of the cancellation before the shield rose.
  EXPECT_TRUE(finished || outer.cancelled_caught());
}

// A shield hides what is outside, and not the scope's own cancellation.
// explores: CancelScope.set_shield
EXPLORE_TEST(CancelScopeExplored, AShieldDoesNotHideItsOwnScope) {
  exploration.prune();
  CancelScope outer;
  CancelScope inner({.shield = true});
  bool after = false;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      outer.run([&] {
        inner.run([] { sleep_forever(); });
        after = true;
        checkpoint();
      });
    });
    nursery.start_soon([&] { outer.cancel(); });
    nursery.start_soon([&] {
      checkpoint();
      inner.cancel();
    });
  });
  EXPECT_TRUE(inner.cancelled_caught());
  EXPECT_TRUE(after);
  EXPECT_TRUE(outer.cancelled_caught());
}

// The tasks of a nursery inside are covered as the body is.
// explores: CancelScope
EXPLORE_TEST(CancelScopeExplored, CoversTheTasksOfNurseriesInside) {
  exploration.prune();
  CancelScope scope;
  int heard = 0;
  bool shielded_finished = false;
  open_nursery([&](Nursery& outside) {
    outside.start_soon([&] {
      scope.run([&] {
        open_nursery([&](Nursery& nursery) {
          nursery.start_soon([&] {
            try {
              sleep_forever();
            } catch (const Cancelled&) {
              ++heard;
              throw;
            }
          });
          nursery.start_soon([&] {
            CancelScope shield({.shield = true});
            shield.run([&] {
              checkpoint();
              shielded_finished = true;
            });
          });
        });
      });
    });
    outside.start_soon([&] { scope.cancel(); });
  });
  EXPECT_TRUE(scope.cancelled_caught());
  EXPECT_EQ(heard, 1);
  EXPECT_TRUE(shielded_finished);
}

}  // namespace
}  // namespace weft::fibers
