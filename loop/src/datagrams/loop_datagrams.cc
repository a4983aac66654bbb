// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/loop_datagrams.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>
#include <system_error>
#include <vector>

#include "fibers/sys/sys.h"
#include "loop/src/datagrams/datagram_socket.h"
#include "loop/src/transports/unique_fd.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/log.h"
#include "weft/loop/event_loop.h"

namespace weft::loop {

using fibers::SocketAddress;
namespace sys = fibers::sys;

namespace detail {

namespace {

using Kind = EndpointPlace::Kind;

[[noreturn]] void throw_errno(int error, const std::string& what) {
  throw std::system_error(error, std::generic_category(), what);
}

// One way to make the endpoint. The addresses are empty if none were asked for.
struct Way {
  int family = 0;
  int proto = 0;
  SocketAddress local = {};
  SocketAddress remote = {};
};

// Closes the endpoint unless its caller gets it: that may have been cancelled.
class Guarded {
 public:
  explicit Guarded(DatagramTransport transport) : transport_(std::move(transport)) {}
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;
  ~Guarded() {
    if (transport_) transport_.close();
  }
  DatagramTransport take() { return std::exchange(transport_, {}); }

 private:
  DatagramTransport transport_;
};

UniqueFd take_socket(DatagramRequest& request) {
  UniqueFd fd(request.fd.release());
  int type = 0;
  socklen_t size = sizeof type;
  if (sys::getsockopt(fd.get(), SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_DGRAM) {
    throw fibers::UsageError("A datagram socket was expected");
  }
  const std::array<std::pair<const char*, bool>, 7> others{{
      {"local_addr", request.local.kind != Kind::kNone},
      {"remote_addr", request.remote.kind != Kind::kNone},
      {"family", request.family != 0},
      {"proto", request.proto != 0},
      {"flags", request.flags != 0},
      {"reuse_port", request.reuse_port},
      {"allow_broadcast", request.allow_broadcast},
  }};
  std::string problems;
  for (const auto& [name, given] : others) {
    if (given) problems += (problems.empty() ? "" : ", ") + std::string(name);
  }
  if (!problems.empty()) {
    throw fibers::UsageError(
        "socket modifier keyword arguments can not be used when sock is specified. (" + problems +
        ")");
  }
  const int flags = sys::fcntl(fd.get(), F_GETFL, 0);
  if (flags < 0 || sys::fcntl(fd.get(), F_SETFL, flags | O_NONBLOCK) != 0) {
    throw_errno(errno, "fcntl");
  }
  return fd;
}

// --- Where to, by which family. ---

// A socket's file that is there already is nobody's any more, or its owner has lost it. If it
// cannot be looked at, the bind() shows whether that matters.
void remove_stale_file(const std::string& path) {
  if (path.front() == '\0') return;
  struct stat found {};
  const bool looked = sys::stat(path.c_str(), &found) == 0;
  if (looked && !S_ISSOCK(found.st_mode)) return;
  if (looked && sys::unlink(path.c_str()) == 0) return;
  if (errno == ENOENT) return;
  const std::string why = std::generic_category().message(errno);
  fibers::log(fibers::LogLevel::kError,
              "Unable to check or remove stale UNIX socket '" + path + "': " + why);
}

std::vector<Way> unix_ways(const DatagramRequest& request) {
  Way way{.family = AF_UNIX, .proto = request.proto};
  for (const bool local : {true, false}) {
    const EndpointPlace& place = local ? request.local : request.remote;
    if (place.kind == Kind::kNone) continue;
    if (place.kind != Kind::kPath) {
      throw fibers::UsageError("string is expected: a Unix socket's address is a path alone");
    }
    (local ? way.local : way.remote) = SocketAddress::from_path(place.name);
    if (local) remove_stale_file(place.name);
  }
  return {way};
}

// Those that each address which is asked for has an address in. (asyncio: the same, and of several
// addresses of one family the last.)
Coro<std::vector<Way>> ways_by_name(LoopCore& loop, const DatagramRequest& request) {
  const fibers::socket::AddressHints hints{
      .family = request.family, .type = SOCK_DGRAM, .proto = request.proto, .flags = request.flags};
  std::vector<Way> ways;
  for (int i = 0; i < 2; ++i) {
    const EndpointPlace& place = i == 0 ? request.local : request.remote;
    if (place.kind == Kind::kNone) continue;
    AddressInfos infos = co_await facade_of(loop).getaddrinfo(place.name, place.port, hints);
    if (infos.empty()) throw_errno(EADDRNOTAVAIL, "getaddrinfo() returned empty list");
    for (const auto& info : infos) {
      auto way = std::ranges::find_if(ways, [&](const Way& other) {
        return other.family == info.family && other.proto == info.proto;
      });
      if (way == ways.end()) {
        way = ways.insert(ways.end(), Way{.family = info.family, .proto = info.proto});
      }
      (i == 0 ? way->local : way->remote) = info.address;
    }
  }
  std::erase_if(ways, [&](const Way& way) {
    return (request.local.kind != Kind::kNone && way.local.empty()) ||
           (request.remote.kind != Kind::kNone && way.remote.empty());
  });
  if (ways.empty()) throw fibers::UsageError("can not get address information");
  co_return ways;
}

bool asks_for_path(const DatagramRequest& request) {
  return request.local.kind == Kind::kPath || request.remote.kind == Kind::kPath;
}

Coro<std::vector<Way>> ways_of(LoopCore& loop, const DatagramRequest& request) {
  if (request.local.kind == Kind::kNone && request.remote.kind == Kind::kNone) {
    if (request.family == 0) throw fibers::UsageError("unexpected address family");
    co_return std::vector<Way>{{.family = request.family, .proto = request.proto}};
  }
  const bool by_path = asks_for_path(request);
  if (by_path && request.family != 0 && request.family != AF_UNIX) {
    throw fibers::UsageError("2-tuple is expected: of this family an address is {host, port}");
  }
  if (by_path || request.family == AF_UNIX) co_return unix_ways(request);
  std::vector<Way> ways = co_await ways_by_name(loop, request);
  co_return ways;
}

// --- Its socket. ---

void set_on(int fd, int option) {
  const int on = 1;
  if (sys::setsockopt(fd, SOL_SOCKET, option, &on, sizeof on) != 0) {
    throw_errno(errno, "setsockopt");
  }
}

Coro<UniqueFd> open_socket(LoopCore& loop, const DatagramRequest& request, const Way& way) {
  UniqueFd fd(sys::socket(way.family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, way.proto));
  if (!fd) throw_errno(errno, "socket");
  if (request.reuse_port) set_on(fd.get(), SO_REUSEPORT);
  if (request.allow_broadcast) set_on(fd.get(), SO_BROADCAST);
  if (!way.local.empty()) {
    const auto size = static_cast<socklen_t>(way.local.size());
    if (sys::bind(fd.get(), way.local.data(), size) != 0) {
      throw_errno(errno, "error while attempting to bind on address " + way.local.to_string());
    }
  }
  if (!way.remote.empty() && !request.allow_broadcast) {
    co_await facade_of(loop).sock_connect(fd.get(), way.remote);
  }
  co_return fd;
}

}  // namespace

Coro<MadeEndpoint> open_endpoint(LoopCore& loop, std::unique_ptr<DatagramRequest> request) {
  UniqueFd fd;
  SocketAddress remote;
  if (request->fd.get() >= 0) {
    fd = take_socket(*request);
  } else {
    const std::vector<Way> ways = co_await ways_of(loop, *request);
    std::exception_ptr first_error;
    for (const Way& way : ways) {
      try {
        fd = co_await open_socket(loop, *request, way);
        remote = way.remote;
        break;
      } catch (const std::system_error&) {
        if (first_error == nullptr) first_error = std::current_exception();
      }
    }
    if (!fd) std::rethrow_exception(first_error);
  }
  std::shared_ptr<BaseProtocol> protocol = request->factory();
  const Future<void> waiter = facade_of(loop).create_future<void>();
  DatagramSocket* const endpoint = DatagramSocket::make(
      loop, {.fd = std::move(fd), .protocol = protocol, .remote = remote, .waiter = waiter});
  Guarded made(TransportAccess::share<DatagramTransport>(*endpoint));
  endpoint->release();
  co_await waiter;
  co_return MadeEndpoint{.transport = made.take(), .protocol = std::move(protocol)};
}

}  // namespace detail

std::unique_ptr<detail::DatagramRequest> LoopDatagrams::datagram_request(
    detail::ProtocolFactory factory, const DatagramOptions& options) {
  detail::GivenFd fd(options.sock);
  auto request = std::make_unique<detail::DatagramRequest>();
  request->factory = std::move(factory);
  request->local = options.local_addr.place();
  request->remote = options.remote_addr.place();
  request->family = options.family;
  request->proto = options.proto;
  request->flags = options.flags;
  request->reuse_port = options.reuse_port;
  request->allow_broadcast = options.allow_broadcast;
  request->fd = std::move(fd);
  return request;
}

}  // namespace weft::loop
