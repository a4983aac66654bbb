// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What a task does with the values of its context variables. (See weft/fibers/context_var.h.)

#pragma once

#include <cstdint>
#include <memory>

#include "weft/fibers/context_var.h"

namespace weft::fibers::detail {

// Gives `var` that value in the list, whose other users see no change.
void set_in_list(TaskLocals*& locals, std::uint64_t var, std::shared_ptr<void> value);

}  // namespace weft::fibers::detail
