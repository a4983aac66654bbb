// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What transports and servers do with errors, addresses and those who wait for them.

#pragma once

#include <sys/socket.h>

#include <exception>
#include <string>
#include <system_error>
#include <utility>

#include "weft/fibers/exception_group.h"
#include "weft/fibers/log.h"
#include "weft/fibers/socket_address.h"
#include "weft/loop/detail/transport_core.h"
#include "weft/loop/future.h"

namespace weft::loop::detail {

// Or the std::bad_alloc of making it.
inline std::exception_ptr system_error(int error, const char* what) noexcept {
  try {
    return std::make_exception_ptr(std::system_error(error, std::generic_category(), what));
  } catch (...) {
    return std::current_exception();
  }
}

inline bool is_system_error(const std::exception_ptr& error) noexcept {
  try {
    std::rethrow_exception(error);
  } catch (const std::system_error&) {
    return true;
  } catch (...) {
    return false;
  }
}

inline void warn(const char* message) noexcept {
  fibers::detail::log_quietly(fibers::LogLevel::kWarning, [&] { return std::string(message); });
}

inline void note(const char* message, const std::exception_ptr& error) noexcept {
  fibers::detail::log_quietly(fibers::LogLevel::kInfo, [&] {
    return std::string(message) + ": " + fibers::describe_exception(error);
  });
}

// Ends the future of who waits for a transport, if there is anybody.
inline void wake(Future<void>& waiting) {
  if (Future<void> waiter = std::exchange(waiting, {}); waiter && !waiter.done()) {
    waiter.set_result();
  }
}

// Empty if the system cannot tell.
template <class Getter>
fibers::SocketAddress ask_address(int fd, const Getter& getter) {
  fibers::SocketAddress address;
  auto size = static_cast<socklen_t>(fibers::SocketAddress::capacity());
  if (getter(fd, address.data(), &size) == 0) address.set_size(size);
  return address;
}

}  // namespace weft::loop::detail
