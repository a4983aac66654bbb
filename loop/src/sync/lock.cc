// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/lock.h"

#include "loop/src/sync/lock_place.h"
#include "weft/fibers/errors.h"

namespace weft::loop {

bool Lock::try_acquire() noexcept {
  if (locked_ || !waiters_.all_cancelled()) return false;
  take();
  return true;
}

void Lock::take() noexcept {
  locked_ = true;
  turn_ = ++last_turn_;
}

Coro<void> Lock::acquire() {
  if (try_acquire()) co_return;
  Place place(*this, binding_.create_future("Lock"));
  co_await place.future();
  place.take();
}

Coro<Guard<Lock>> Lock::scoped() {
  if (!try_acquire()) co_await acquire();
  co_return Guard<Lock>(*this, turn_);
}

void Lock::release() {
  if (!locked_)
    throw fibers::UsageError("Lock is not acquired; release() it once for each acquire()");
  waiters_.require_own_thread();
  locked_ = false;
  waiters_.wake_first();
}

void Lock::release_turn(std::uint64_t turn) {
  if (locked_ && turn_ == turn) release();
}

}  // namespace weft::loop
