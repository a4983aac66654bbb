// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/detail/wait_queue.h"

#include <string>

#include "weft/fibers/errors.h"

namespace weft::fibers::detail {

namespace {
Abort leave_queue(void* context, const RaiseCancel&) {
  auto& waiter = *static_cast<Waiter*>(context);
  waiter.queue->remove(waiter);
  return Abort::kSucceeded;
}
}  // namespace

void wait_in(WaitQueue& queue, Waiter& waiter, const WaitingFor& waiting_for) {
  waiter.task = &current_task();
  queue.push_back(waiter);
  wait_rescheduled(&leave_queue, &waiter, waiting_for);
}

Task* wake_first(WaitQueue& queue) {
  Waiter* first = queue.pop_front();
  if (first == nullptr) return nullptr;
  Task* task = first->task;
  reschedule(*task);
  return task;
}

void fail_all(WaitQueue& queue, const std::exception_ptr& error) {
  while (Waiter* first = queue.pop_front()) reschedule(*first->task, error);
}

void fail_all_destroyed(WaitQueue& queue, const char* what) noexcept {
  if (queue.empty()) return;
  fail_all(queue, std::make_exception_ptr(BrokenResourceError(
                      std::string("the ") + what + " was destroyed while tasks waited for it")));
}

}  // namespace weft::fibers::detail
