// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What a nursery throws that its user does not know of: see Nursery::start. Not for use outside
// weft.

#pragma once

#include <exception>

#include "weft/fibers/exception_group.h"

namespace weft::fibers::detail {

// The one error of `group` that matters, out of its wrapping: a KeyboardInterrupt before all, else
// the only one that is no Cancelled, else the first Cancelled. Null if there are several. Groups
// inside `group` stay as they are.
std::exception_ptr lone_error(const BaseExceptionGroup& group);

}  // namespace weft::fibers::detail
