// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Whether backtrace() sees the stacks of parked tasks: not behind Boost.Context's switch, whose
// frames are not described to unwinders.

#pragma once

#include <gtest/gtest.h>

namespace weft::test {
bool parked_backtraces_work();
}

#define WEFT_NEEDS_PARKED_BACKTRACES()                    \
  if (!weft::test::parked_backtraces_work()) {            \
    GTEST_SKIP() << "no backtraces of parked tasks here"; \
  }                                                       \
  static_assert(true)
