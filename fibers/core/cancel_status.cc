// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/core/cancel_status.h"

#include "fibers/core/check.h"
#include "fibers/core/scheduler.h"

namespace weft::fibers::detail {

void link_status(CancelStatus& status, CancelStatus* parent) {
  status.parent = parent;
  status.prev_sibling = nullptr;
  status.next_sibling = nullptr;
  if (parent == nullptr) return;
  status.next_sibling = parent->first_child;
  if (status.next_sibling != nullptr) status.next_sibling->prev_sibling = &status;
  parent->first_child = &status;
}

void unlink_status(CancelStatus& status) {
  if (status.next_sibling != nullptr) status.next_sibling->prev_sibling = status.prev_sibling;
  if (status.prev_sibling != nullptr) {
    status.prev_sibling->next_sibling = status.next_sibling;
  } else if (status.parent != nullptr) {
    status.parent->first_child = status.next_sibling;
  }
  status.parent = nullptr;
}

void link_task(TaskBlock& task, CancelStatus& status) {
  task.cancel_status = &status;
  task.prev_in_status = nullptr;
  task.next_in_status = status.first_task;
  if (task.next_in_status != nullptr) task.next_in_status->prev_in_status = &task;
  status.first_task = &task;
}

void link_first_task(TaskBlock& task, CancelStatus& status) {
  task.cancel_status = &status;
  task.prev_in_status = nullptr;
  task.next_in_status = nullptr;
  status.first_task = &task;
}

void unlink_task(TaskBlock& task) {
  if (task.next_in_status != nullptr) task.next_in_status->prev_in_status = task.prev_in_status;
  if (task.prev_in_status != nullptr) {
    task.prev_in_status->next_in_status = task.next_in_status;
  } else {
    task.cancel_status->first_task = task.next_in_status;
  }
}

namespace {

// Brings one status up to date. True if it changed, so that what is below has to follow.
bool refresh(CancelStatus& status) {
  const bool from_parent =
      status.parent != nullptr && status.sees_parent() && status.parent->effectively_cancelled;
  const bool cancelled = status.cancel_called || from_parent;
  if (cancelled == status.effectively_cancelled) return false;
  status.effectively_cancelled = cancelled;
  if (!cancelled) return true;
  // An abort function may reschedule a task, but not run it: the list stays as it is.
  for (TaskBlock* task = status.first_task; task != nullptr; task = task->next_in_status) {
    attempt_delivery(*task);
  }
  return true;
}

// The next status in a walk, parents first, that does not go below `status`; null at the end.
CancelStatus* next_beside(CancelStatus* status, const CancelStatus* root) {
  while (status != root) {
    if (status->next_sibling != nullptr) return status->next_sibling;
    status = status->parent;
  }
  return nullptr;
}

}  // namespace

// Iterative: scopes may be nested thousands deep.
void recalculate(CancelStatus& root) {
  for (CancelStatus* status = &root; status != nullptr;) {
    const bool descend = refresh(*status) && status->first_child != nullptr;
    status = descend ? status->first_child : next_beside(status, &root);
  }
}

void mark_cancelled(CancelStatus& status, std::shared_ptr<const CancelReason> reason) {
  if (status.cancel_called) return;
  status.cancel_called = true;
  status.reason = std::move(reason);
  if (status.entered_by != nullptr) recalculate(status);
}

void move_status_children(CancelStatus& from, CancelStatus& to, const TaskBlock* stays) {
  while (CancelStatus* child = from.first_child) {
    unlink_status(*child);
    link_status(*child, &to);
    recalculate(*child);
  }
  for (TaskBlock* task = from.first_task; task != nullptr;) {
    TaskBlock* next = task->next_in_status;
    if (task != stays) {
      unlink_task(*task);
      link_task(*task, to);
      attempt_delivery(*task);
    }
    task = next;
  }
}

// A status that the task did not enter itself lies outside everything that can unwind in it.
bool cancellation_due(const TaskBlock& task, unsigned uncaught) {
  const CancelStatus& status = *task.cancel_status;
  if (!status.effectively_cancelled) return false;
  return uncaught == 0 || (status.entered_by == &task && status.entry_uncaught >= uncaught);
}

bool cancellation_held_back(const TaskBlock& task, unsigned uncaught) {
  if (cancellation_due(task, uncaught)) return false;
  // Also by a scope that was entered while unwinding, such as that of a timeout.
  for (const CancelStatus* s = task.cancel_status; s != nullptr; s = s->parent) {
    if (s->effectively_cancelled) return true;
    if (s->shield) break;
  }
  return false;
}

void attempt_delivery(TaskBlock& task) noexcept {
  if (task.abort == nullptr) return;
  Scheduler& scheduler = *task.scheduler;
  std::shared_ptr<const CancelReason> reason = scheduler.interrupt().take(task);
  if (reason == nullptr) {
    if (!cancellation_due(task, task.uncaught(scheduler))) return;
    reason = catching_status(task).reason;
  }
  // At most once a wait, so it is taken off first.
  const AbortThunk abort = std::exchange(task.abort, nullptr);
  const PresentWait wait{task.wait_info, task.wait_slot, task.wait_type};
  task.aborting = &wait;
  const Abort answer = abort(task.abort_context, RaiseCancelAccess::make(reason));
  task.aborting = nullptr;
  if (answer == Abort::kFailed) {
    return scheduler.interrupt().give_back(std::move(reason));
  }
  task.wake = Wake::kCancelled;
  task.cancel_reason = std::move(reason);
  scheduler.make_ready(task);
}

// The outermost cancelled scope that sees no cancelled one above it is the one that swallows.
CancelStatus& catching_status(const TaskBlock& task) {
  CancelStatus* status = task.cancel_status;
  while (status->parent != nullptr && status->sees_parent() &&
         status->parent->effectively_cancelled) {
    status = status->parent;
  }
  return *status;
}

void note_delivery(TaskBlock& task) {
  catching_status(task).delivered = true;
  task.scheduler->swallowed().thrown_to(task);
}

}  // namespace weft::fibers::detail
