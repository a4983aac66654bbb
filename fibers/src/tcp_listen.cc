// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "weft/fibers/log.h"
#include "weft/fibers/tcp.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {

namespace {

constexpr Duration kCapacityRetry = std::chrono::milliseconds(100);
// With port 0 the first address gets a port that may be taken at another one.
constexpr int kPortAttempts = 10;

[[noreturn]] void throw_errno(const char* call, const SocketAddress& address) {
  throw std::system_error(errno, std::generic_category(),
                          std::string(call) + " for " + address.to_string());
}

void set_option(int fd, int level, int option) {
  const int on = 1;
  ::setsockopt(fd, level, option, &on, sizeof on);
}

// Nothing if this machine does not have that kind of address at all.
std::optional<SocketListener> listen_on(const SocketAddress& address, int backlog) {
  const int fd = ::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0 && errno == EAFNOSUPPORT) return std::nullopt;
  if (fd < 0) throw_errno("socket", address);
  OwnedFd owned(fd);
  // A server that is started again takes its port back at once.
  set_option(fd, SOL_SOCKET, SO_REUSEADDR);
  // Each family has a socket of its own.
  if (address.family() == AF_INET6) set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY);
  if (::bind(fd, address.data(), static_cast<socklen_t>(address.size())) != 0) {
    // An address that exists in name only: IPv6 switched off, say.
    if (errno == EADDRNOTAVAIL && address.family() == AF_INET6) return std::nullopt;
    throw_errno("bind", address);
  }
  if (::listen(fd, backlog) != 0) throw_errno("listen", address);
  return SocketListener(std::move(owned));
}

void set_port(SocketAddress& address, std::uint16_t port) {
  // The port lies at the same place in both.
  static_assert(offsetof(sockaddr_in, sin_port) == offsetof(sockaddr_in6, sin6_port));
  static_cast<sockaddr_in*>(static_cast<void*>(address.data()))->sin_port = htons(port);
}

std::vector<SocketListener> listen_on_all(std::vector<SocketAddress> addresses, int backlog) {
  std::vector<SocketListener> listeners;
  for (SocketAddress& address : addresses) {
    if (address.port() == 0 && !listeners.empty()) {
      set_port(address, listeners.front().local_address().port());
    }
    if (auto listener = listen_on(address, backlog)) listeners.push_back(std::move(*listener));
  }
  if (listeners.empty()) {
    errno = EAFNOSUPPORT;
    throw_errno("listen", addresses.front());
  }
  return listeners;
}

bool is_capacity_error(const std::error_code& code) {
  if (code.category() != std::generic_category() && code.category() != std::system_category()) {
    return false;
  }
  return code.value() == EMFILE || code.value() == ENFILE || code.value() == ENOMEM ||
         code.value() == ENOBUFS;
}

}  // namespace

std::vector<SocketListener> open_tcp_listeners(std::uint16_t port,
                                               const TcpListenOptions& options) {
  if (options.backlog < 1) throw UsageError("the backlog of a listener must be at least 1");
  const std::vector<SocketAddress> addresses = resolve_for_listening(options.host, port);
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
    if (!is_capacity_error(error.code())) throw;
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
