// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The values of a task's context variables: a counted, immutable list, shared with the tasks that
// inherit it. (See weft/fibers/context_var.h.)

#pragma once

#include <cstdint>
#include <memory>

namespace weft::fibers::detail {

struct TaskLocals {
  const void* key;
  std::shared_ptr<void> value;
  TaskLocals* next;
  std::uint32_t uses;
};

TaskLocals* share_locals(TaskLocals* locals) noexcept;
void release_locals(TaskLocals* locals) noexcept;

}  // namespace weft::fibers::detail
