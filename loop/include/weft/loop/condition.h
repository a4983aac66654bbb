// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Waiting, with a lock, for something to become true.
//
//   Condition changed;
//   auto guard = co_await changed.scoped();                       // async with changed
//   co_await changed.wait_for([&] { return !jobs.empty(); });     // in one task
//
//   auto guard = co_await changed.scoped();                       // in another
//   jobs.push_back(job);
//   changed.notify();
//
// (asyncio.Condition.)

#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <type_traits>
#include <utility>

#include "weft/loop/coro.h"
#include "weft/loop/detail/waiters.h"
#include "weft/loop/lock.h"

namespace weft::loop {

class Barrier;

// A Lock, its own or one that it is given, and those who have released it to be notified. The first
// wait() binds it, and its lock, to the running loop. A resource: neither copied nor moved.
class Condition {
 public:
  Condition() : own_(std::in_place), lock_(&*own_) {}
  // Several conditions may share a lock, which outlives them.
  explicit Condition(Lock& lock) : lock_(&lock) {}
  // Bound from the beginning: for tasks of fibers, which have no running loop.
  explicit Condition(EventLoop& loop) : own_(std::in_place, loop), lock_(&*own_), binding_(loop) {}
  Condition(const Condition&) = delete;
  Condition& operator=(const Condition&) = delete;

  // As those of its lock.
  //
  // Blocks: whoever awaits it, until it is their turn.
  // Cancel: before any effect; if it was woken already, the next in the line is woken instead.
  // Threads: the loop's own only.
  Coro<void> acquire() { return lock_->acquire(); }
  Coro<Guard<Lock>> scoped() { return lock_->scoped(); }
  bool locked() const { return lock_->locked(); }
  void release() { lock_->release(); }

  // Releases the lock, waits for notify(), and acquires the lock again, whether it returns or
  // throws. A task that was notified and throws passes the notification on to the next one. So
  // wait() may return although nothing has changed: look again, or call wait_for(). Throws
  // UsageError unless somebody holds the lock. A coroutine that is destroyed while it waits,
  // because its loop is closed, does not have the lock; a guard takes account of that.
  // (CPython 3.13; before that a notification could be lost.)
  //
  // Blocks: whoever awaits it, always.
  // Cancel: thrown when it has the lock again, however often it is cancelled until then.
  // Threads: the loop's own only.
  Coro<void> wait();
  // wait() until `predicate()` is true; returns what it returned. Called with the lock held, at
  // least once. Keeps `predicate` for as long as it waits.
  //
  // Blocks: whoever awaits it, unless the predicate is true at once.
  // Cancel: as wait().
  // Threads: the loop's own only.
  template <class P>
  Coro<std::decay_t<std::invoke_result_t<P&>>> wait_for(P predicate) {
    for (;;) {
      auto result = std::invoke(predicate);
      if (result) co_return result;
      co_await wait();
    }
  }
  // Wakes those who have waited longest, `n` at the most. They go on when they have the lock. Both
  // throw UsageError unless somebody holds it.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the loop's own only.
  void notify(std::size_t n = 1);
  void notify_all();

 private:
  friend class Barrier;
  friend struct detail::SyncAccess;
  class Notified;
  void require_locked(const char* what) const;
  // Whoever holds the lock.
  void wake(std::size_t n) noexcept;

  std::optional<Lock> own_;
  Lock* lock_;
  detail::LoopBinding binding_;
  detail::Waiters waiters_;
};

}  // namespace weft::loop
