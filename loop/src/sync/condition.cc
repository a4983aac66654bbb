// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/condition.h"

#include <exception>
#include <string>

#include "loop/src/sync/lock_place.h"
#include "weft/fibers/errors.h"

namespace weft::loop {

// Passes a notification on that has not become a return.
class Condition::Notified : public detail::Waiter {
 public:
  Notified(Condition& condition, Future<void> future) noexcept
      : detail::Waiter(condition.waiters_, std::move(future)), condition_(condition) {}
  Notified(const Notified&) = delete;
  Notified& operator=(const Notified&) = delete;
  ~Notified() {
    leave();
    if (woken() && !returns_) condition_.wake(1);
  }
  void returns() noexcept { returns_ = true; }

 private:
  Condition& condition_;
  bool returns_ = false;
};

// Both futures exist before the lock is released: taking it back needs no memory.
Coro<void> Condition::wait() {
  require_locked("cannot wait on un-acquired lock; acquire() it first");
  Notified notified(*this, binding_.create_future("Condition"));
  const auto again = lock_->binding_.create_lasting_future("Lock");
  const std::uint64_t turn = lock_->turn_;
  lock_->release();
  std::exception_ptr error;
  try {
    co_await notified.future();
  } catch (...) {
    error = std::current_exception();
  }
  notified.leave();
  std::exception_ptr late;
  if (!lock_->try_acquire()) {
    Lock::Place place(*lock_, again.first);
    try {
      co_await place.future();
    } catch (...) {
      late = std::current_exception();
    }
    // A task that is cancelled when it has been woken has the lock all the same. One that was not
    // woken waits for a loop that does not run any more.
    if (!place.woken()) std::rethrow_exception(late);
    place.take();
  }
  lock_->turn_ = turn;  // The guard that was made before is still the one that releases it.
  if (auto newer = again.second->take_cancellation()) error = std::move(newer);
  if (late != nullptr) error = std::move(late);
  if (error != nullptr) std::rethrow_exception(error);
  notified.returns();
}

void Condition::require_locked(const char* what) const {
  if (!locked()) throw fibers::UsageError(what);
}

void Condition::notify(std::size_t n) {
  require_locked("cannot notify on un-acquired lock; acquire() it first");
  waiters_.require_own_thread();
  wake(n);
}

void Condition::notify_all() {
  notify(waiters_.size());
}

void Condition::wake(std::size_t n) noexcept {
  while (n > 0 && waiters_.wake_next()) --n;
}

}  // namespace weft::loop
