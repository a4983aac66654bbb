// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Waiting for a state that a lock protects to change.
//
//   LockGuard guard(condition.lock());
//   while (queue.empty()) condition.wait();
//
// No wake-up is spurious, but between notify() and the end of wait() others may have held the lock:
// hence the loop. (Trio: Condition.)

#pragma once

#include <cstddef>
#include <limits>

#include "weft/fibers/lock.h"

namespace weft::fibers {

struct ConditionStatistics {
  std::size_t tasks_waiting = 0;
  LockStatistics lock_statistics;
};

// A resource: neither copied nor moved.
class Condition final {
 public:
  // With a lock of its own. Destroying such a one while a task waits ends the process: wait() would
  // take the lock again. With another's lock the tasks get BrokenResourceError.
  Condition() : Condition(&own_lock_) {}
  // With one shared with others, which has to outlive it.
  explicit Condition(Lock& lock) : Condition(&lock) {}
  Condition(const Condition&) = delete;
  Condition& operator=(const Condition&) = delete;
  ~Condition();

  Lock& lock() { return *lock_; }
  // The lock's own, for code that has only the condition at hand.
  //
  // Blocks: acquire() yes, always a checkpoint; the others no.
  // Cancel: before any effect.
  // Threads: the run's own only.
  void acquire() { lock_->acquire(); }
  void acquire_nowait() { lock_->acquire_nowait(); }
  void release() { lock_->release(); }
  bool locked() const { return lock_->locked(); }

  // Gives the lock away, waits to be notified, and takes the lock again. Throws UsageError unless
  // this task holds the lock, BrokenResourceError if the lock's owner ends meanwhile.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: takes the lock again first, which may wait in spite of the cancellation. A task that
  // had been notified by then passes the notification on to the next that waits: none is lost.
  // Threads: the run's own only.
  void wait();

  // Moves the `count` tasks that have waited longest to the queue of the lock: they go on one by
  // one once the caller has released it. A notified task that is cancelled before it has the lock
  // passes the notification on. Throws UsageError unless this task holds the lock.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the run's own only.
  void notify(std::size_t count = 1);
  void notify_all() { notify(std::numeric_limits<std::size_t>::max()); }

  ConditionStatistics statistics() const {
    return {.tasks_waiting = waiting_.size(), .lock_statistics = lock_->statistics()};
  }

 private:
  friend class Lock;
  explicit Condition(Lock* lock);

  Lock own_lock_;
  Lock* lock_;
  Condition* next_of_lock_;  // Another one with the same lock.
  detail::WaitQueue waiting_;
};

}  // namespace weft::fibers
