// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/errors.h"

#include <gtest/gtest.h>

#include <exception>
#include <stdexcept>
#include <type_traits>

#include "weft/fibers/exception_group.h"

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

TEST(ErrorsTest, WithoutCancelledErrorsTheRestIsLeft) {
  const auto cancelled = std::make_exception_ptr(CancelledError());
  const auto error = std::make_exception_ptr(std::runtime_error("x"));
  EXPECT_EQ(without_cancelled_errors(cancelled), nullptr);
  EXPECT_EQ(without_cancelled_errors(error), error);
  const auto both = fibers::make_exception_group("both", {cancelled, error});
  EXPECT_TRUE(fibers::holds<fibers::ExceptionGroup>(without_cancelled_errors(both)));
  const auto nested = fibers::make_exception_group("nested", {cancelled, cancelled});
  EXPECT_EQ(without_cancelled_errors(fibers::make_exception_group("", {nested})), nullptr);
  const auto others = fibers::make_exception_group("others", {error});
  EXPECT_EQ(without_cancelled_errors(others), others) << "the very same";
}

}  // namespace
}  // namespace weft::loop
