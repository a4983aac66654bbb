// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/lock.h"

#include "weft/fibers/errors.h"

namespace weft::fibers {

void Lock::refuse_second_acquire() const {
  if (held_by_me()) {
    throw UsageError(
        "this task holds the Lock already; a Lock cannot be taken twice, so split the "
        "function into one that locks and one that expects the lock");
  }
}

void Lock::acquire() {
  if (owner_ == nullptr) {
    checkpoint_if_cancelled();
    owner_ = &current_task();
    return cancel_shielded_checkpoint();
  }
  refuse_second_acquire();
  detail::Waiter waiter;
  detail::wait_in(waiting_, waiter, {.what = "Lock.acquire", .on = this});
}

void Lock::acquire_nowait() {
  if (owner_ != nullptr) {
    refuse_second_acquire();
    throw WouldBlock();
  }
  owner_ = &current_task();
}

void Lock::release() {
  if (!held_by_me()) {
    throw UsageError(
        "Lock::release was called by a task that does not hold the lock; let the task "
        "that acquired it release it");
  }
  owner_ = detail::wake_first(waiting_);
}

}  // namespace weft::fibers
