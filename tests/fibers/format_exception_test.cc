// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/format_exception.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/fibers/exception_shapes.h"
#include "weft/fibers/exception_group.h"

namespace weft::fibers {
namespace {

// A group with a note, of a value error and of another group.
std::exception_ptr example() {
  ExceptionGroup inner("inner", {type_error("t1"), type_error("t2")});
  inner.add_note("inside");
  ExceptionGroup group("test message",
                       {value_error("foo"), std::make_exception_ptr(inner), value_error("bar")});
  group.add_note("Displays notes too");
  return std::make_exception_ptr(group);
}

// Throws `outer` with what is being handled nested in it.
template <class E>
std::exception_ptr caused_by(const std::exception_ptr& cause, const E& outer) {
  try {
    try {
      std::rethrow_exception(cause);
    } catch (...) {
      std::throw_with_nested(outer);
    }
  } catch (...) {
    return std::current_exception();
  }
}

// exceptiongroup: test_formatting.py::test_format_exception
TEST(FormatExceptionTest, AGroupIsATree) {
  EXPECT_EQ(format_exception(example()),
            "  | ExceptionGroup: test message (3 sub-exceptions)\n"
            "  | Displays notes too\n"
            "  +-+---------------- 1 ----------------\n"
            "    | std::invalid_argument: foo\n"
            "    +---------------- 2 ----------------\n"
            "    | ExceptionGroup: inner (2 sub-exceptions)\n"
            "    | inside\n"
            "    +-+---------------- 1 ----------------\n"
            "      | std::domain_error: t1\n"
            "      +---------------- 2 ----------------\n"
            "      | std::domain_error: t2\n"
            "      +------------------------------------\n"
            "    +---------------- 3 ----------------\n"
            "    | std::invalid_argument: bar\n"
            "    +------------------------------------\n");
}

// A group that comes last ends the frame of the one around it as well.
TEST(FormatExceptionTest, AGroupInALastPlaceSharesTheEnd) {
  const auto nested =
      make_exception_group("outer", {make_exception_group("inner", {value_error("v")})});
  EXPECT_EQ(format_exception(nested),
            "  | ExceptionGroup: outer (1 sub-exception)\n"
            "  +-+---------------- 1 ----------------\n"
            "    | ExceptionGroup: inner (1 sub-exception)\n"
            "    +-+---------------- 1 ----------------\n"
            "      | std::invalid_argument: v\n"
            "      +------------------------------------\n");
}

// exceptiongroup: test_formatting.py::test_format_exception_only
TEST(FormatExceptionTest, OnlyTheGroupItself) {
  EXPECT_EQ(format_exception_only(example()),
            "ExceptionGroup: test message (3 sub-exceptions)\nDisplays notes too\n");
  EXPECT_EQ(format_exception_only(value_error("v")), "std::invalid_argument: v\n");
}

TEST(FormatExceptionTest, ALoneErrorHasNoMargin) {
  EXPECT_EQ(format_exception(value_error("v")), "std::invalid_argument: v\n");
}

TEST(FormatExceptionTest, TextsOfSeveralLinesKeepTheMargin) {
  EXPECT_EQ(format_exception(make_exception_group("m", {value_error("one\n\ntwo")})),
            "  | ExceptionGroup: m (1 sub-exception)\n"
            "  +-+---------------- 1 ----------------\n"
            "    | std::invalid_argument: one\n"
            "    |\n"
            "    | two\n"
            "    +------------------------------------\n");
}

// exceptiongroup: test_formatting.py::test_format_nested
TEST(FormatExceptionTest, CausesComeFirst) {
  const auto third = value_error("LEVEL_3");
  const auto second = caused_by(third, std::runtime_error("LEVEL_2"));
  const auto first = caused_by(second, std::logic_error("LEVEL_1"));
  const std::string text = format_exception(first);
  const auto at3 = text.find(
      "LEVEL_3\n\nThe above exception was the direct cause of the "
      "following exception:\n\n");
  const auto at2 = text.find("LEVEL_2\n\nThe above");
  const auto at1 = text.find("LEVEL_1\n");
  EXPECT_EQ(at3, std::string("std::invalid_argument: ").size());
  EXPECT_LT(at3, at2);
  EXPECT_LT(at2, at1);
  EXPECT_NE(at1, std::string::npos);
  EXPECT_EQ(format_exception(first, {.chain = false}).find("LEVEL_2"), std::string::npos);
}

// exceptiongroup: test_formatting.py::test_exceptiongroup_as_cause
TEST(FormatExceptionTest, AGroupMayBeACause) {
  const auto error =
      caused_by(make_exception_group("", {value_error("v")}), std::runtime_error(""));
  EXPECT_THAT(format_exception(error),
              ::testing::StartsWith("  | ExceptionGroup:  (1 sub-exception)\n"
                                    "  +-+---------------- 1 ----------------\n"
                                    "    | std::invalid_argument: v\n"
                                    "    +------------------------------------\n"
                                    "\n"
                                    "The above exception was the direct cause of the following "
                                    "exception:\n"
                                    "\n"
                                    "std::runtime_error: \n"));
}

// What is in a group and is its cause as well is shown in both places, once each. (A cycle, as in
// Python, cannot be: an exception has to exist before another can hold it.)
// exceptiongroup: test_formatting.py::test_exceptiongroup_loop
TEST(FormatExceptionTest, ACauseInsideAGroupHasTheMarginOfItsPlace) {
  const auto e0 = value_error("e0");
  const auto eg0 = make_exception_group("eg0", {e0});
  const auto eg1 = caused_by(eg0, ExceptionGroup("eg1", {eg0}));
  const std::string text = format_exception(make_exception_group("top", {eg1, e0}));
  EXPECT_EQ(text,
            "  | ExceptionGroup: top (2 sub-exceptions)\n"
            "  +-+---------------- 1 ----------------\n"
            "    | ExceptionGroup: eg0 (1 sub-exception)\n"
            "    +-+---------------- 1 ----------------\n"
            "      | std::invalid_argument: e0\n"
            "      +------------------------------------\n"
            "    |\n"
            "    | The above exception was the direct cause of the following exception:\n"
            "    |\n"
            "    | ExceptionGroup: eg1 (1 sub-exception)\n"
            "    +-+---------------- 1 ----------------\n"
            "      | ExceptionGroup: eg0 (1 sub-exception)\n"
            "      +-+---------------- 1 ----------------\n"
            "        | std::invalid_argument: e0\n"
            "        +------------------------------------\n"
            "    +---------------- 2 ----------------\n"
            "    | std::invalid_argument: e0\n"
            "    +------------------------------------\n");
}

TEST(FormatExceptionTest, OfALargeGroupTheRestIsCounted) {
  const auto group =
      make_exception_group("m", {value_error("1"), value_error("2"), value_error("3")});
  EXPECT_EQ(format_exception(group, {.max_group_width = 1}),
            "  | ExceptionGroup: m (3 sub-exceptions)\n"
            "  +-+---------------- 1 ----------------\n"
            "    | std::invalid_argument: 1\n"
            "    +---------------- ... ----------------\n"
            "    | and 2 more exceptions\n"
            "    +------------------------------------\n");
  EXPECT_THAT(format_exception(group, {.max_group_width = 2}),
              ::testing::HasSubstr("and 1 more exception\n"));
  const std::vector<std::exception_ptr> many(16, value_error("v"));
  EXPECT_THAT(format_exception(make_exception_group("m", many)),
              ::testing::HasSubstr("and 1 more exception\n"));
}

TEST(FormatExceptionTest, GroupsThatAreTooDeepAreLeftOut) {
  std::exception_ptr error = value_error("deep");
  for (int i = 0; i < 4; ++i) error = make_exception_group("level", {error});
  EXPECT_EQ(format_exception(error, {.max_group_depth = 2}),
            "  | ExceptionGroup: level (1 sub-exception)\n"
            "  +-+---------------- 1 ----------------\n"
            "    | ExceptionGroup: level (1 sub-exception)\n"
            "    +-+---------------- 1 ----------------\n"
            "      | ... (max_group_depth is 2)\n"
            "      +------------------------------------\n");
}

TEST(FormatExceptionTest, PrintsToStandardError) {
  ::testing::internal::CaptureStderr();
  print_exception(value_error("v"));
  try {
    throw std::runtime_error("r");
  } catch (...) {
    print_exc();
  }
  EXPECT_EQ(::testing::internal::GetCapturedStderr(),
            "std::invalid_argument: v\nstd::runtime_error: r\n");
}

}  // namespace
}  // namespace weft::fibers
