// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A non-blocking system call that waits, as a task does.

#pragma once

#include <poll.h>
#include <sys/types.h>

#include <cerrno>
#include <optional>
#include <string>
#include <system_error>

#include "fibers/sys/sys.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/fd_watch.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/owned_fd.h"

namespace weft::fibers::detail {

[[noreturn]] inline void throw_errno(int error, const std::string& what) {
  throw std::system_error(error, std::generic_category(), what);
}

inline void need_open(const OwnedFd& fd, const char* what) {
  if (!fd.is_open()) throw ClosedResourceError(std::string("this ") + what + " is closed");
}

// Whether one of `events` is there now, or an error that a call would give.
inline bool is_ready(int fd, short events) {
  pollfd asked{.fd = fd, .events = events, .revents = 0};
  const int ready = sys::uninterrupted([&] { return sys::poll(&asked, 1, 0); });
  if (ready < 0) throw_errno(errno, "poll");
  return ready > 0;
}

inline void wait_for(OwnedFd& fd, FdDirection direction) {
  direction == FdDirection::kRead ? fd.wait_readable() : fd.wait_writable();
}

// Makes `call`, which returns -1 and sets errno as system calls do, until it neither would block
// nor was interrupted; a checkpoint in any case. Nothing, with errno set, for other errors.
template <class Call>
std::optional<ssize_t> try_waiting_call(OwnedFd& fd, FdDirection direction, const char* what,
                                        Call&& call) {
  checkpoint_if_cancelled();
  for (bool waited = false;;) {
    need_open(fd, what);
    const ssize_t n = call();
    if (n >= 0) {
      if (!waited) cancel_shielded_checkpoint();
      return n;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN) return std::nullopt;
    wait_for(fd, direction);
    waited = true;
  }
}

}  // namespace weft::fibers::detail
