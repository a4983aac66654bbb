// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// FAULT_TEST(Suite, Claim) { ... }: a body that takes each fault well. What GoogleTest expects of
// it holds in every run that comes so far.

#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "weft/fibers/exception_group.h"
#include "weft/fibers/testing/fault_sweep.h"
#include "weft/fibers/testing/fiber_test.h"

namespace weft::fibers::testing {

inline void expect_no_fault_harms(const std::function<void()>& body,
                                  FaultSweepOptions options = {}) {
  options.failures = 20;
  try {
    const FaultSweepResult swept = fault_sweep(body, options);
    add_to_total(swept);
    EXPECT_GT(swept.runs, 0U);
    ::testing::Test::RecordProperty("faults", std::to_string(swept.runs));
  } catch (...) {
    ADD_FAILURE() << describe_exception(std::current_exception());
  }
}

}  // namespace weft::fibers::testing

#define FAULT_TEST(Suite, Claim)                                                        \
  static void weft_fault_test_##Suite##_##Claim();                                      \
  TEST(Suite, Claim) {                                                                  \
    ::weft::fibers::testing::expect_no_fault_harms(&weft_fault_test_##Suite##_##Claim); \
  }                                                                                     \
  static void weft_fault_test_##Suite##_##Claim()
