// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "loop/core/wait_list.h"

namespace weft::loop::detail {

void WaitList::wait(Entry& entry, const char* what) {
  entry.task = &fibers::current_task();
  link(entry);
  // Also when the wait is refused before it begins.
  struct Unlink {
    WaitList& list;
    Entry& entry;
    ~Unlink() { list.unlink(entry); }
  } unlink_at_end{*this, entry};
  fibers::wait_task_rescheduled(
      [&](const fibers::RaiseCancel&) {
        unlink(entry);
        return fibers::Abort::kSucceeded;
      },
      {what, -1, this});
}

void WaitList::wake(Entry& entry) {
  if (!entry.linked) return;
  unlink(entry);
  fibers::reschedule(*entry.task);
}

void WaitList::wake_all() {
  while (first_ != nullptr) wake(*first_);
}

void WaitList::link(Entry& entry) noexcept {
  entry.linked = true;
  entry.next = nullptr;
  entry.prev = last_;
  (last_ != nullptr ? last_->next : first_) = &entry;
  last_ = &entry;
}

void WaitList::unlink(Entry& entry) noexcept {
  if (!entry.linked) return;
  entry.linked = false;
  (entry.prev != nullptr ? entry.prev->next : first_) = entry.next;
  (entry.next != nullptr ? entry.next->prev : last_) = entry.prev;
}

}  // namespace weft::loop::detail
