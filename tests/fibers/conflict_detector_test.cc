// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/conflict_detector.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "weft/fibers/exception_group.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/fiber_test.h"

namespace weft::fibers {
namespace {

// trio: test_util.py::test_ConflictDetector
FIBER_TEST(ConflictDetectorTest, OneAtATime) {
  ConflictDetector detector("taken");
  {
    const ConflictDetector::Use use(detector);
    EXPECT_TRUE(detector.in_use());
    try {
      const ConflictDetector::Use second(detector);
      FAIL() << "used twice";
    } catch (const BusyResourceError& error) {
      EXPECT_STREQ(error.what(), "taken");
    }
    EXPECT_TRUE(detector.in_use());
  }
  EXPECT_FALSE(detector.in_use());
  const ConflictDetector::Use again(detector);
}

// trio: test_util.py::test_ConflictDetector
FIBER_TEST(ConflictDetectorTest, SecondTaskIsTold) {
  ConflictDetector detector("taken");
  const auto use_for_a_while = [&] {
    const ConflictDetector::Use use(detector);
    checkpoint();
  };
  try {
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon(use_for_a_while);
      nursery.start_soon(use_for_a_while);
    });
    FAIL() << "nobody was told";
  } catch (const ExceptionGroup& group) {
    ASSERT_EQ(group.exceptions().size(), 1U);
    EXPECT_TRUE(holds<BusyResourceError>(group.exceptions().front()));
  }
}

}  // namespace
}  // namespace weft::fibers
