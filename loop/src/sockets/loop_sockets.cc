// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/loop_sockets.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <cerrno>
#include <system_error>

#include "fibers/sys/sys.h"
#include "weft/fibers/errors.h"
#include "weft/loop/event_loop.h"

namespace weft::loop {

using fibers::FdDirection;
using fibers::SocketAddress;
namespace sys = fibers::sys;

namespace {

[[noreturn]] void throw_errno(int error, const char* what) {
  throw std::system_error(error, std::generic_category(), what);
}

bool must_wait(int error) {
  return error == EAGAIN || error == EWOULDBLOCK;
}

// Takes the registration away again, unless another has taken its place.
struct Registration {
  Handle handle;
  ~Registration() { handle.cancel(); }
};

// What a look at a coroutine's registration sets.
struct SetReady {
  Future<void> ready;
  void operator()() {
    if (!ready.done()) ready.set_result();
  }
};

socklen_t capacity() {
  return static_cast<socklen_t>(SocketAddress::capacity());
}

}  // namespace

void LoopSockets::require_nonblocking(int fd) const {
  if (!static_cast<const EventLoop&>(*this).get_debug()) return;
  const int flags = sys::fcntl(fd, F_GETFL, 0);
  if (flags >= 0 && (flags & O_NONBLOCK) == 0) {
    throw fibers::UsageError("the socket must be non-blocking: set O_NONBLOCK, or SOCK_NONBLOCK");
  }
}

Coro<void> LoopSockets::wait_for_fd(int fd, FdDirection direction) {
  Future<void> ready = create_future<void>();
  const Registration registered{direction == FdDirection::kRead ? add_reader(fd, SetReady{ready})
                                                                : add_writer(fd, SetReady{ready})};
  co_await ready;
}

// Calls until the system says something else than that it would have to wait.
template <class Call>
Coro<std::size_t> LoopSockets::repeat(int fd, FdDirection direction, const char* what, Call call) {
  require_nonblocking(fd);
  for (;;) {
    const ssize_t result = call();
    if (result >= 0) co_return static_cast<std::size_t>(result);
    if (errno == EINTR) continue;
    if (!must_wait(errno)) throw_errno(errno, what);
    co_await wait_for_fd(fd, direction);
  }
}

Coro<std::string> LoopSockets::sock_recv(int fd, std::size_t size) {
  std::string data(size, '\0');
  const std::size_t got = co_await repeat(fd, FdDirection::kRead, "sock_recv", [fd, &data] {
    return sys::recv(fd, data.data(), data.size(), 0);
  });
  data.resize(got);
  co_return data;
}

Coro<std::size_t> LoopSockets::sock_recv_into(int fd, std::span<std::byte> buffer) {
  if (buffer.empty()) {
    throw fibers::UsageError(
        "sock_recv_into() needs a buffer that is not empty: 0 bytes are the end");
  }
  co_return co_await repeat(fd, FdDirection::kRead, "sock_recv_into", [fd, buffer] {
    return sys::recv(fd, buffer.data(), buffer.size(), 0);
  });
}

Coro<std::pair<std::size_t, SocketAddress>> LoopSockets::sock_recvfrom_into(
    int fd, std::span<std::byte> buffer) {
  SocketAddress from;
  const std::size_t got =
      co_await repeat(fd, FdDirection::kRead, "sock_recvfrom", [fd, buffer, &from] {
        socklen_t size = capacity();
        const ssize_t result =
            sys::recvfrom(fd, buffer.data(), buffer.size(), 0, from.data(), &size);
        if (result >= 0) from.set_size(size);
        return result;
      });
  co_return std::pair(got, from);
}

Coro<std::pair<std::string, SocketAddress>> LoopSockets::sock_recvfrom(int fd, std::size_t size) {
  std::string data(size, '\0');
  auto received = co_await sock_recvfrom_into(fd, std::as_writable_bytes(std::span(data)));
  data.resize(received.first);
  co_return std::pair(std::move(data), received.second);
}

Coro<void> LoopSockets::sock_sendall(int fd, std::string_view data) {
  while (!data.empty()) {
    const std::size_t sent = co_await repeat(fd, FdDirection::kWrite, "sock_sendall", [fd, data] {
      return sys::send(fd, data.data(), data.size(), MSG_NOSIGNAL);
    });
    data.remove_prefix(sent);
  }
}

Coro<std::size_t> LoopSockets::sock_sendto(int fd, std::string_view data, SocketAddress address) {
  co_return co_await repeat(fd, FdDirection::kWrite, "sock_sendto", [fd, data, &address] {
    return sys::sendto(fd, data.data(), data.size(), MSG_NOSIGNAL, address.data(),
                       static_cast<socklen_t>(address.size()));
  });
}

// Interrupted or not, the attempt goes on, and its end is asked for.
Coro<void> LoopSockets::sock_connect(int fd, SocketAddress address) {
  require_nonblocking(fd);
  if (sys::connect(fd, address.data(), static_cast<socklen_t>(address.size())) == 0) co_return;
  if (errno != EINPROGRESS && errno != EINTR) {
    throw_errno(errno, ("sock_connect to " + address.to_string()).c_str());
  }
  co_await wait_for_fd(fd, FdDirection::kWrite);
  int error = 0;
  socklen_t size = sizeof error;
  if (sys::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
  if (error != 0) throw_errno(error, ("sock_connect to " + address.to_string()).c_str());
}

Coro<std::pair<int, SocketAddress>> LoopSockets::sock_accept(int fd) {
  SocketAddress from;
  const std::size_t accepted =
      co_await repeat(fd, FdDirection::kRead, "sock_accept", [fd, &from]() -> ssize_t {
        socklen_t size = capacity();
        const int connection = sys::accept4(fd, from.data(), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (connection >= 0) from.set_size(size);
        return connection;
      });
  co_return std::pair(static_cast<int>(accepted), from);
}

}  // namespace weft::loop
