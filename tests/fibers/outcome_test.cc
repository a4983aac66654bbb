// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/outcome.h"

#include <gtest/gtest.h>

#include <compare>
#include <exception>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <unordered_set>
#include <utility>
#include <vector>

#include "weft/fibers/cancelled.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/outcome_repr.h"

namespace weft::fibers {
namespace {

std::exception_ptr oops() {
  return std::make_exception_ptr(std::runtime_error("oops"));
}

// outcome: test_sync.py::test_Outcome
TEST(OutcomeTest, HoldsAValueOrAnErrorAndGivesItOnce) {
  Outcome<int> value = Value(3);
  EXPECT_TRUE(value.has_value());
  EXPECT_EQ(*value.peek(), 3);
  EXPECT_EQ(value.error(), nullptr);
  EXPECT_EQ(repr(value), "Value(3)");
  EXPECT_EQ(value.unwrap(), 3);
  EXPECT_THROW(value.unwrap(), AlreadyUsedError);

  const auto e = oops();
  Outcome<int> error = Error(e);
  EXPECT_FALSE(error.has_value());
  EXPECT_EQ(error.peek(), nullptr);
  EXPECT_EQ(error.error(), e);
  EXPECT_EQ(repr(error), "Error(std::runtime_error('oops'))");
  EXPECT_THROW(error.unwrap(), std::runtime_error);
  EXPECT_THROW(error.unwrap(), AlreadyUsedError);

  EXPECT_THROW(Error(nullptr), UsageError);
  static_assert(!std::is_constructible_v<Error, const char*>);
  static_assert(std::is_base_of_v<UsageError, AlreadyUsedError>);
}

TEST(OutcomeTest, TheSameErrorMayBeCarriedByTwoOutcomes) {
  const auto e = oops();
  Outcome<int> first = Error(e);
  Outcome<void> second = Error(e);
  EXPECT_THROW(first.unwrap(), std::runtime_error);
  EXPECT_THROW(second.unwrap(), std::runtime_error);
}

// outcome: test_sync.py::test_Outcome_eq_hash
TEST(OutcomeTest, EqualContentIsEqualAndHashesAlike) {
  using Texts = Outcome<std::vector<std::string>>;
  EXPECT_EQ(Texts(Value(std::vector<std::string>{"hello"})),
            Texts(Value(std::vector<std::string>{"hello"})));
  EXPECT_NE(Texts(Value(std::vector<std::string>{"hello"})),
            Texts(Value(std::vector<std::string>())));
  // What cannot be hashed makes no hash.
  static_assert(!std::is_default_constructible_v<std::hash<Texts>>);

  using Text = Outcome<std::string>;
  const auto runtime = oops();
  const auto key = std::make_exception_ptr(std::out_of_range("foo"));
  const std::unordered_set<Text> set{Value(std::string("hello")),
                                     Value(std::string("hello")),
                                     Error(runtime),
                                     Error(runtime),
                                     Error(key),
                                     Error(key)};
  EXPECT_EQ(set.size(), 3U);
  EXPECT_EQ(Text(Error(runtime)), Text(Error(runtime)));
  EXPECT_NE(Text(Error(runtime)), Text(Error(key)));
  EXPECT_NE(Text(Error(runtime)), Text(Error(oops())));
  EXPECT_NE(Text(Error(runtime)), Text(Value(std::string("oops"))));
}

// outcome: test_sync.py::test_Value_compare
TEST(OutcomeTest, ValuesHaveTheirOwnOrderAndErrorsNone) {
  using Number = Outcome<int>;
  EXPECT_LT(Number(Value(1)), Number(Value(2)));
  EXPECT_FALSE(Number(Value(3)) < Number(Value(2)));
  const Number error = Error(oops());
  EXPECT_EQ(Number(Value(1)) <=> error, std::partial_ordering::unordered);
  EXPECT_EQ(error <=> error, std::partial_ordering::equivalent);
  // Outcomes of other types cannot be compared at all.
  static_assert(!std::totally_ordered_with<Number, Outcome<std::string>>);
}

// outcome: test_sync.py::test_capture
TEST(OutcomeTest, CaptureKeepsWhatAFunctionDid) {
  EXPECT_EQ(capture([](int x, int y) { return x + y; }, 2, 3).unwrap(), 5);
  EXPECT_TRUE(capture([] {}).has_value());
  auto error = capture([](const char* text) -> int { throw std::invalid_argument(text); }, "two");
  const auto* e = exception_cast<std::invalid_argument>(error.error());
  ASSERT_NE(e, nullptr);
  EXPECT_STREQ(e->what(), "two");
}

TEST(OutcomeTest, CaptureKeepsAlsoWhatIsNoStdException) {
  const auto interrupted = capture([] { throw KeyboardInterrupt(); });
  EXPECT_TRUE(holds<KeyboardInterrupt>(interrupted.error()));
  EXPECT_EQ(repr(interrupted), "Error(KeyboardInterrupt())");
}

// outcome: test_sync.py::test_inheritance
static_assert(std::is_convertible_v<Value<int>, Outcome<int>> &&
              std::is_convertible_v<Value<void>, Outcome<void>> &&
              std::is_convertible_v<Error, Outcome<int>> &&
              std::is_convertible_v<Error, Outcome<void>> &&
              !std::is_convertible_v<Value<int>, Outcome<void>>);

TEST(OutcomeTest, MovesItsValueOut) {
  auto outcome = capture([] { return std::make_unique<int>(5); });
  auto moved = std::move(outcome);
  EXPECT_EQ(*moved.unwrap(), 5);
}

TEST(OutcomeTest, MayHoldAReference) {
  int x = 1;
  auto outcome = capture([&x]() -> int& { return x; });
  static_assert(std::is_same_v<decltype(outcome), Outcome<int&>>);
  outcome.unwrap() = 2;
  EXPECT_EQ(x, 2);
}

TEST(OutcomeTest, TextOfWhatCannotBePrinted) {
  struct Opaque {};
  EXPECT_EQ(repr(Outcome<Opaque>(Value(Opaque()))), "Value(...)");
  EXPECT_EQ(repr(Outcome<void>(Value())), "Value()");
}

}  // namespace
}  // namespace weft::fibers
