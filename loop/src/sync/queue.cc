// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/queue.h"

#include <algorithm>
#include <utility>

#include "weft/fibers/errors.h"

namespace weft::loop::detail {

// A waiter who is woken and does not come wakes the next one, if there is still what it was woken
// for.
class QueueCore::Turn : public Waiter {
 public:
  Turn(Waiters& line, Future<void> future, const QueueCore& queue) noexcept
      : Waiter(line, std::move(future)), line_(line), queue_(queue) {}
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  ~Turn() {
    leave();
    const bool in_vain = &line_ == &queue_.getters_ ? queue_.empty() : queue_.full();
    if (woken() && !comes_ && !in_vain) line_.wake_next();
  }
  void comes() noexcept { comes_ = true; }

 private:
  Waiters& line_;
  const QueueCore& queue_;
  bool comes_ = false;
};

void QueueCore::require_slot() const {
  getters_.require_own_thread();
  if (shut_down_) throw QueueShutDown();
  if (full()) throw QueueFull();
}

void QueueCore::added() noexcept {
  ++size_;
  ++unfinished_;
  finished_.clear();
  getters_.wake_next();
}

void QueueCore::require_item() const {
  putters_.require_own_thread();
  if (!empty()) return;
  if (shut_down_) throw QueueShutDown();
  throw QueueEmpty();
}

void QueueCore::removed() noexcept {
  --size_;
  putters_.wake_next();
}

Coro<void> QueueCore::wait_for_slot() {
  while (full()) {
    if (shut_down_) throw QueueShutDown();
    Turn turn(putters_, binding_.create_future("Queue"), *this);
    co_await turn.future();
    turn.comes();
  }
}

Coro<void> QueueCore::wait_for_item() {
  while (empty()) {
    if (shut_down_) throw QueueShutDown();
    Turn turn(getters_, binding_.create_future("Queue"), *this);
    co_await turn.future();
    turn.comes();
  }
}

void QueueCore::task_done() {
  if (unfinished_ == 0) {
    throw fibers::UsageError(
        "task_done() called too many times; call it once for each item that you have got");
  }
  done(1);
}

void QueueCore::done(std::size_t count) noexcept {
  unfinished_ -= count;
  if (unfinished_ == 0) finished_.set();
}

Coro<void> QueueCore::join() {
  return finished_.wait();
}

void QueueCore::shutdown(bool immediate) {
  getters_.require_own_thread();
  putters_.require_own_thread();
  shut_down_ = true;
  if (immediate) done(std::min(std::exchange(size_, 0), unfinished_));
  while (getters_.wake_next()) {
  }
  while (putters_.wake_next()) {
  }
}

}  // namespace weft::loop::detail
