// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/testing/fiber_test.h"

#include <fcntl.h>
#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <stdexcept>

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
                          "descriptors left over");
  ::close(left_open);
}

}  // namespace
}  // namespace weft::fibers
