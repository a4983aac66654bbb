// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/unwrapped.h"

#include <stdexcept>

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

// Which of two errors comes, or both, is the schedule's; that a lone one is itself is not.
// explores: open_unwrapped_nursery
EXPLORE_TEST(UnwrappedExplored, ALoneErrorIsItselfAndSeveralAreAGroup) {
  exploration.prune();
  int thrown = 0;
  std::exception_ptr error;
  try {
    open_unwrapped_nursery([&](Nursery& nursery) {
      for (int i = 0; i < 2; ++i) {
        nursery.start_soon([&] {
          checkpoint();
          ++thrown;
          throw std::runtime_error("one");
        });
      }
      nursery.start_soon([] { sleep_forever(); });
    });
  } catch (...) {
    error = std::current_exception();
  }
  EXPECT_EQ(holds<std::runtime_error>(error), thrown == 1);
  EXPECT_EQ(holds<ExceptionGroup>(error), thrown == 2);
}

// explores: open_unwrapped_nursery
EXPLORE_TEST(UnwrappedExplored, NestedOnesGiveTheErrorItself) {
  exploration.prune();
  int ended = 0;
  EXPECT_THROW(open_unwrapped_nursery([&](Nursery& outer) {
                 outer.start_soon([&] {
                   open_nursery([&](Nursery& inner) {
                     inner.start_soon([] {
                       checkpoint();
                       throw std::runtime_error("deep");
                     });
                     inner.start_soon([&] {
                       const CancelScopeOptions shield{.shield = true};
                       CancelScope(shield).run([] { checkpoint(); });
                       ++ended;
                     });
                   });
                 });
                 outer.start_soon([&] {
                   move_on_after(Duration::zero(), [] { sleep_forever(); });
                   ++ended;
                 });
               }),
               std::runtime_error);
  EXPECT_GE(ended, 1);
}

// Being cancelled from outside while something fails: the error is not lost, and comes alone.
// explores: open_unwrapped_nursery
EXPLORE_TEST(UnwrappedExplored, AnErrorIsNotLostToACancellation) {
  exploration.prune();
  CancelScope scope;
  bool thrown = false;
  bool caught = false;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      try {
        scope.run([&] {
          open_unwrapped_nursery([&](Nursery& inner) {
            inner.start_soon([&] {
              checkpoint();
              thrown = true;
              throw std::runtime_error("inside");
            });
            inner.start_soon([] { sleep_forever(); });
          });
        });
      } catch (const std::runtime_error&) {
        caught = true;
      }
    });
    nursery.start_soon([&] {
      checkpoint();
      checkpoint();
      scope.cancel();
    });
  });
  EXPECT_EQ(caught, thrown);
  EXPECT_EQ(scope.cancelled_caught(), !thrown);
}

}  // namespace
}  // namespace weft::fibers
