// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/scope_result.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/graceful_scope.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

using std::chrono::seconds;

// Nothing that could stand in a condition itself can be taken for "finished".
template <class T>
inline constexpr bool kStandsInCondition = std::is_constructible_v<bool, ScopeResult<T>>;
static_assert(kStandsInCondition<void>);
static_assert(kStandsInCondition<std::string>);
static_assert(kStandsInCondition<std::vector<int>>);
static_assert(!kStandsInCondition<bool>);
static_assert(!kStandsInCondition<int>);
static_assert(!kStandsInCondition<int*>);
static_assert(!kStandsInCondition<std::optional<std::string>>);
static_assert(!kStandsInCondition<std::unique_ptr<int>>);
static_assert(!kStandsInCondition<std::true_type>);
// Nor converted without being asked: `int late = move_on_after(...)`.
static_assert(!std::is_convertible_v<ScopeResult<std::string>, bool>);

FIBER_TEST(ScopeResultTest, AFalseValueIsNotCutShort) {
  const ScopeResult<bool> result = move_on_after(seconds(1), [] { return false; });
  EXPECT_TRUE(result.finished());
  EXPECT_FALSE(result.value());
}

FIBER_TEST(ScopeResultTest, AnEmptyOptionalIsNotCutShort) {
  const auto line = until_stopping([]() -> std::optional<std::string> { return std::nullopt; });
  static_assert(std::is_same_v<decltype(line), const ScopeResult<std::optional<std::string>>>);
  EXPECT_TRUE(line.finished());
  EXPECT_EQ(line.value(), std::nullopt);
}

FIBER_TEST(ScopeResultTest, CutShortThereIsNoValue) {
  auto result = move_on_after(seconds(1), []() -> int { sleep_forever(); });
  EXPECT_FALSE(result.finished());
  EXPECT_THROW(result.value(), UsageError);
  EXPECT_THROW(*result, UsageError);
  EXPECT_EQ(result.value_or(7), 7);
  EXPECT_THROW(static_cast<decltype(result)&&>(result).value(), UsageError);
  const auto text = move_on_after(seconds(1), []() -> std::string { sleep_forever(); });
  EXPECT_FALSE(text);
  EXPECT_THROW(static_cast<void>(text->size()), UsageError);
}

FIBER_TEST(ScopeResultTest, AVoidBodyHasFinishedOrNot) {
  EXPECT_TRUE(move_on_after(seconds(1), [] {}).finished());
  EXPECT_FALSE(move_on_after(seconds(1), [] { sleep_forever(); }).finished());
  const bool in_time = move_on_after(seconds(1), [] {});
  EXPECT_TRUE(in_time);
}

FIBER_TEST(ScopeResultTest, TheValueMayBeMovedOut) {
  auto pointer = move_on_after(seconds(1), [] { return std::make_unique<int>(3); });
  const std::unique_ptr<int> mine = std::move(pointer).value();
  EXPECT_EQ(*mine, 3);
  EXPECT_EQ(move_on_after(seconds(1), [] { return std::string("text"); })->size(), 4U);
  EXPECT_EQ(move_on_after(seconds(1), [] { return std::string("text"); }).value_or("x"), "text");
}

FIBER_TEST(ScopeResultTest, AReferenceBecomesAValue) {
  std::string text = "text";
  auto copy = move_on_after(seconds(1), [&]() -> std::string& { return text; });
  text = "changed";
  EXPECT_EQ(copy.value(), "text");
}

}  // namespace
}  // namespace weft::fibers
