// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/socket/socket_type.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <tuple>

#include "fibers/src/net/hooks.h"
#include "fibers/src/net/owned_socket_pair.h"
#include "fibers/src/net/socket_options.h"
#include "fibers/src/net/waiting_call.h"
#include "fibers/sys/sys.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/socket/getaddrinfo.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers::socket {

using fibers::detail::int_option;
using fibers::detail::is_ready;
using fibers::detail::need_open;
using fibers::detail::throw_errno;
using fibers::detail::try_waiting_call;

namespace {

constexpr const char* kWhat = "socket";
constexpr int kMostBacklog = 65535;
constexpr Duration kConnectRetry = std::chrono::milliseconds(10);

socklen_t length(const SocketAddress& address) {
  return static_cast<socklen_t>(address.size());
}

// `call` as try_waiting_call() has it; any error is thrown.
template <class Call>
std::size_t waiting_call(OwnedFd& fd, FdDirection direction, const char* name, Call&& call) {
  const auto n = try_waiting_call(fd, direction, kWhat, std::forward<Call>(call));
  if (!n) throw_errno(errno, name);
  return static_cast<std::size_t>(*n);
}

}  // namespace

SocketType::SocketType(OwnedFd fd) : fd_(std::move(fd)) {
  need_open(fd_, kWhat);
  family_ = int_option(fd_.get(), SOL_SOCKET, SO_DOMAIN);
  type_ = int_option(fd_.get(), SOL_SOCKET, SO_TYPE);
  proto_ = int_option(fd_.get(), SOL_SOCKET, SO_PROTOCOL);
}

SocketAddress SocketType::resolve(const std::string& host, std::uint16_t port, int flags) const {
  if (family_ != AF_INET && family_ != AF_INET6) {
    throw UsageError("only IPv4 and IPv6 sockets have hosts and ports; give a SocketAddress");
  }
  // As in Python. It is no name that a resolver would know.
  const std::string& name = family_ == AF_INET && host == "<broadcast>" ? "255.255.255.255" : host;
  if (family_ == AF_INET6 && getsockopt(IPPROTO_IPV6, IPV6_V6ONLY) == 0) flags |= AI_V4MAPPED;
  const std::vector<AddressInfo> found =
      getaddrinfo(name, std::to_string(port),
                  {.family = family_, .type = type_, .proto = proto_, .flags = flags});
  if (found.empty()) throw_errno(EADDRNOTAVAIL, "no address for '" + host + "'");
  return found.front().address;
}

SocketAddress SocketType::resolve_local(const std::string& host, std::uint16_t port) const {
  checkpoint_if_cancelled();
  need_open(fd_, kWhat);
  return resolve(host, port, AI_PASSIVE);
}
SocketAddress SocketType::resolve_remote(const std::string& host, std::uint16_t port) const {
  checkpoint_if_cancelled();
  need_open(fd_, kWhat);
  return resolve(host, port, 0);
}

void SocketType::bind(const SocketAddress& address) {
  need_open(fd_, kWhat);
  if (sys::bind(fd_.get(), address.data(), length(address)) != 0) {
    throw_errno(errno, "bind to " + address.to_string());
  }
}

void SocketType::bind(const std::string& host, std::uint16_t port) {
  bind(resolve_local(host, port));
}

void SocketType::listen(int backlog) {
  need_open(fd_, kWhat);
  if (sys::listen(fd_.get(), std::min(backlog, kMostBacklog)) != 0) throw_errno(errno, "listen");
}

