// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The options of a socket: an int, or whatever the system keeps there as bytes.

#pragma once

#include <sys/socket.h>

#include <cerrno>
#include <cstddef>
#include <string>
#include <string_view>

#include "fibers/src/net/waiting_call.h"
#include "fibers/sys/sys.h"

namespace weft::fibers::detail {

inline int int_option(int fd, int level, int option) {
  int value = 0;
  socklen_t size = sizeof value;
  if (sys::getsockopt(fd, level, option, &value, &size) != 0) throw_errno(errno, "getsockopt");
  return value;
}

inline std::string option_bytes(int fd, int level, int option, std::size_t size) {
  std::string value(size, '\0');
  auto length = static_cast<socklen_t>(size);
  if (sys::getsockopt(fd, level, option, value.data(), &length) != 0) {
    throw_errno(errno, "getsockopt");
  }
  value.resize(length);
  return value;
}

inline void set_option(int fd, int level, int option, const void* value, std::size_t size) {
  if (sys::setsockopt(fd, level, option, value, static_cast<socklen_t>(size)) != 0) {
    throw_errno(errno, "setsockopt");
  }
}

}  // namespace weft::fibers::detail
