// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// An eventfd that interrupts the run's wait for I/O. Any thread and any signal handler may call it.
//
// A thread that is awake looks at its queue before it waits; telling it would be two system calls
// for nothing. So whoever waits says so first, and wake() writes only then. A host that waits for a
// guest's descriptors may do so at any time, and does not say: for it the wake-up is clear()ed.

#pragma once

#include <atomic>

namespace weft::fibers::detail {

class Wakeup {
 public:
  Wakeup();
  Wakeup(const Wakeup&) = delete;
  Wakeup& operator=(const Wakeup&) = delete;
  ~Wakeup();

  int fd() const { return fd_; }
  // Writes once for each about_to_wait() and each clear(): a burst costs one system call.
  void wake() noexcept;

  // --- The run's thread: one that waits itself. ---
  // From here on wake() writes. To be called before looking, for the last time, at what might have
  // come.
  void about_to_wait() noexcept { signalled_.exchange(false); }
  // It is over. A write that comes late ends the next wait before anything has happened.
  void awake() noexcept { signalled_.store(true, std::memory_order_relaxed); }

  // --- The run's thread: one whose host waits. ---
  // To be called before looking at what the wake-up was for.
  void clear() noexcept;

 private:
  int fd_;
  std::atomic<bool> signalled_{false};
};

}  // namespace weft::fibers::detail
