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
// task tree. Afterwards no stack and no descriptor may be left over.

#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <filesystem>
#include <iterator>

#include "weft/fibers/exception_group.h"
#include "weft/fibers/run.h"
#include "weft/fibers/testing/mock_clock.h"

namespace weft::fibers::testing {

inline std::ptrdiff_t open_descriptors() {
  const std::filesystem::directory_iterator entries("/proc/self/fd");
  return std::distance(begin(entries), end(entries));
}

// Runs `body` as FIBER_TEST does.
//
// Blocks: the thread, until the run is over.
// Cancel: does not apply.
// Threads: any, outside a run.
template <class Body>
void run_fiber_test(Body&& body, RunOptions options = {}) {
  MockClock clock(0.0, Duration::zero());
  if (options.clock == nullptr) options.clock = &clock;
  const std::ptrdiff_t descriptors = open_descriptors();
  const std::size_t stacks = stack_statistics().in_use;
  try {
    run(std::forward<Body>(body), options);
  } catch (...) {
    ADD_FAILURE() << "the test's body threw " << describe_exception(std::current_exception());
  }
  EXPECT_EQ(stack_statistics().in_use, stacks) << "stacks left over";
  EXPECT_EQ(open_descriptors(), descriptors) << "descriptors left over";
}

}  // namespace weft::fibers::testing

#define FIBER_TEST(Suite, Claim)                                                 \
  static void weft_fiber_test_##Suite##_##Claim();                               \
  TEST(Suite, Claim) {                                                           \
    ::weft::fibers::testing::run_fiber_test(&weft_fiber_test_##Suite##_##Claim); \
  }                                                                              \
  static void weft_fiber_test_##Suite##_##Claim()
