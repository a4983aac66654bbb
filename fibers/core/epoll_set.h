// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The epoll instance of a run, and what older kernels need to wait on it.

#pragma once

#include <sys/epoll.h>

#include <cstdint>

#include "fibers/core/found_events.h"
#include "weft/fibers/clock.h"

namespace weft::fibers::detail {

class EpollSet {
 public:
  // Throws std::system_error.
  EpollSet();
  EpollSet(const EpollSet&) = delete;
  EpollSet& operator=(const EpollSet&) = delete;
  ~EpollSet() { close(); }
  void close() noexcept;
  bool is_open() const { return fd_ >= 0; }
  int fd() const { return fd_; }

  // What epoll_ctl() returns, with errno.
  int control(int operation, int fd, std::uint32_t events, std::uint64_t key) noexcept;
  // Waits for events. The timeout is exact to the nanosecond on every kernel; Duration::max() waits
  // for ever, zero not at all. Any thread, one at a time.
  void wait(Duration timeout, FoundEvents& found) noexcept;

  // A descriptor for a host to wait for: readable while wait() would find something. It stays the
  // same through swap_with(). Made by the first call, which may throw std::system_error.
  int for_host();

  // Exchanges what the two sets hold. False, and nothing has changed, if the system refuses.
  bool swap_with(EpollSet& other) noexcept;

 private:
  int wait_for_some(Duration timeout, FoundEvents& found) noexcept;
  int wait_until_readable(Duration timeout, FoundEvents& found) noexcept;
  bool put_into_host_set(int fd) noexcept;

  int fd_;
  int host_fd_ = -1;  // An epoll set that holds this one.
  bool has_pwait2_;   // As far as we know.
  // What control() tells the system. Not on the stack of the task that calls: the kernel reads it
  // through a mapping of its own, and would have to look up a page that nobody else uses.
  epoll_event told_{};
};

}  // namespace weft::fibers::detail
