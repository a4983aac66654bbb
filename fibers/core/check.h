// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Checks that stay on in release builds. The caller's mistake is WEFT_REQUIRE and throws
// UsageError; ours is WEFT_ASSERT and ends the process, with the state and a request to report it.

#pragma once

#include <string>

#include "weft/fibers/errors.h"

namespace weft::fibers::detail {

[[noreturn, gnu::cold]] void throw_usage_error(const char* what);
[[noreturn, gnu::cold]] void throw_system_error(int error, const char* what);
[[noreturn, gnu::cold]] void broken_invariant(const char* condition, const char* file, int line);

}  // namespace weft::fibers::detail

#define WEFT_REQUIRE(condition, what)                  \
  do {                                                 \
    if (!(condition)) [[unlikely]]                     \
      ::weft::fibers::detail::throw_usage_error(what); \
  } while (false)

#define WEFT_ASSERT(condition)                                                  \
  do {                                                                          \
    if (!(condition)) [[unlikely]]                                              \
      ::weft::fibers::detail::broken_invariant(#condition, __FILE__, __LINE__); \
  } while (false)
