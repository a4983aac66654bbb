// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The values of a task's context variables: a counted, immutable list, shared with the tasks that
// inherit it. (See weft/fibers/context_var.h.)

#pragma once

#include <cstdint>
#include <memory>

#include "weft/fibers/context_var.h"  // share_locals, release_locals

namespace weft::fibers::detail {

struct TaskLocals {
  std::uint64_t var;
  std::shared_ptr<void> value;
  TaskLocals* next;
  std::uint32_t uses;
};

// Gives `var` that value in the list, whose other users see no change.
void set_in_list(TaskLocals*& locals, std::uint64_t var, std::shared_ptr<void> value);

}  // namespace weft::fibers::detail
