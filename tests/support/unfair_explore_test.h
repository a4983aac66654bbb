// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// EXPLORE_TEST where any ready task may be next, and not only those whose turn it is.

#pragma once

#include <gtest/gtest.h>

#include "weft/fibers/testing/explore.h"
#include "weft/fibers/testing/fiber_test.h"

// At a border an end takes several turns, and a cancellation may come in each of them. By the rules
// of a run that would take one scenario for each turn; like this it takes one for all.
#define UNFAIR_EXPLORE_TEST(Suite, Claim)                                                         \
  static void weft_explore_test_##Suite##_##Claim();                                              \
  TEST(Suite, Claim) {                                                                            \
    ::weft::fibers::testing::explore_test(&weft_explore_test_##Suite##_##Claim, {.fair = false}); \
  }                                                                                               \
  static void weft_explore_test_##Suite##_##Claim()
