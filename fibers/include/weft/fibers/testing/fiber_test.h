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
// every task waits: sleeping an hour takes no time, and a body that can never go on fails with the
// task tree. Afterwards no task, no stack and no descriptor may be left over.
//
// A program of tests that call run() themselves has them all looked after by a listener:
//
//   testing::UnitTest::GetInstance()->listeners().Append(new LeftOverListener);

#pragma once

#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <optional>
#include <string>

#include "weft/fibers/format_exception.h"
#include "weft/fibers/run.h"
#include "weft/fibers/testing/cancel_sweep.h"
#include "weft/fibers/testing/explore.h"
#include "weft/fibers/testing/fault_sweep.h"
#include "weft/fibers/testing/left_over.h"
#include "weft/fibers/testing/mock_clock.h"

namespace weft::fibers::testing {

// How many there are in this process.
inline std::ptrdiff_t open_descriptors() {
  const std::filesystem::directory_iterator entries("/proc/self/fd");
  return std::distance(begin(entries), end(entries));
}

// Runs `body` as FIBER_TEST does: in the same order every time, unless `options` say otherwise.
//
// Blocks: the thread, until the run is over.
// Cancel: does not apply.
// Threads: any, outside a run.
template <class Body>
void run_fiber_test(Body&& body, RunOptions options = {.in_order = true}) {
  MockClock clock(0.0, Duration::zero());
  if (options.clock == nullptr) options.clock = &clock;
  const LeftOver since;
  try {
    run(std::forward<Body>(body), options);
  } catch (...) {
    ADD_FAILURE() << "the test's body threw " << format_exception(std::current_exception());
  }
  const std::string left = since.find();
  EXPECT_TRUE(left.empty()) << left;
}

// Whether WEFT_CANCEL_SWEEP is set.
inline bool sweep_wanted() {
  return std::getenv("WEFT_CANCEL_SWEEP") != nullptr;
}

// Whether a body is being run to be cancelled somewhere.
inline bool& sweeping() {
  static bool sweeping = false;
  return sweeping;
}

// What has been swept in this process so far.
struct SweepTotal {
  std::size_t tests = 0;
  std::size_t checkpoints = 0;
  std::size_t runs = 0;
};
inline SweepTotal& sweep_total() {
  static SweepTotal total;
  return total;
}

// cancel_sweep() of a test's body: whatever it expects does not count in the cancelled runs, for a
// body that is cut short does not do what it should. Notes the number of checkpoints as a property
// of the test, and adds it to sweep_total().
//
// Blocks: the thread, until all runs are over.
// Cancel: does not apply.
// Threads: any, outside a run.
inline void sweep_fiber_test(void (*body)()) {
  if (::testing::Test::HasFailure() || ::testing::Test::IsSkipped()) return;
  struct Ended {
    ~Ended() { sweeping() = false; }
  } const ended;
  try {
    CancelSweepResult swept;
    {
      ::testing::TestPartResultArray expectations;
      const ::testing::ScopedFakeTestPartResultReporter elsewhere(&expectations);
      sweeping() = true;
      swept = cancel_sweep(body, {.most = 200, .effort = 50'000, .may_throw = true});
    }
    sweep_total().tests += swept.checkpoints > 0 ? 1 : 0;
    sweep_total().checkpoints += swept.checkpoints;
    sweep_total().runs += swept.runs;
    ::testing::Test::RecordProperty("swept_checkpoints", std::to_string(swept.checkpoints));
  } catch (...) {
    ADD_FAILURE() << "swept: " << format_exception(std::current_exception());
  }
}

// Whether WEFT_FAULT_SWEEP is set.
inline bool fault_sweep_wanted() {
  return std::getenv("WEFT_FAULT_SWEEP") != nullptr;
}

// Whether a body is being run to let something fail.
inline bool& fault_sweeping() {
  static bool sweeping = false;
  return sweeping;
}

// What has been let fail in this process so far.
struct FaultTotal {
  std::size_t tests = 0;
  std::size_t calls = 0;
  std::size_t allocations = 0;
  std::size_t runs = 0;
};
inline FaultTotal& fault_total() {
  static FaultTotal total;
  return total;
}
inline void add_to_total(const FaultSweepResult& swept) {
  fault_total().tests += swept.runs > 0 ? 1 : 0;
  fault_total().calls += swept.calls;
  fault_total().allocations += swept.allocations;
  fault_total().runs += swept.runs;
}

// fault_sweep() of a test's body: neither what it expects nor what it throws counts then; tasks,
// descriptors, memory and deadlocks do.
//
// Blocks: the thread, until all runs are over.
// Cancel: does not apply.
// Threads: any, outside a run.
inline void fault_sweep_fiber_test(void (*body)()) {
  if (::testing::Test::HasFailure() || ::testing::Test::IsSkipped()) return;
  struct Ended {
    ~Ended() { fault_sweeping() = false; }
  } const ended;
  try {
    FaultSweepResult swept;
    {
      ::testing::TestPartResultArray expectations;
      const ::testing::ScopedFakeTestPartResultReporter elsewhere(&expectations);
      fault_sweeping() = true;
      swept = fault_sweep(body, {.most = 300, .may_throw = true, .own_thread = false});
    }
    add_to_total(swept);
    ::testing::Test::RecordProperty("faults", std::to_string(swept.runs));
  } catch (...) {
    ADD_FAILURE() << "fault-swept: " << format_exception(std::current_exception());
  }
}

// explore() as EXPLORE_TEST does it: what GoogleTest notes counts as a failure, and the exploration
// has to reach its end.
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
  } catch (...) {
    ADD_FAILURE() << format_exception(std::current_exception());
  }
  const std::string left = since.find();
  EXPECT_TRUE(left.empty()) << left;
  return result;
}

// Why the present test may leave something over; empty: it may not.
inline std::string& may_leave_over() {
  static std::string why;
  return why;
}

// Fails each test that leaves something over: a task, a stack, a descriptor. What the first use of
// a library opens for good is no fault of the test that happens to come first: use it before.
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

// A body that is run in every schedule there is. It may use `exploration`; see explore.h.
#define EXPLORE_TEST(Suite, Claim)                                                        \
  static void weft_explore_test_##Suite##_##Claim(::weft::fibers::testing::Exploration&); \
  TEST(Suite, Claim) {                                                                    \
    ::weft::fibers::testing::explore_test(&weft_explore_test_##Suite##_##Claim);          \
  }                                                                                       \
  static void weft_explore_test_##Suite##_##Claim(                                        \
      [[maybe_unused]] ::weft::fibers::testing::Exploration& exploration)

// In a test which is about something that stays: LeftOverListener does not look after it.
#define WEFT_LEAVES_OVER(why) ::weft::fibers::testing::may_leave_over() = (why)

// At the beginning of a FIBER_TEST whose body cannot be cut short anywhere and still end, because
// of what it is about: it is not swept.
#define WEFT_NOT_SWEPT(why) \
  if (::weft::fibers::testing::sweeping()) return

// At the beginning of a FIBER_TEST whose body cannot go on, or cannot end, when something in it
// fails: nothing is let fail.
#define WEFT_NOT_FAULT_SWEPT(why) \
  if (::weft::fibers::testing::fault_sweeping()) return

#define FIBER_TEST(Suite, Claim)                                                           \
  static void weft_fiber_test_##Suite##_##Claim();                                         \
  TEST(Suite, Claim) {                                                                     \
    ::weft::fibers::testing::run_fiber_test(&weft_fiber_test_##Suite##_##Claim);           \
    if (::weft::fibers::testing::sweep_wanted())                                           \
      ::weft::fibers::testing::sweep_fiber_test(&weft_fiber_test_##Suite##_##Claim);       \
    if (::weft::fibers::testing::fault_sweep_wanted())                                     \
      ::weft::fibers::testing::fault_sweep_fiber_test(&weft_fiber_test_##Suite##_##Claim); \
  }                                                                                        \
  static void weft_fiber_test_##Suite##_##Claim()
