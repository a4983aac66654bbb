// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Where backtrace() sees the stacks on which nobody stands: not behind Boost.Context's switch,
// whose frames are not described to unwinders.

#pragma once

#include <gtest/gtest.h>

#if defined(__x86_64__) && !defined(WEFT_FCONTEXT)
#define WEFT_NEEDS_PARKED_BACKTRACES() static_cast<void>(0)
#else
#define WEFT_NEEDS_PARKED_BACKTRACES() GTEST_SKIP() << "no backtraces of parked tasks here"
#endif
