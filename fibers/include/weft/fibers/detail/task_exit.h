// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What has to happen when a task ends. Not for use outside weft: see add_parking_lot_breaker.

#pragma once

#include "weft/fibers/detail/requirements.h"

namespace weft::fibers {
class Task;
}

namespace weft::fibers::detail {

// A link in the list of one task, which it leaves when it is destroyed. Part of whatever wants to
// know, so that joining and leaving allocate nothing: a lock does both each time it is held.
class TaskExit {
 public:
  // Called by the task's end, when the link is out of the list; must neither wait nor throw.
  using Call = void (*)(TaskExit& link, Task& ended) noexcept;

  explicit TaskExit(Call call) : call_(call) {}
  TaskExit(const TaskExit&) = delete;
  TaskExit& operator=(const TaskExit&) = delete;
  ~TaskExit() { unlink(); }

  void unlink() {
    if (before_ == nullptr) return;
    *before_ = next_;
    if (next_ != nullptr) next_->before_ = before_;
    before_ = nullptr;
  }

 private:
  friend class TaskBlock;
  TaskExit** before_ = nullptr;  // What points at this link; null outside a list.
  TaskExit* next_ = nullptr;
  Call call_;
};

// Puts `link`, which is in no list, into the list of `task` or of the running task, which the
// second returns: it costs no more than asking which one that is.
void link_exit(TaskExit& link, Task& task);
Task& link_exit(TaskExit& link);

}  // namespace weft::fibers::detail
