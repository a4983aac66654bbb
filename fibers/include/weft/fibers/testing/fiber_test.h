// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Tests whose body is a task, for GoogleTest.
//
//   FIBER_TEST(EventTest, WakesEveryWaiter) {
//     Event event;
//     open_nursery([&](Nursery& nursery) { ... });
//     EXPECT_EQ(...);
//   }
//
// The body is the main task of a run of its own, whose clock jumps to the next deadline as soon as
// every task waits. Sleeping for an hour takes no time, and a body that can never go on fails with
// the task tree. Afterwards no task, stack or descriptor may be left over.
//
// If tests call run() themselves, a listener can check each of them:
//
//   testing::UnitTest::GetInstance()->listeners().Append(new LeftOverListener);

#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <filesystem>
#include <iterator>
#include <optional>
#include <string>

#include "weft/fibers/format_exception.h"
#include "weft/fibers/run.h"
#include "weft/fibers/testing/explore.h"
#include "weft/fibers/testing/left_over.h"
#include "weft/fibers/testing/mock_clock.h"
#include "weft/fibers/testing/shuffle_fiber_test.h"
#include "weft/fibers/testing/sweep_fiber_test.h"

namespace weft::fibers::testing {

// How many there are in this process.
inline std::ptrdiff_t open_descriptors() {
  const std::filesystem::directory_iterator entries("/proc/self/fd");
  return std::distance(begin(entries), end(entries));
}

// Runs `body` as FIBER_TEST does: in the same order every time, unless `options` say otherwise, and
// with RunOptions::check_captures whatever they say.
//
// Blocks: the thread, until the run is over.
// Cancel: does not apply.
// Threads: any, outside a run.
template <class Body>
void run_fiber_test(Body&& body, RunOptions options = {.in_order = true}) {
  MockClock clock(0.0, Duration::zero());
  if (options.clock == nullptr) options.clock = &clock;
  options.check_captures = true;
  const LeftOver since;
  try {
    run(std::forward<Body>(body), options);
  } catch (...) {
    ADD_FAILURE() << "the test's body threw " << format_exception(std::current_exception());
  }
  const std::string left = since.find();
  EXPECT_TRUE(left.empty()) << left;
}

// explore() as EXPLORE_TEST calls it: a failed expectation of GoogleTest counts as a failure, and
// the exploration has to be complete.
//
// Blocks: the thread, until all schedules have been run.
// Cancel: does not apply.
// Threads: any, outside a run.
template <class Body>
ExploreResult explore_test(Body&& body, ExploreOptions options = {}) {
  const LeftOver since;
  if (!options.failed) options.failed = [] { return ::testing::Test::HasFailure(); };
  ExploreResult result;
  try {
    result = explore(std::forward<Body>(body), options);
    if (options.strategy == Strategy::kExhaustive && !is_replay(options)) {
      EXPECT_TRUE(result.exhausted) << "not all schedules after " << result.schedules;
    }
    ::testing::Test::RecordProperty("schedules", std::to_string(result.schedules));
  } catch (const ExploreError& error) {
    ADD_FAILURE() << error.what();  // What is nested is in it.
  } catch (...) {
    ADD_FAILURE() << format_exception(std::current_exception());
  }
  const std::string left = since.find();
  EXPECT_TRUE(left.empty()) << left;
  return result;
}

// The body of FIBER_TEST: run_fiber_test(), and then whatever else the environment asks for. See
// shuffle_fiber_test.h and sweep_fiber_test.h.
//
// Blocks: the thread, until all runs are over.
// Cancel: does not apply.
// Threads: any, outside a run.
inline void fiber_test(void (*body)()) {
  if (is_replay({})) return shuffle_fiber_test(body);
  run_fiber_test(body);
  try {
    if (const auto wanted = wanted_schedules()) shuffle_fiber_test(body, *wanted);
  } catch (const UsageError& error) {
    ADD_FAILURE() << error.what();
  }
  if (cancel_sweep_wanted()) cancel_sweep_fiber_test(body);
  if (fault_sweep_wanted()) fault_sweep_fiber_test(body);
}

// Why the current test may leave something over. Empty: it may not.
inline std::string& may_leave_over() {
  static std::string why;
  return why;
}

// Fails each test that leaves a task, a stack or a descriptor over. If the first use of a library
// opens something for good, use the library once before the tests, or the first test will be
// blamed.
class LeftOverListener final : public ::testing::EmptyTestEventListener {
  // NOLINTBEGIN(readability-identifier-naming): GoogleTest's.
  void OnTestStart(const ::testing::TestInfo& /*test*/) override {
    may_leave_over().clear();
    since_.emplace();
  }
  void OnTestEnd(const ::testing::TestInfo& /*test*/) override {
    if (!may_leave_over().empty()) return;
    const std::string left = since_->find();
    EXPECT_TRUE(left.empty()) << left;
  }
  // NOLINTEND(readability-identifier-naming)

  std::optional<LeftOver> since_;
};

}  // namespace weft::fibers::testing

// A body that runs in every possible schedule. It may use `exploration`; see explore.h.
#define EXPLORE_TEST(Suite, Claim)                                                        \
  static void weft_explore_test_##Suite##_##Claim(::weft::fibers::testing::Exploration&); \
  TEST(Suite, Claim) {                                                                    \
    ::weft::fibers::testing::explore_test(&weft_explore_test_##Suite##_##Claim);          \
  }                                                                                       \
  static void weft_explore_test_##Suite##_##Claim(                                        \
      [[maybe_unused]] ::weft::fibers::testing::Exploration& exploration)

// For a test about something that stays: LeftOverListener does not check it.
#define WEFT_LEAVES_OVER(why) ::weft::fibers::testing::may_leave_over() = (why)

#define FIBER_TEST(Suite, Claim)                                             \
  static void weft_fiber_test_##Suite##_##Claim();                           \
  TEST(Suite, Claim) {                                                       \
    ::weft::fibers::testing::fiber_test(&weft_fiber_test_##Suite##_##Claim); \
  }                                                                          \
  static void weft_fiber_test_##Suite##_##Claim()
