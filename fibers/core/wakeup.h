// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// An eventfd that interrupts the run's wait for I/O. Any thread and any signal handler may call it.

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
  // Writes only if nobody has since the last clear(): a burst costs one system call.
  void wake() noexcept;
  // To be called before looking at what the wake-up was for.
  void clear() noexcept;

 private:
  int fd_;
  std::atomic<bool> signalled_{false};
};

}  // namespace weft::fibers::detail
