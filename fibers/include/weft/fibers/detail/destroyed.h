// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// For destructors of what tasks use. Not for use outside weft.

#pragma once

#include "weft/fibers/detail/requirements.h"

namespace weft::fibers {

class Task;

namespace detail {

// Ends the process, and says why: `task`, null if it is not known, `does` something with the
// `object`, which is being destroyed. It would go on with freed memory.
[[noreturn, gnu::cold]] void destroyed_in_use(const char* kind, const void* object,
                                              const Task* task, const char* does) noexcept;

}  // namespace detail
}  // namespace weft::fibers
