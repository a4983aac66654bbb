// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/condition.h"

#include <utility>

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/detail/destroyed.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/lowlevel.h"

namespace weft::fibers {

namespace {

struct ConditionWaiter : detail::Waiter {
  bool notified = false;
};

[[noreturn, gnu::cold]] void throw_lock_not_held() {
  throw UsageError(
      "this task must hold the lock of the Condition; take it with "
      "LockGuard guard(condition.lock())");
}

}  // namespace

Condition::Condition(Lock* lock)
    : lock_(lock), next_of_lock_(std::exchange(lock->conditions_, this)) {}

Condition::~Condition() {
  if (lock_ == &own_lock_) {
    for (const detail::WaitQueue* queue : {&waiting_, &own_lock_.waiting_}) {
      if (!queue->empty()) [[unlikely]]
        detail::destroyed_in_use("Condition", this, queue->front()->task, "waits for it");
    }
  }
  Condition** at = &lock_->conditions_;
  while (*at != this) at = &(*at)->next_of_lock_;
  *at = next_of_lock_;
  detail::fail_all_destroyed(waiting_, "Condition");
}

// A task that is cancelled between the notification and the lock may have been told of the only
// item there is: the notification goes to the next task that waits. (Trio loses it; asyncio passes
// it on too.)
void Condition::wait() {
  if (!lock_->held_by_me()) {
    checkpoint_if_cancelled();
    throw_lock_not_held();
  }
  Lock& lock = *lock_;
  lock.release();
  ConditionWaiter waiter;
  try {
    // A notified task stands in the lock's queue by then: waking it hands the lock over.
    detail::wait_in(waiting_, waiter, {.what = "Condition.wait", .on = this});
  } catch (...) {
    CancelScope shielded({.shield = true});
    shielded.run([&] { lock.acquire(); });
    if (waiter.notified) notify(1);
    throw;
  }
}

void Condition::notify(std::size_t count) {
  if (!lock_->held_by_me()) throw_lock_not_held();
  for (; count > 0 && !waiting_.empty(); --count) {
    auto& first = static_cast<ConditionWaiter&>(*waiting_.pop_front());
    first.notified = true;
    lock_->waiting_.push_back(first);
    detail::rename_wait(first, {.what = "Lock.acquire", .on = lock_});
  }
}

}  // namespace weft::fibers
