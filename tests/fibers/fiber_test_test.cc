// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/testing/fiber_test.h"

#include <fcntl.h>
#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <optional>
#include <stdexcept>

#include "weft/fibers/greenlet.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

using namespace std::chrono_literals;
using testing::run_fiber_test;

// trio: test_testing.py::test_trio_test
FIBER_TEST(FiberTestTest, ItsBodyIsTheMainTaskOfARunWithAClockThatJumps) {
  EXPECT_EQ(current_task().name(), "main");
  const Instant start = current_time();
  sleep(24h);
  EXPECT_EQ(current_time(), start + 24h);
  EXPECT_EQ(current_clock().autojump_threshold(), Duration::zero());
}

TEST(FiberTestTest, TheCallersOptionsAreKept) {
  testing::MockClock clock;
  clock.set_autojump_threshold(Duration::zero());
  run_fiber_test([&clock] { EXPECT_EQ(&current_clock(), &clock); }, {.clock = &clock});
}

TEST(FiberTestTest, WhatTheBodyThrowsAndLeavesOpenFailsTheTest) {
  EXPECT_NONFATAL_FAILURE(run_fiber_test([] { throw std::runtime_error("the body's own"); }),
                          "the body's own");
  EXPECT_NONFATAL_FAILURE(run_fiber_test([] { sleep_forever(); }), "can ever happen again");
  static int left_open = -1;
  EXPECT_NONFATAL_FAILURE(run_fiber_test([] { left_open = ::open("/dev/null", O_CLOEXEC); }),
                          "/dev/null, is left over");
  ::close(left_open);
}

// A run in a greenlet that has left it; the greenlet goes on when it is dropped.
TEST(FiberTestTest, TasksAndStacksThatAreLeftOverFailTheTest) {
  static std::optional<Greenlet> left;
  static const auto leave_a_run_behind = [] {
    left.emplace([] {
      const Greenlet outside = getcurrent().parent();
      run([&] { outside.switch_to(); });
    });
    left->switch_to();
  };
  EXPECT_NONFATAL_FAILURE(run_fiber_test(leave_a_run_behind), "task 'main' #");
  left.reset();
  EXPECT_NONFATAL_FAILURE(run_fiber_test(leave_a_run_behind), "stacks are left over");
  left.reset();
}

// What the listener of this program does around each TEST.
TEST(FiberTestTest, TheListenerFailsATestThatLeavesSomethingOver) {
  static testing::LeftOverListener listener;
  static ::testing::TestEventListener& looks = listener;
  const ::testing::TestInfo& me = *::testing::UnitTest::GetInstance()->current_test_info();
  looks.OnTestStart(me);
  looks.OnTestEnd(me);
  static int fd = -1;
  fd = ::open("/dev/null", O_CLOEXEC);
  static const ::testing::TestInfo* const test = &me;
  EXPECT_NONFATAL_FAILURE(looks.OnTestEnd(*test), "/dev/null, is left over");
  WEFT_LEAVES_OVER("what this is about");
  looks.OnTestEnd(me);
  testing::may_leave_over().clear();
  ::close(fd);
}

}  // namespace
}  // namespace weft::fibers
