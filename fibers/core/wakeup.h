// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// An eventfd that interrupts the run's wait for I/O. Any thread and any signal handler may call it.
//
// A thread that is awake looks at its queue before it waits; telling it would be two system calls
// for nothing. So the run says that it is about to wait, and wake() writes only then. A host that
// waits for a guest's descriptors may do so at any time and does not say so: for it the run calls
// clear().
//
// A sandbox may refuse the write. Then wake() asks epoll to look at the eventfd for writing, which
// it always is ready for, and so ends the wait. If that is refused as well, the process ends with
// a message: the run would sleep for ever.

#pragma once

#include <atomic>
#include <cstdint>

namespace weft::fibers::detail {

class Wakeup {
 public:
  // The key of its events.
  static constexpr std::uint64_t kKey = ~std::uint64_t{0};

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
  // The wait is over. A write that comes late ends the next wait before anything has happened.
  void awake() noexcept { signalled_.store(true, std::memory_order_relaxed); }

  // --- The run's thread: one whose host waits. ---
  // To be called before looking at what the wake-up was for.
  void clear() noexcept {
    if (signalled_.load(std::memory_order_relaxed)) [[unlikely]]
      take_in();
  }

  // --- The I/O manager. ---
  // The epoll set that holds fd(), or -1. When this returns, no other thread uses the set before.
  void attach(int epoll_fd) noexcept;

 private:
  void take_in() noexcept;
  [[gnu::cold]] void write_failed(int error) noexcept;

  int fd_;
  std::atomic<bool> signalled_{false};
  std::atomic<int> epoll_fd_{-1};
  std::atomic<int> using_epoll_{0};  // How many threads do, in write_failed().
};

}  // namespace weft::fibers::detail
