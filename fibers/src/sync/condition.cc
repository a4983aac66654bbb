// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/condition.h"

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/errors.h"

namespace weft::fibers {

void Condition::need_lock() const {
  if (!lock_->held_by_me()) {
    throw UsageError(
        "this task must hold the lock of the Condition; take it with "
        "LockGuard guard(condition.lock())");
  }
}

void Condition::wait() {
  need_lock();
  Lock& lock = *lock_;
  lock.release();
  detail::Waiter waiter;
  try {
    // Who was notified stands in the lock's queue by then: waking it hands the lock over.
    detail::wait_in(waiting_, waiter, {.what = "Condition.wait", .on = this});
  } catch (...) {
    CancelScope shielded({.shield = true});
    shielded.run([&] { lock.acquire(); });
    throw;
  }
}

void Condition::notify(std::size_t count) {
  need_lock();
  for (; count > 0 && !waiting_.empty(); --count) {
    detail::Waiter& first = *waiting_.pop_front();
    lock_->waiting_.push_back(first);
    detail::rename_wait(first, {.what = "Lock.acquire", .on = lock_});
  }
}

}  // namespace weft::fibers
