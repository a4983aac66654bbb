// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/detail/wait_queue.h"

#include <string>

#include "fibers/core/current_scheduler.h"
#include "fibers/core/park.h"
#include "weft/fibers/detail/returns.h"
#include "weft/fibers/errors.h"

namespace weft::fibers::detail {

// Refused once somebody has taken the waiter out: what it waits for is on its way.
static Abort leave_queue(void* waiter, const RaiseCancel&) {
  auto& leaving = *static_cast<Waiter*>(waiter);
  if (leaving.queue == nullptr) return Abort::kFailed;
  leaving.queue->remove(leaving);
  return Abort::kSucceeded;
}

WEFT_SWITCHES WEFT_RETURNS_AFTER_SWITCH void wait_in(WaitQueue& queue, Waiter& waiter,
                                                     const WaitingFor& waiting_for) {
  Scheduler& scheduler = scheduler_of_task();
  waiter.task = scheduler.running();
  queue.push_back(waiter);
  park(scheduler, &leave_queue, &waiter, waiting_for);
}

void wake(const Waiter& waiter) {
  TaskBlock& task = require_waiting(*waiter.task);
  task.scheduler->wake(task);
}

Task* wake_first(WaitQueue& queue) {
  Waiter* first = queue.pop_front();
  if (first == nullptr) return nullptr;
  Task* const task = first->task;
  wake(*first);
  return task;
}

void rename_wait(const Waiter& waiter, const WaitingFor& waiting_for) {
  block_of(*waiter.task).wait_info = waiting_for;
}

void fail_all(WaitQueue& queue, const std::exception_ptr& error) {
  while (Waiter* first = queue.pop_front()) reschedule(*first->task, error);
}

std::exception_ptr broken_resource(std::initializer_list<std::string_view> words) noexcept {
  try {
    std::string text;
    for (const std::string_view word : words) text += word;
    return std::make_exception_ptr(BrokenResourceError(text));
  } catch (...) {
    return std::current_exception();
  }
}

void fail_all_destroyed(WaitQueue& queue, const char* what) noexcept {
  if (queue.empty()) return;
  fail_all(queue, broken_resource({"the ", what, " was destroyed while tasks waited for it"}));
}

}  // namespace weft::fibers::detail
