// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/errors.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <type_traits>

namespace weft::loop {
namespace {

TEST(ErrorsTest, CancelledErrorIsNoStdException) {
  EXPECT_FALSE((std::is_base_of_v<std::exception, CancelledError>));
}

TEST(ErrorsTest, CancelledErrorTellsItsMessage) {
  EXPECT_EQ(CancelledError().what(), "the future was cancelled");
  EXPECT_EQ(CancelledError("late").what(), "the future was cancelled: late");
  EXPECT_EQ(CancelledError("late").message(), "late");
}

TEST(ErrorsTest, InvalidStateIsAUsageError) {
  EXPECT_THROW(throw InvalidStateError("x"), fibers::UsageError);
}

}  // namespace
}  // namespace weft::loop
