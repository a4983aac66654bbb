// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/outcome.h"

#include <gtest/gtest.h>

#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include "weft/fibers/exception_group.h"

namespace weft::fibers {
namespace {

// outcome: test_sync.py::test_Outcome
TEST(OutcomeTest, HoldsAValueOrAnError) {
  auto value = Outcome<int>::value(3);
  EXPECT_TRUE(value.has_value());
  EXPECT_EQ(value.error(), nullptr);
  EXPECT_EQ(value.unwrap(), 3);
  const auto e = std::make_exception_ptr(std::runtime_error("x"));
  auto error = Outcome<int>::error(e);
  EXPECT_FALSE(error.has_value());
  EXPECT_EQ(error.error(), e);
  EXPECT_THROW(error.unwrap(), std::runtime_error);
}

// outcome: test_sync.py::test_Outcome
TEST(OutcomeTest, IsUnwrappedOnce) {
  auto value = Outcome<int>::value(3);
  value.unwrap();
  EXPECT_THROW(value.unwrap(), UsageError);
  auto error = Outcome<void>::error(std::make_exception_ptr(1));
  EXPECT_THROW(error.unwrap(), int);
  EXPECT_THROW(error.unwrap(), UsageError);
}

// outcome: test_sync.py::test_capture
TEST(OutcomeTest, CaptureKeepsWhatAFunctionDid) {
  EXPECT_EQ(capture([] { return std::string("v"); }).unwrap(), "v");
  EXPECT_TRUE(capture([] {}).has_value());
  auto error = capture([]() -> int { throw std::runtime_error("x"); });
  EXPECT_TRUE(holds<std::runtime_error>(error.error()));
}

TEST(OutcomeTest, MovesItsValueOut) {
  auto outcome = capture([] { return std::make_unique<int>(5); });
  auto moved = std::move(outcome);
  EXPECT_EQ(*moved.unwrap(), 5);
}

}  // namespace
}  // namespace weft::fibers
