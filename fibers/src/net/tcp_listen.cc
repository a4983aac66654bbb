// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "fibers/src/net/accept_errors.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/log.h"
#include "weft/fibers/socket/socket_type.h"
#include "weft/fibers/tcp.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {

namespace {

constexpr Duration kCapacityRetry = std::chrono::milliseconds(100);
// With port 0 the first address gets a port that may be taken at another one.
constexpr int kPortAttempts = 10;

SocketListener listen_on(const SocketAddress& address, int backlog) {
  socket::SocketType opened = socket::socket(address.family(), SOCK_STREAM);
  // A server that is started again takes its port back at once.
  opened.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1);
  // Each family has a socket of its own.
  if (address.family() == AF_INET6) opened.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, 1);
  opened.bind(address);
  opened.listen(backlog);
  return SocketListener(std::move(opened));
}

// This machine does not have that kind of address at all, or in name only: IPv6 switched off, say.
bool lacks(const SocketAddress& address, const std::error_code& code) {
  return code.value() == EAFNOSUPPORT ||
         (code.value() == EADDRNOTAVAIL && address.family() == AF_INET6);
}

[[noreturn]] void throw_none_possible(std::vector<std::exception_ptr> errors,
                                      const std::error_code& first) {
  const std::string what = "this machine has none of the addresses to listen on";
  try {
    throw ExceptionGroup(what, std::move(errors));
  } catch (...) {
    std::throw_with_nested(std::system_error(first, what));
  }
}

void set_port(SocketAddress& address, std::uint16_t port) {
  // The port lies at the same place in both.
  static_assert(offsetof(sockaddr_in, sin_port) == offsetof(sockaddr_in6, sin6_port));
  static_cast<sockaddr_in*>(static_cast<void*>(address.data()))->sin_port = htons(port);
}

std::vector<SocketListener> listen_on_all(std::vector<SocketAddress> addresses, int backlog) {
  std::vector<SocketListener> listeners;
  std::vector<std::exception_ptr> errors;
  std::error_code first;
  for (SocketAddress& address : addresses) {
    if (address.port() == 0 && !listeners.empty()) {
      set_port(address, listeners.front().local_address().port());
    }
    try {
      listeners.push_back(listen_on(address, backlog));
    } catch (const std::system_error& error) {
      if (!lacks(address, error.code())) throw;
      if (errors.empty()) first = error.code();
      errors.push_back(std::current_exception());
    }
  }
  if (listeners.empty()) throw_none_possible(std::move(errors), first);
  return listeners;
}

bool is_full(const std::error_code& code) {
  const bool is_errno =
      code.category() == std::generic_category() || code.category() == std::system_category();
  return is_errno && detail::is_capacity_error(code.value());
}

}  // namespace

std::vector<SocketListener> open_tcp_listeners(std::uint16_t port,
                                               const TcpListenOptions& options) {
  checkpoint_if_cancelled();
  if (options.backlog < 1) throw UsageError("the backlog of a listener must be at least 1");
  const std::vector<SocketAddress> addresses = resolve_for_listening(options.host, port);
  if (addresses.empty()) {
    throw std::system_error(EADDRNOTAVAIL, std::generic_category(),
                            "no address to listen on for '" + options.host + "'");
  }
  const int backlog = std::min(options.backlog, kDefaultBacklog);
  for (int attempt = 1;; ++attempt) {
    try {
      return listen_on_all(addresses, backlog);
    } catch (const std::system_error& error) {
      const bool unlucky = port == 0 && error.code().value() == EADDRINUSE;
      if (!unlucky || attempt == kPortAttempts) throw;
    }
  }
}

namespace detail {
void wait_for_capacity() {
  try {
    throw;
  } catch (const std::system_error& error) {
    if (!is_full(error.code())) throw;
    log(LogLevel::kError,
        std::string("accept failed (") + error.what() + "); trying again in 100 milliseconds");
  }
  sleep(kCapacityRetry);
}
}  // namespace detail

void serve_tcp(std::function<void(SocketStream&)> handler, std::uint16_t port,
               const ServeTcpOptions& options, TaskStatus<std::uint16_t>& status) {
  std::vector<SocketListener> listeners =
      open_tcp_listeners(port, {.host = options.host, .backlog = options.backlog});
  status.started(listeners.front().local_address().port());
  serve_listeners(std::move(handler), std::move(listeners), options.handler_nursery);
}

void serve_tcp(std::function<void(SocketStream&)> handler, std::uint16_t port,
               const ServeTcpOptions& options) {
  auto ignored = TaskStatus<std::uint16_t>::ignored();
  serve_tcp(std::move(handler), port, options, ignored);
}

}  // namespace weft::fibers
