// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/race.h"

#include <gtest/gtest.h>

#include <functional>
#include <stdexcept>
#include <string>
#include <variant>
#include <vector>

#include "tests/support/captured_log.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

template <class T>
auto after(int delay, T value) {
  return [=] {
    sleep(seconds(delay));
    return value;
  };
}

auto fail_after_seconds(int delay) {
  return [=]() -> int {
    sleep(seconds(delay));
    throw std::out_of_range(std::to_string(delay));
  };
}

FIBER_TEST(RaceTest, TheFirstToFinishWins) {
  const Instant start = current_time();
  const auto won = race(after(3, 1), after(1, std::string("quick")), [] { sleep_forever(); });
  ASSERT_EQ(won.index(), 1U);
  EXPECT_EQ(std::get<1>(won), "quick");
  EXPECT_EQ(current_time() - start, std::chrono::seconds(1));
}

FIBER_TEST(RaceTest, TwoOfOneTypeAreToldApart) {
  const std::variant<int, int> won = race(after(2, 1), after(1, 1));
  EXPECT_EQ(won.index(), 1U);
}

FIBER_TEST(RaceTest, TheOthersAreCancelledAndWaitedFor) {
  bool cleaned_up = false;
  race(after(1, 0), [&] {
    try {
      sleep_forever();
    } catch (...) {
      CancelScope shield({.shield = true});
      shield.run([] { sleep(seconds(5)); });
      cleaned_up = true;
      throw;
    }
  });
  EXPECT_TRUE(cleaned_up);
}

FIBER_TEST(RaceTest, AmongEqualsTheIndexSaysWho) {
  const std::vector<std::function<int()>> fns{after(3, 30), after(1, 10), after(2, 20)};
  const RaceResult<int> won = race(fns);
  EXPECT_EQ(won.index, 1U);
  EXPECT_EQ(won.value, 10);
}

FIBER_TEST(RaceTest, OfTwoInOneMomentOneWins) {
  const auto won = race(after(1, 1), after(1, 2));
  EXPECT_EQ(std::visit([](int value) { return value; }, won), static_cast<int>(won.index()) + 1);
}

FIBER_TEST(RaceTest, AnErrorEndsIt) {
  EXPECT_THROW(race(fail_after_seconds(1), after(2, 1)), std::out_of_range);
}

FIBER_TEST(RaceTest, AnErrorThatALoserThrowsIsNotLost) {
  EXPECT_THROW(race(after(1, 1),
                    []() -> int {
                      try {
                        sleep_forever();
                      } catch (...) {
                        throw std::out_of_range("while cleaning up");
                      }
                    }),
               std::out_of_range);
}

FIBER_TEST(RaceTest, CancellationFromOutsideEndsItWithoutAWinner) {
  EXPECT_FALSE(move_on_after(seconds(1), [] { race(after(5, 1), after(6, 2)); }));
}

FIBER_TEST(RaceTest, WithNobodyThereIsNoWinner) {
  EXPECT_THROW(race(std::vector<std::function<int()>>()), UsageError);
  EXPECT_THROW(first_success(std::vector<std::function<int()>>()), UsageError);
}

FIBER_TEST(RaceTest, FirstSuccessLeavesOutWhoFails) {
  const auto won = first_success(fail_after_seconds(1), after(3, 3), after(2, 2));
  ASSERT_EQ(won.index(), 2U);
  EXPECT_EQ(std::get<2>(won), 2);
}

FIBER_TEST(RaceTest, IfAllFailTheErrorsComeOutInTheirOrder) {
  try {
    first_success(fail_after_seconds(2), fail_after_seconds(1));
    ADD_FAILURE() << "somebody won";
  } catch (const ExceptionGroup& group) {
    ASSERT_EQ(group.exceptions().size(), 2U);
    EXPECT_NE(describe_exception(group.exceptions()[0]).find('1'), std::string::npos);
  }
  EXPECT_THROW(first_success(std::vector<std::function<int()>>{fail_after_seconds(1)}),
               std::out_of_range);
}

// Dropping it is first_success's own doing: the loser is not blamed for it.
FIBER_TEST(RaceTest, FirstSuccessDropsWhatALoserMakesOfItsCancellation) {
  const test::CapturedLog log;
  const auto won = first_success(after(1, 1), []() -> int {
    try {
      sleep_forever();
    } catch (const Cancelled&) {
      throw std::runtime_error("gave up");
    }
  });
  EXPECT_EQ(won.index(), 0U);
  EXPECT_EQ(log.lines, std::vector<std::string>());
}

FIBER_TEST(RaceTest, FirstSuccessPassesOnACancellationFromOutside) {
  EXPECT_FALSE(
      move_on_after(seconds(2), [] { first_success(fail_after_seconds(1), after(5, 1)); }));
}

}  // namespace
}  // namespace weft::fibers
