// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "loop/src/servers/bind.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <system_error>
#include <utility>

#include "fibers/sys/sys.h"
#include "loop/src/transports/establish.h"
#include "loop/src/transports/transport_errors.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/log.h"
#include "weft/loop/event_loop.h"

namespace weft::loop::detail {

using fibers::SocketAddress;
namespace sys = fibers::sys;

namespace {

[[noreturn]] void throw_errno(int error, const std::string& what) {
  throw std::system_error(error, std::generic_category(), what);
}

void set_on(int fd, int level, int option) {
  const int on = 1;
  if (sys::setsockopt(fd, level, option, &on, sizeof on) != 0) throw_errno(errno, "setsockopt");
}

int option_of(int fd, int option) {
  int value = 0;
  socklen_t size = sizeof value;
  return sys::getsockopt(fd, SOL_SOCKET, option, &value, &size) == 0 ? value : -1;
}

// The addresses of all hosts, each once.
Coro<AddressInfos> addresses(LoopCore& loop, const ServeRequest& request) {
  AddressInfos all;
  const fibers::socket::AddressHints hints{
      .family = request.family, .type = SOCK_STREAM, .flags = request.flags | AI_PASSIVE};
  std::vector<std::string> hosts = request.hosts;
  if (hosts.empty()) hosts.emplace_back();
  for (const std::string& host : hosts) {
    AddressInfos found = co_await facade_of(loop).getaddrinfo(host, request.port, hints);
    for (auto& info : found) {
      const bool known = std::ranges::any_of(
          all, [&](const auto& other) { return other.address == info.address; });
      if (!known) all.push_back(std::move(info));
    }
  }
  co_return all;
}

// Nothing if this machine has no such kind of address, or not that address.
Bound bind_to(const fibers::socket::AddressInfo& info, const ServeRequest& request) {
  const int made = sys::socket(info.family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, info.proto);
  if (made < 0) {
    if (errno == EAFNOSUPPORT) return {};
    throw_errno(errno, "socket");
  }
  Bound bound{.fd = UniqueFd(made), .tcp = true};
  if (request.reuse_address) set_on(made, SOL_SOCKET, SO_REUSEADDR);
  if (request.reuse_port) set_on(made, SOL_SOCKET, SO_REUSEPORT);
  if (request.keep_alive) set_on(made, SOL_SOCKET, SO_KEEPALIVE);
  // Each family has a socket of its own.
  if (info.family == AF_INET6) set_on(made, IPPROTO_IPV6, IPV6_V6ONLY);
  const SocketAddress& address = info.address;
  if (sys::bind(made, address.data(), static_cast<socklen_t>(address.size())) == 0) return bound;
  const int error = errno;
  const std::string text = "error while attempting to bind on address " + address.to_string();
  if (error != EADDRNOTAVAIL) throw_errno(error, text);
  fibers::log(fibers::LogLevel::kWarning, text + ": " + std::generic_category().message(error));
  return {};
}

}  // namespace

Coro<std::vector<Bound>> bind_all(LoopCore& loop, const ServeRequest& request) {
  AddressInfos infos = co_await addresses(loop, request);
  std::vector<Bound> sockets;
  std::string tried;
  for (const auto& info : infos) {
    Bound bound = bind_to(info, request);
    if (bound.fd) sockets.push_back(std::move(bound));
    tried += (tried.empty() ? "" : ", ") + info.address.to_string();
  }
  if (sockets.empty()) {
    throw_errno(EADDRNOTAVAIL, "could not bind on any address out of [" + tried + "]");
  }
  co_return sockets;
}

// For the file to be removed when the server is closed.
static void note_file(Bound& bound, const std::string& path) {
  struct stat found {};
  if (sys::stat(path.c_str(), &found) != 0 || !S_ISSOCK(found.st_mode)) return;
  bound.path = path;
  bound.inode = found.st_ino;
}

// A socket's file that is there already is nobody's any more, or its owner has lost it.
Bound bind_to_path(const ServeRequest& request) {
  const SocketAddress address = SocketAddress::from_path(request.path);
  const int made = sys::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (made < 0) throw_errno(errno, "socket");
  Bound bound{.fd = UniqueFd(made), .tcp = false};
  const bool is_file = request.path.front() != '\0';
  struct stat found {};
  if (is_file && sys::stat(request.path.c_str(), &found) == 0 && S_ISSOCK(found.st_mode)) {
    if (sys::unlink(request.path.c_str()) != 0 && errno != ENOENT) {
      throw_errno(errno, "Unable to remove the stale Unix socket '" + request.path + "'");
    }
  }
  if (sys::bind(made, address.data(), static_cast<socklen_t>(address.size())) != 0) {
    const int error = errno;
    throw_errno(error, error == EADDRINUSE
                           ? "Address '" + address.host() + "' is already in use"
                           : "error while attempting to bind on address " + address.to_string());
  }
  if (is_file) note_file(bound, request.path);
  return bound;
}

// Of a Unix server's socket the file goes with the server, whoever has bound it. (asyncio: 3.13.)
Bound take_bound(UniqueFd fd, bool unix_only) {
  take_stream_socket(fd.get(), unix_only);
  Bound bound{.fd = std::move(fd)};
  bound.tcp = option_of(bound.fd.get(), SO_PROTOCOL) == IPPROTO_TCP;
  if (!unix_only) return bound;
  const SocketAddress own = ask_address(bound.fd.get(), sys::getsockname);
  sockaddr_un raw{};
  std::memcpy(&raw, own.data(), std::min(own.size(), sizeof raw));
  const bool is_file = raw.sun_path[0] != '\0';  // An abstract name begins with it; so does none.
  if (is_file) note_file(bound, own.host());
  return bound;
}

}  // namespace weft::loop::detail
