// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// An Event between threads: set by anybody, waited for by tasks of any run and by plain threads.
//
//   ThreadEvent ready;
//   std::thread worker([&] { warm_up(); ready.set(); drained.wait(); });    // blocks the thread
//   run([&] { ready.wait(); serve(); drained.set(); });                     // suspends the task
//
// Inside one run use Event, which costs neither a mutex nor an atomic. (AnyIO: none. To call into a
// run from a thread: from_thread, BlockingPortal.)

#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <vector>

#include "weft/fibers/clock.h"
#include "weft/fibers/detail/requirements.h"

namespace weft::fibers {

namespace detail {
struct WaitingTask;
}

// One-shot, like Event. A resource. Destroying it while a task waits for it ends the process; no
// plain thread may wait then either.
class ThreadEvent {
 public:
  ThreadEvent();
  ThreadEvent(const ThreadEvent&) = delete;
  ThreadEvent& operator=(const ThreadEvent&) = delete;
  ~ThreadEvent();

  // Once true it stays so; what was done before set() is seen by whoever sees it.
  bool is_set() const;

  // Lets everyone go who waits. Idempotent.
  //
  // Blocks: no, but for the moment in which another thread looks.
  // Cancel: not a checkpoint.
  // Threads: any; not in signal handlers.
  void set();

  // Waits until it is set: a task is suspended, a plain thread is blocked. Throws UsageError in a
  // callback of a run's scheduler, which must not block. While a task waits, its run counts a Token
  // as being out, so it is not taken for dead.
  //
  // Blocks: yes; in a task always a checkpoint.
  // Cancel: in a task at once; a plain thread cannot be cancelled.
  // Threads: any.
  void wait();
  // The same, but not for longer than `timeout`, of the run's clock in a task and of the machine's
  // in a plain thread. Returns whether it is set.
  //
  // Blocks: yes; in a task always a checkpoint.
  // Cancel: in a task at once; a plain thread cannot be cancelled.
  // Threads: any.
  bool wait_for(Duration timeout);

 private:
  static void refuse_in_callback();
  void wait_in_task();

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by the mutex.
  bool set_ = false;
  std::vector<std::shared_ptr<detail::WaitingTask>> tasks_;
};

}  // namespace weft::fibers
