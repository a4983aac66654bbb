// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A waiter of a Lock, for lock.cc and condition.cc.

#pragma once

#include <utility>

#include "weft/loop/lock.h"

namespace weft::loop {

// Whoever leaves without the lock, although nobody holds it, passes the turn on.
class Lock::Place : public detail::Waiter {
 public:
  Place(Lock& lock, Future<void> future) noexcept
      : detail::Waiter(lock.waiters_, std::move(future)), lock_(lock) {}
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  ~Place() {
    leave();
    if (!lock_.locked_) lock_.waiters_.wake_first();
  }
  void take() noexcept { lock_.take(); }

 private:
  Lock& lock_;
};

}  // namespace weft::loop
