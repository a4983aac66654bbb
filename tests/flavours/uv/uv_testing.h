// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What the tests of weft::uv share.

#pragma once

#include <gtest/gtest.h>
#include <uv.h>

#include "weft/fibers/testing/fiber_test.h"
#include "weft/uv/uv.h"

namespace weft::uv {

// Runs `body` as a guest of a loop, which must be empty afterwards; and in a loop inside weft's.
void in_guest(void (*body)());
void in_nested(void (*body)());

}  // namespace weft::uv

// A test of both ways. The second is one of FIBER_TEST's.
#define UV_TEST(Claim)                            \
  static void weft_uv_test_##Claim();             \
  TEST(UvGuestTest, Claim) {                      \
    ::weft::uv::in_guest(&weft_uv_test_##Claim);  \
  }                                               \
  FIBER_TEST(UvNestedTest, Claim) {               \
    ::weft::uv::in_nested(&weft_uv_test_##Claim); \
  }                                               \
  static void weft_uv_test_##Claim()
