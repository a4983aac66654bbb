// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// socketpair(2) whose two ends belong to the run.

#pragma once

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <utility>

#include "fibers/src/net/waiting_call.h"
#include "fibers/sys/sys.h"
#include "weft/fibers/owned_fd.h"

namespace weft::fibers::detail {

// Throws std::system_error. Neither end is left open then.
inline std::pair<OwnedFd, OwnedFd> owned_socket_pair(int family, int type, int proto) {
  std::array<int, 2> fds{};
  if (sys::socketpair(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, proto, fds.data()) != 0) {
    throw_errno(errno, "socketpair");
  }
  OwnedFd first;
  try {
    first = OwnedFd(fds[0]);
  } catch (...) {
    sys::close(fds[1]);
    throw;
  }
  OwnedFd second(fds[1]);
  return {std::move(first), std::move(second)};
}

}  // namespace weft::fibers::detail
