// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/core/idle_waiters.h"

#include <utility>

#include "fibers/core/current_scheduler.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"

namespace weft::fibers {
namespace detail {

void IdleWaiters::add(IdleWaiter& waiter) {
  IdleWaiter** at = &first_;
  while (*at != nullptr && (*at)->cushion <= waiter.cushion) at = &(*at)->next;
  waiter.next = *at;
  *at = &waiter;
}

void IdleWaiters::remove(IdleWaiter& waiter) {
  IdleWaiter** at = &first_;
  while (*at != &waiter) at = &(*at)->next;
  *at = waiter.next;
}

[[gnu::cold]] void IdleWaiters::wake_first() {
  const Duration smallest = cushion();
  while (!empty() && cushion() == smallest) {
    TaskBlock& task = *std::exchange(first_, first_->next)->task;
    task.scheduler->wake(task);
  }
}

}  // namespace detail

void testing::wait_all_tasks_blocked(Duration cushion) {
  detail::Scheduler& scheduler = detail::scheduler_of_task();
  detail::IdleWaiters& waiters = scheduler.poller().idle_waiters();
  detail::IdleWaiter waiter{cushion, scheduler.running(), nullptr};
  waiters.add(waiter);
  wait_task_rescheduled(
      [&](const RaiseCancel&) {
        waiters.remove(waiter);
        return Abort::kSucceeded;
      },
      {"wait_all_tasks_blocked"});
}

}  // namespace weft::fibers