std::pair<SocketType, SocketAddress> SocketType::accept() {
  SocketAddress from;
  const std::size_t fd = waiting_call(fd_, FdDirection::kRead, "accept", [&]() -> ssize_t {
    auto size = static_cast<socklen_t>(SocketAddress::capacity());
    const int accepted = sys::accept4(fd_.get(), from.data(), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (accepted >= 0) from.set_size(size);
    return accepted;
  });
  return {SocketType(OwnedFd(static_cast<int>(fd))), from};
}

// Cancelled, it closes the socket: what the peer knows of it is unknown.
template <class F>
void SocketType::close_if_cancelled(F&& body) {
  try {
    body();
  } catch (const Cancelled&) {
    close();
    throw;
  }
}

void SocketType::connect(const SocketAddress& address) {
  close_if_cancelled([&] { start_connecting(address); });
}

void SocketType::connect(const std::string& host, std::uint16_t port) {
  close_if_cancelled([&] { start_connecting(resolve_remote(host, port)); });
}

void SocketType::start_connecting(const SocketAddress& address) {
  checkpoint_if_cancelled();
  need_open(fd_, kWhat);
  while (sys::connect(fd_.get(), address.data(), length(address)) != 0) {
    // A Unix listener's queue is full. Nothing tells when it is not any more.
    if (errno == EAGAIN && family_ == AF_UNIX) {
      sleep(kConnectRetry);
      need_open(fd_, kWhat);
      continue;
    }
    // Interrupted or not: the system goes on connecting, and another connect() would only be told
    // so.
    if (errno == EINPROGRESS || errno == EINTR) return finish_connecting(address);
    throw_errno(errno, "connect to " + address.to_string());
  }
  cancel_shielded_checkpoint();
}

void SocketType::finish_connecting(const SocketAddress& address) {
  bool waited = false;
  // Looked at after the wait too: what woke us may be older than the connecting.
  for (; !is_ready(fd_.get(), POLLOUT); waited = true) {
    fd_.wait_writable();
    need_open(fd_, kWhat);
  }
  if (!waited) cancel_shielded_checkpoint();
  if (const int error = getsockopt(SOL_SOCKET, SO_ERROR); error != 0) {
    throw_errno(error, "connect to " + address.to_string());
  }
}

std::string SocketType::recv(std::size_t size, int flags) {
  return recvfrom(size, flags).first;
}

std::size_t SocketType::recv_into(std::span<std::byte> buffer, int flags) {
  return waiting_call(fd_, FdDirection::kRead, "recv",
                      [&] { return sys::recv(fd_.get(), buffer.data(), buffer.size(), flags); });
}

std::pair<std::string, SocketAddress> SocketType::recvfrom(std::size_t size, int flags) {
  std::pair<std::string, SocketAddress> result;
  result.first.resize(size);
  std::size_t received = 0;
  std::tie(received, result.second) =
      recvfrom_into(std::as_writable_bytes(std::span(result.first)), flags);
  result.first.resize(std::min(received, size));  // MSG_TRUNC asks for the full length.
  return result;
}

std::pair<std::size_t, SocketAddress> SocketType::recvfrom_into(std::span<std::byte> buffer,
                                                                int flags) {
  SocketAddress from;
  const std::size_t n = waiting_call(fd_, FdDirection::kRead, "recvfrom", [&] {
    auto size = static_cast<socklen_t>(SocketAddress::capacity());
    const ssize_t got =
        sys::recvfrom(fd_.get(), buffer.data(), buffer.size(), flags, from.data(), &size);
    if (got >= 0) from.set_size(std::min<std::size_t>(size, SocketAddress::capacity()));
    return got;
  });
  return {n, from};
}

std::size_t SocketType::send(std::span<const std::byte> data, int flags) {
  return waiting_call(fd_, FdDirection::kWrite, "send", [&] {
    return sys::send(fd_.get(), data.data(), data.size(), flags | MSG_NOSIGNAL);
  });
}
std::size_t SocketType::send(std::string_view data, int flags) {
  return send(std::as_bytes(std::span(data)), flags);
}

std::size_t SocketType::sendto(std::span<const std::byte> data, const SocketAddress& address,
                               int flags) {
  const auto n = try_waiting_call(fd_, FdDirection::kWrite, kWhat, [&] {
    return sys::sendto(fd_.get(), data.data(), data.size(), flags | MSG_NOSIGNAL, address.data(),
                       length(address));
  });
  if (!n) throw_errno(errno, "sendto " + address.to_string());
  return static_cast<std::size_t>(*n);
}
std::size_t SocketType::sendto(std::string_view data, const SocketAddress& address, int flags) {
  return sendto(std::as_bytes(std::span(data)), address, flags);
}
std::size_t SocketType::sendto(std::string_view data, const std::string& host, std::uint16_t port,
                               int flags) {
  return sendto(data, resolve_remote(host, port), flags);
}

void SocketType::shutdown(int how) {
  need_open(fd_, kWhat);
  if (sys::shutdown(fd_.get(), how) != 0) throw_errno(errno, "shutdown");
  if (how == SHUT_WR || how == SHUT_RDWR) did_shut_wr_ = true;
}

bool SocketType::is_readable() const {
  need_open(fd_, kWhat);
  return is_ready(fd_.get(), POLLIN);
}

void SocketType::wait_writable() {
  checkpoint_if_cancelled();
  need_open(fd_, kWhat);
  if (is_ready(fd_.get(), POLLOUT)) return checkpoint();
  while (!is_ready(fd_.get(), POLLOUT)) {
    fd_.wait_writable();
    need_open(fd_, kWhat);
  }
}

SocketType SocketType::dup() const {
  need_open(fd_, kWhat);
  return fromfd(fd_.get());
}

bool SocketType::get_inheritable() const {
  need_open(fd_, kWhat);
  return (sys::fcntl(fd_.get(), F_GETFD, 0) & FD_CLOEXEC) == 0;
}
void SocketType::set_inheritable(bool inheritable) {
  need_open(fd_, kWhat);
  if (sys::fcntl(fd_.get(), F_SETFD, inheritable ? 0 : FD_CLOEXEC) != 0)
    throw_errno(errno, "fcntl");
}

int SocketType::getsockopt(int level, int option) const {
  need_open(fd_, kWhat);
  return int_option(fd_.get(), level, option);
}

std::string SocketType::getsockopt(int level, int option, std::size_t size) const {
  need_open(fd_, kWhat);
  return fibers::detail::option_bytes(fd_.get(), level, option, size);
}

void SocketType::setsockopt(int level, int option, int value) {
  need_open(fd_, kWhat);
  fibers::detail::set_option(fd_.get(), level, option, &value, sizeof value);
}

void SocketType::setsockopt(int level, int option, std::string_view value) {
  need_open(fd_, kWhat);
  fibers::detail::set_option(fd_.get(), level, option, value.data(), value.size());
}

namespace {

template <class Getter>
SocketAddress ask_address(const OwnedFd& fd, Getter&& getter, const char* name) {
  need_open(fd, kWhat);
  SocketAddress address;
  auto size = static_cast<socklen_t>(SocketAddress::capacity());
  if (getter(fd.get(), address.data(), &size) != 0) throw_errno(errno, name);
  address.set_size(size);
  return address;
}

}  // namespace

SocketAddress SocketType::getsockname() const {
  return ask_address(fd_, sys::getsockname, "getsockname");
}
SocketAddress SocketType::getpeername() const {
  return ask_address(fd_, sys::getpeername, "getpeername");
}

SocketType socket(int family, int type, int proto) {
  if (SocketFactory* custom = custom_socket_factory()) return custom->socket(family, type, proto);
  const int fd = sys::socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, proto);
  if (fd < 0) throw_errno(errno, "socket");
  return SocketType(OwnedFd(fd));
}

std::pair<SocketType, SocketType> socketpair(int family, int type, int proto) {
  auto [first, second] = fibers::detail::owned_socket_pair(family, type, proto);
  return {SocketType(std::move(first)), SocketType(std::move(second))};
}

std::pair<SocketType, SocketType> socketpair() {
  return socketpair(AF_UNIX, SOCK_STREAM);
}

SocketType fromfd(int fd) {
  const int copy = sys::fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) throw_errno(errno, "dup of fd " + std::to_string(fd));
  OwnedFd owned(copy);
  const int flags = sys::fcntl(copy, F_GETFL, 0);
  if (flags < 0 || sys::fcntl(copy, F_SETFL, flags | O_NONBLOCK) != 0) {
    throw_errno(errno, "fcntl of fd " + std::to_string(fd));
  }
  return SocketType(std::move(owned));
}

}  // namespace weft::fibers::socket
