// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What Ctrl-C does in this program. Not for use outside weft.

#pragma once

#include "weft/fibers/detail/requirements.h"

namespace weft::fibers::detail {

// Whether nobody outside of weft has taken SIGINT: it does what it does by default, or asks a run,
// which may be suspended.
bool interrupt_is_free() noexcept;

// To be called on the main thread by whoever has put back what SIGINT did before: runs that have
// begun meanwhile take it over from the default.
void interrupt_was_given_back() noexcept;

}  // namespace weft::fibers::detail
