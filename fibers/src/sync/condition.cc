// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/condition.h"

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/errors.h"

namespace weft::fibers {

namespace {
struct ConditionWaiter : detail::Waiter {
  bool notified = false;
};
}  // namespace

void Condition::need_lock() const {
  if (!lock_->held_by_me()) {
    throw UsageError(
        "this task must hold the lock of the Condition; take it with "
        "LockGuard guard(condition.lock())");
  }
}

// A task that is cancelled between the notification and the lock may have been told of the only
// item there is: the notification goes to the next task that waits. (Trio loses it; asyncio passes
// it on too.)
void Condition::wait() {
  need_lock();
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
  need_lock();
  for (; count > 0 && !waiting_.empty(); --count) {
    auto& first = static_cast<ConditionWaiter&>(*waiting_.pop_front());
    first.notified = true;
    lock_->waiting_.push_back(first);
    detail::rename_wait(first, {.what = "Lock.acquire", .on = lock_});
  }
}

}  // namespace weft::fibers
