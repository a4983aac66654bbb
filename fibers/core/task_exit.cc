// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/detail/task_exit.h"
#include "fibers/core/current_scheduler.h"

namespace weft::fibers::detail {

void TaskBlock::add_exit(TaskExit& link) {
  link.next_ = exits;
  link.before_ = &exits;
  if (exits != nullptr) exits->before_ = &link.next_;
  exits = &link;
}

void TaskBlock::run_exits() noexcept {
  while (TaskExit* first = exits) {
    first->unlink();
    first->call_(*first, *this);
  }
}

void link_exit(TaskExit& link, Task& task) {
  block_of(task).add_exit(link);
}

Task& link_exit(TaskExit& link) {
  TaskBlock& me = current_scheduler().running_task();
  me.add_exit(link);
  return me;
}

}  // namespace weft::fibers::detail
