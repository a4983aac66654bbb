// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Mutual exclusion between the tasks of one run.
//
//   Lock lock;
//   {
//     LockGuard guard(lock);      // waits here
//     ...                         // may wait for other things, too
//   }                             // only releases, never waits
//
// Between two waits nobody interrupts a task: where no wait lies inside, no lock is needed.

#pragma once

#include <cstddef>
#include <exception>

#include "weft/fibers/detail/task_exit.h"
#include "weft/fibers/detail/wait_queue.h"

namespace weft::fibers {

class Condition;

struct LockStatistics {
  bool locked = false;
  Task* owner = nullptr;  // Null if not locked, or if the owner has ended.
  std::size_t tasks_waiting = 0;
};

// Knows its owner, and is fair: release() hands it straight to the task that has waited longest, so
// that nobody can push in. A task that ends without releasing its lock breaks it: all who wait for
// it, or for a Condition that uses it, now or later, get BrokenResourceError; its siblings hear of
// that before they hear that the nursery is cancelled. LockGuard cannot forget. A resource: neither
// copied nor moved. (Trio: Lock.)
class Lock : private detail::TaskExit {
 public:
  Lock() : TaskExit(&owner_ended) {}
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;
  // Tasks that wait get BrokenResourceError. Another task that holds it would release it later:
  // that ends the process.
  ~Lock();

  // Throws UsageError if this task holds the lock already, BrokenResourceError if its owner ended
  // without releasing it.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: before any effect; who is cancelled does not get the lock.
  // Threads: the run's own only.
  void acquire();
  // Throws WouldBlock if somebody holds it, and otherwise what acquire() does. (Trio: WouldBlock
  // also when the owner has ended.)
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the run's own only.
  void acquire_nowait();
  // Throws UsageError unless this task holds the lock.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the run's own only.
  void release();

  // True also when the owner ended without releasing it.
  bool locked() const { return owner_ != nullptr || broken_ != nullptr; }
  LockStatistics statistics() const {
    return {.locked = locked(), .owner = owner_, .tasks_waiting = waiting_.size()};
  }

 private:
  friend class Condition;
  bool held_by_me() const { return owner_ == &current_task(); }
  [[noreturn, gnu::cold, gnu::noinline]] void throw_broken() const;
  inline void take();  // In lock.cc, which alone calls it.
  static void owner_ended(TaskExit& lock, Task& owner) noexcept;

  Task* owner_ = nullptr;
  std::exception_ptr broken_;
  detail::WaitQueue waiting_;
  Condition* conditions_ = nullptr;  // Those that use this lock: a list.
};

// Holds a lock, semaphore or limiter for as long as it lives. Its end never waits.
template <class L>
class [[nodiscard]] Guard {
 public:
  // Acquires `lock`, which has to outlive the guard.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: before any effect.
  // Threads: the run's own only.
  explicit Guard(L& lock) : lock_(lock) { lock_.acquire(); }
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;
  // Must happen in the task that made the guard; anything else ends the process.
  ~Guard() { lock_.release(); }

 private:
  L& lock_;
};
using LockGuard = Guard<Lock>;

}  // namespace weft::fibers
