// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/semaphore.h"

#include <utility>

#include "weft/fibers/errors.h"

namespace weft::loop {

// What it was given is its own once it runs. In the end it wakes those who had to wait behind it
// for the sake of the order alone.
class Semaphore::Place : public detail::Waiter {
 public:
  Place(Semaphore& semaphore, Future<void> future) noexcept
      : detail::Waiter(semaphore.waiters_, std::move(future)), semaphore_(semaphore) {}
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  ~Place() {
    leave();
    if (woken() && !taken_) ++semaphore_.value_;
    while (semaphore_.value_ > 0 && semaphore_.wake_next()) {
    }
  }
  void take() noexcept { taken_ = true; }

 private:
  Semaphore& semaphore_;
  bool taken_ = false;
};

Semaphore::Semaphore(std::ptrdiff_t value) : Semaphore({}, value, false) {}

Semaphore::Semaphore(EventLoop& loop, std::ptrdiff_t value)
    : Semaphore(detail::LoopBinding(loop), value, false) {}

Semaphore::Semaphore(detail::LoopBinding binding, std::ptrdiff_t value, bool bounded)
    : binding_(std::move(binding)),
      value_(value),
      bound_(bounded ? value : std::numeric_limits<std::ptrdiff_t>::max()) {
  if (value < 0) throw fibers::UsageError("Semaphore initial value must be >= 0");
}

bool Semaphore::try_acquire() noexcept {
  if (locked()) return false;
  --value_;
  return true;
}

Coro<void> Semaphore::acquire() {
  if (try_acquire()) co_return;
  Place place(*this, binding_.create_future("Semaphore"));
  co_await place.future();
  place.take();
}

Coro<Guard<Semaphore>> Semaphore::scoped() {
  if (!try_acquire()) co_await acquire();
  co_return Guard<Semaphore>(*this, 0);
}

bool Semaphore::wake_next() noexcept {
  if (!waiters_.wake_next()) return false;
  --value_;
  return true;
}

void Semaphore::release() {
  if (value_ >= bound_) {
    throw fibers::UsageError(
        "BoundedSemaphore released too many times; release() it once for each acquire()");
  }
  waiters_.require_own_thread();
  ++value_;
  wake_next();
}

}  // namespace weft::loop
