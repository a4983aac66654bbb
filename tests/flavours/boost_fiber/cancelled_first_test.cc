// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Cancelled first: Boost.Fiber.

#include "tests/support/cancelled_first.h"

#include <gtest/gtest.h>

#include <stdexcept>

#include "tests/flavours/boost_fiber/boost_fiber_testing.h"
#include "weft/fibers/testing/fiber_test.h"

namespace weft::boost_fiber {
namespace {

using test::cancelled_first;

FIBER_TEST(CancelledFirstTest, AThreadThatIsNotShared) {
  cancelled_first("boost_fiber/boost_fiber.h boost_fiber_as_trio",
                  [] { boost_fiber_as_trio([] {}); });
}

FIBER_TEST(CancelledFirstTest, AFunctionThatFails) {
  shared([] {
    cancelled_first("boost_fiber/boost_fiber.h boost_fiber_as_trio",
                    [] { boost_fiber_as_trio([] { throw std::runtime_error("no"); }); });
  });
}

FIBER_TEST(CancelledFirstTest, AThreadThatIsSharedAlready) {
  shared([] {
    cancelled_first("boost_fiber/boost_fiber.h share_thread", [] { share_thread([] {}); });
  });
}

}  // namespace
}  // namespace weft::boost_fiber
