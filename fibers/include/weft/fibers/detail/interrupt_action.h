// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What Ctrl-C does in this program. Not for use outside weft.

#pragma once

#include "weft/fibers/detail/requirements.h"

namespace weft::fibers::detail {

// Whether nobody outside of weft has taken SIGINT: it does what it does by default, or asks a run,
// which may be suspended.
bool interrupt_is_free() noexcept;

}  // namespace weft::fibers::detail
