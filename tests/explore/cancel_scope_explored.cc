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

}  // namespace
}  // namespace weft::fibers
