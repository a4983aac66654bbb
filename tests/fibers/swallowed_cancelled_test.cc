// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/core/swallowed_cancelled.h"

#include <gmock/gmock.h>

#include <chrono>

#include "tests/support/captured_log.h"
#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/inspect.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

using std::chrono::seconds;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

void wait_and_swallow() {
  try {
    sleep_forever();
  } catch (...) {
  }
}

// The scope is main's, and main has done nothing wrong.
FIBER_TEST(SwallowedCancelledTest, TheOneWhoEndedAsIfNothingHadHappenedIsNamed) {
  const test::CapturedLog log;
  EXPECT_EQ(last_swallowed_cancelled(), "");
  move_on_after(seconds(1), [] {
    open_nursery([](Nursery& nursery) {
      nursery.start_soon([] { wait_and_swallow(); }, {.name = "greedy"});
      nursery.start_soon([] { checkpoint(); }, {.name = "innocent"});
    });
  });
  ASSERT_THAT(log.lines, SizeIs(1));
  EXPECT_THAT(log.lines[0],
              ContainsRegex("task 'greedy' #[0-9]+, started at .*:[0-9]+, swallowed a Cancelled"));
  EXPECT_EQ(last_swallowed_cancelled(), log.lines[0]);
}

FIBER_TEST(SwallowedCancelledTest, AnEarlierOneIsNotSuspectedAgain) {
  const test::CapturedLog log;
  // Here another task's Cancelled does arrive: nothing is amiss.
  move_on_after(seconds(1), [] {
    open_nursery([](Nursery& nursery) {
      nursery.start_soon([] { wait_and_swallow(); }, {.name = "greedy"});
      nursery.start_soon([] { sleep_forever(); });
    });
  });
  EXPECT_THAT(log.lines, IsEmpty());
  move_on_after(seconds(1), [] { wait_and_swallow(); });
  ASSERT_THAT(log.lines, SizeIs(1));
  EXPECT_THAT(log.lines[0], HasSubstr("task 'main'"));
}

FIBER_TEST(SwallowedCancelledTest, WhoNeverStopsIsNamedOnceWhileItGoesOn) {
  WEFT_NOT_FAULT_SWEPT("hundreds of runs of it take minutes");
  const test::CapturedLog log;
  CancelScope scope({.relative_deadline = seconds(1)});
  scope.run([&] {
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon(
          [&] {
            for (int i = 0; i < 3000; ++i) wait_and_swallow();
            EXPECT_THAT(log.lines, SizeIs(1));
            checkpoint();
          },
          {.name = "stubborn"});
    });
  });
  EXPECT_TRUE(scope.cancelled_caught());
  ASSERT_THAT(log.lines, SizeIs(1));
  EXPECT_THAT(log.lines[0],
              ContainsRegex("task 'stubborn' #[0-9]+, .*swallowed a Cancelled 1000 times"));
}

// Each of these is swallowed by its own scope, as it should.
FIBER_TEST(SwallowedCancelledTest, ManyThatAreMeantToEndAScopeAreNotCounted) {
  WEFT_NOT_FAULT_SWEPT("hundreds of runs of it take minutes");
  const test::CapturedLog log;
  for (int i = 0; i < 3000; ++i) move_on_after(seconds(1), [] { sleep_forever(); });
  EXPECT_THAT(log.lines, IsEmpty());
}

}  // namespace
}  // namespace weft::fibers
