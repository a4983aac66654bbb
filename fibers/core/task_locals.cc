// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/core/task_locals.h"

#include <utility>

#include "fibers/core/scheduler.h"

namespace weft::fibers::detail {

TaskLocals* share_locals(TaskLocals* locals) noexcept {
  if (locals != nullptr) ++locals->uses;
  return locals;
}

void release_locals(TaskLocals* locals) noexcept {
  while (locals != nullptr && --locals->uses == 0) {
    TaskLocals* next = locals->next;
    delete locals;
    locals = next;
  }
}

TaskLocals* share_own_locals() {
  return share_locals(scheduler_of_task().running()->locals);
}

TaskLocals* exchange_locals(TaskLocals* locals) {
  return std::exchange(scheduler_of_task().running()->locals, locals);
}

const void* find_local(const void* key) {
  for (TaskLocals* l = scheduler_of_task().running()->locals; l != nullptr; l = l->next) {
    if (l->key == key) return l->value.get();
  }
  return nullptr;
}

// Copies what lies in front of the old value, shares what lies behind: others see no change.
void set_local(const void* key, std::shared_ptr<void> value) {
  TaskBlock& task = *scheduler_of_task().running();
  TaskLocals* const old = task.locals;
  auto* first = new TaskLocals{key, std::move(value), nullptr, 1};
  TaskLocals** end = &first->next;
  TaskLocals* at = old;
  for (; at != nullptr && at->key != key; at = at->next) {
    *end = new TaskLocals{at->key, at->value, nullptr, 1};
    end = &(*end)->next;
  }
  *end = share_locals(at != nullptr ? at->next : nullptr);
  task.locals = first;
  release_locals(old);
}

}  // namespace weft::fibers::detail
