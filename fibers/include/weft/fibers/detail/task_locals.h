// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The values of a task's context variables: a counted, immutable list, shared with the tasks that
// inherit it and with the callbacks that are scheduled with it. Not for use outside weft.

#pragma once

#include <cstdint>
#include <memory>

#include "weft/fibers/detail/requirements.h"

namespace weft::fibers::detail {

struct TaskLocals {
  std::uint64_t var;
  std::shared_ptr<void> value;
  TaskLocals* next;
  std::uint32_t uses;  // Of one thread.
};

// Of a list that nobody uses any more.
void delete_locals(TaskLocals* locals) noexcept;

// Inline: with an open loop each callback has such a list.
inline TaskLocals* share_locals(TaskLocals* locals) noexcept {
  if (locals != nullptr) ++locals->uses;
  return locals;
}
inline void release_locals(TaskLocals* locals) noexcept {
  if (locals != nullptr && --locals->uses == 0) [[unlikely]]
    delete_locals(locals);
}

}  // namespace weft::fibers::detail
