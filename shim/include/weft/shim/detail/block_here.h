// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The block of open_loop that the calling code belongs to. Not for use outside weft: see
// current_loop().

#pragma once

#include "weft/fibers/detail/requirements.h"

namespace weft::shim {

class LoopBlock;

namespace detail {

// Null if there is none, or it has no loop any more.
LoopBlock* block_here();

}  // namespace detail
}  // namespace weft::shim
