// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/unwrapped.h"

#include <gtest/gtest.h>

#include <stdexcept>

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

FIBER_TEST(UnwrappedTest, ANurserysLoneErrorComesOutAsItWasThrown) {
  try {
    open_unwrapped_nursery([](Nursery& nursery) {
      nursery.start_soon([] { sleep_forever(); });
      nursery.start_soon([] {
        open_nursery(
            [](Nursery& inner) { inner.start_soon([] { throw std::out_of_range("far"); }); });
      });
    });
    ADD_FAILURE() << "nothing came";
  } catch (const std::out_of_range& error) {
    EXPECT_STREQ(error.what(), "far");
  }
}

FIBER_TEST(UnwrappedTest, TwoErrorsOfANurseryAreAGroup) {
  EXPECT_THROW(open_unwrapped_nursery([](Nursery& nursery) {
                 nursery.start_soon([] { throw 1; });
                 throw 2;
               }),
               BaseExceptionGroup);
}

FIBER_TEST(UnwrappedTest, ReturnsWhatTheBodyReturns) {
  EXPECT_EQ(open_unwrapped_nursery([](Nursery&) { return 3; }), 3);
}

FIBER_TEST(UnwrappedTest, CancellationFromOutsidePasses) {
  CancelScope scope({.relative_deadline = std::chrono::seconds(1)});
  scope.run([] {
    open_unwrapped_nursery([](Nursery& nursery) {
      nursery.start_soon([] { sleep_forever(); });
      nursery.start_soon([] { sleep_forever(); });
      sleep_forever();
    });
  });
  EXPECT_TRUE(scope.cancelled_caught());
}

// The error is what the caller has to know; that it is cancelled it hears again at its next wait.
FIBER_TEST(UnwrappedTest, AnErrorBesideACancellationIsALoneOne) {
  CancelScope scope({.relative_deadline = std::chrono::seconds(1)});
  scope.run([] {
    EXPECT_THROW(open_unwrapped_nursery([](Nursery& nursery) {
                   nursery.start_soon([] { sleep_forever(); });
                   try {
                     sleep_forever();
                   } catch (const Cancelled&) {
                     throw std::out_of_range("late");
                   }
                 }),
                 std::out_of_range);
    checkpoint();
    ADD_FAILURE() << "not cancelled";
  });
  EXPECT_TRUE(scope.cancelled_caught());
}

}  // namespace
}  // namespace weft::fibers
