// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// For whoever keeps an error for later. Not for use outside weft.

#pragma once

#include <exception>

#include "weft/fibers/detail/requirements.h"

namespace weft::fibers::detail {

// Called in a handler. Puts what is being handled into `kept`, except for its Cancelled, which is
// for a scope around this task and would be somebody else's at another place: that is thrown on.
void keep_current_error(std::exception_ptr& kept);

}  // namespace weft::fibers::detail
