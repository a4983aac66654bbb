// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// How code of another library is told apart from tasks and callbacks. Not for use outside weft: see
// current_async_library().

#pragma once

#include "weft/fibers/detail/requirements.h"

namespace weft::shim::detail {

// What current_async_library() answers to code of this thread that is neither in a task nor in a
// callback of a loop; null for an error. Kept as a pointer. Returns the one before.
const char* set_foreign_flavour(const char* name) noexcept;

}  // namespace weft::shim::detail
