// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What it means when accept() fails.

#pragma once

#include <algorithm>
#include <array>
#include <cerrno>

namespace weft::fibers::detail {

// A connection that died before it was accepted, or the network: the next one may well be good.
inline bool concerns_one_connection(int error) {
  constexpr std::array kSkipped = {EPERM,       ECONNABORTED, EPROTO,    ENETDOWN,
                                   ENOPROTOOPT, EHOSTDOWN,    ENONET,    EHOSTUNREACH,
                                   EOPNOTSUPP,  ENETUNREACH,  ETIMEDOUT, EINTR};
  return std::find(kSkipped.begin(), kSkipped.end(), error) != kSkipped.end();
}

// The machine or the process is full: waiting may help. (ENOSPC: this user may have epoll watch no
// more descriptors.)
inline bool is_capacity_error(int error) {
  return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS ||
         error == ENOSPC;
}

}  // namespace weft::fibers::detail
