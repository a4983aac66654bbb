// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What a handle says of a call on one that is empty. Not for use outside weft.

#pragma once

#include "weft/fibers/detail/requirements.h"

namespace weft::loop::detail {

// Throws UsageError: "this <what> is empty: <why>".
[[noreturn]] void throw_empty(const char* what, const char* why);

// What can only have been moved from.
[[noreturn]] inline void throw_moved_from(const char* what) {
  throw_empty(what, "it has been moved from; use what it was moved to");
}

}  // namespace weft::loop::detail
