// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/socket.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <system_error>

#include "fibers/src/net/accept_errors.h"
#include "fibers/src/net/owned_socket_pair.h"
#include "fibers/src/net/socket_options.h"
#include "fibers/src/net/waiting_call.h"
#include "fibers/sys/lasting.h"
#include "fibers/sys/sys.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/socket/socket_type.h"

namespace weft::fibers {

namespace {

constexpr int kUnsentLowWater = 16384;

[[noreturn, gnu::cold]] void throw_closed(const char* what) {
  throw ClosedResourceError(std::string("this ") + what + " is closed");
}

// EBADF means that somebody closed the descriptor behind our back.
[[noreturn, gnu::cold]] void throw_broken(int error, const char* call) {
  if (error == EBADF || error == ENOTSOCK) throw_closed("socket");
  try {
    throw std::system_error(error, std::generic_category(), call);
  } catch (const std::system_error& cause) {
    std::throw_with_nested(
        BrokenResourceError(std::string("the socket is broken: ") + cause.what()));
  }
}

template <class Getter>
SocketAddress ask_address(int fd, Getter&& getter, const char* what) {
  if (fd < 0) throw_closed("socket");
  SocketAddress address;
  auto size = static_cast<socklen_t>(SocketAddress::capacity());
  if (getter(fd, address.data(), &size) != 0) {
    throw std::system_error(errno, std::generic_category(), what);
  }
  address.set_size(size);
  return address;
}

// What an option is; -1 for a descriptor that is no socket.
int option_of(const OwnedFd& fd, int option) {
  int value = -1;
  socklen_t size = sizeof value;
  const int result = sys::getsockopt(fd.get(), SOL_SOCKET, option, &value, &size);
  if (result != 0 && errno != ENOTSOCK) detail::throw_errno(errno, "getsockopt");
  return value;
}

// Not SCTP, say, whose streams keep messages apart.
bool is_tcp(const OwnedFd& fd) {
  return option_of(fd, SO_PROTOCOL) == IPPROTO_TCP;
}

OwnedFd checked_stream(OwnedFd fd) {
  if (fd.is_open() && option_of(fd, SO_TYPE) == SOCK_STREAM) return fd;
  throw UsageError("a SocketStream needs an open SOCK_STREAM socket");
}

OwnedFd checked_listener(OwnedFd fd) {
  if (fd.is_open() && option_of(fd, SO_ACCEPTCONN) == 1) return fd;
  throw UsageError("a SocketListener needs an open socket that listens; call listen() first");
}

}  // namespace

SocketStream::SocketStream(OwnedFd fd) : fd_(checked_stream(std::move(fd))) {
  if (is_tcp(fd_)) tune();
}

SocketStream::SocketStream(socket::SocketType&& connected) : SocketStream(connected.take_fd()) {}

SocketStream::SocketStream(OwnedFd accepted, bool is_tcp) : fd_(std::move(accepted)) {
  if (is_tcp) tune();
}

void SocketStream::tune() {
  is_tcp_ = true;
  const int on = 1;
  sys::setsockopt(fd_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  sys::setsockopt(fd_.get(), IPPROTO_TCP, TCP_NOTSENT_LOWAT, &kUnsentLowWater,
                  sizeof kUnsentLowWater);
}

void SocketStream::need_sending_side() const {
  if (!fd_.is_open()) throw_closed("stream");
  if (sent_eof_) throw ClosedResourceError("this stream's sending side was closed by send_eof()");
}

// One successful send(). A wait that it needs is a checkpoint for the whole call.
std::size_t SocketStream::send_some(std::span<const std::byte> data, bool& waited) {
  for (;;) {
    if (!fd_.is_open()) throw_closed("stream");
    const ssize_t n = sys::send(fd_.get(), data.data(), data.size(), MSG_NOSIGNAL);
    if (n >= 0) return static_cast<std::size_t>(n);
    if (errno == EINTR) continue;
    if (errno != EAGAIN) throw_broken(errno, "send");
    fd_.wait_writable();
    waited = true;
  }
}

void SocketStream::send_all(std::span<const std::byte> data) {
  const ConflictDetector::Use use(sending_);
  checkpoint_if_cancelled();
  need_sending_side();
  bool waited = false;
  while (!data.empty()) {
    data = data.subspan(send_some(data, waited));
    // A peer that reads as fast as this writes must not keep everybody else waiting.
    if (!data.empty()) {
      checkpoint();
      waited = true;
    }
  }
  if (!waited) cancel_shielded_checkpoint();
}

void SocketStream::wait_send_all_might_not_block() {
  const ConflictDetector::Use use(sending_);
  checkpoint_if_cancelled();
  need_sending_side();
  if (detail::is_ready(fd_.get(), POLLOUT)) return checkpoint();
  fd_.wait_writable();
}

void SocketStream::send_eof() {
  const ConflictDetector::Use use(sending_);
  checkpoint_if_cancelled();
  if (!fd_.is_open()) throw_closed("stream");
  // A peer that is gone has no need to be told.
  if (sys::shutdown(fd_.get(), SHUT_WR) != 0 && errno != ENOTCONN) throw_broken(errno, "shutdown");
  sent_eof_ = true;
  cancel_shielded_checkpoint();
}

// One recv() that succeeds, whatever it takes. `take` gets the result before other tasks run.
template <class Take>
void SocketStream::receive_into(std::span<std::byte> buffer, Take&& take) {
  const ConflictDetector::Use use(receiving_);
  checkpoint_if_cancelled();
  if (buffer.empty()) throw UsageError("receive_some() needs room for at least one byte");
  if (!fd_.is_open()) throw_closed("stream");
  bool waited = false;
  for (bool empty = fd_.is_drained();;) {
    if (empty) {
      fd_.wait_readable();
      waited = true;
      if (!fd_.is_open()) throw_closed("stream");
    }
    const ssize_t n = sys::recv(fd_.get(), buffer.data(), buffer.size(), 0);
    if (n >= 0) {
      const auto received = static_cast<std::size_t>(n);
      if (is_tcp_ && received > 0 && received < buffer.size()) fd_.note_drained();
      take(received);
      if (!waited) cancel_shielded_checkpoint();
      return;
    }
    empty = errno == EAGAIN;
    if (!empty && errno != EINTR) throw_broken(errno, "recv");
  }
}

std::size_t SocketStream::receive_some(std::span<std::byte> buffer) {
  std::size_t received = 0;
  receive_into(buffer, [&](std::size_t n) { received = n; });
  return received;
}

// Through a buffer that all streams of the thread share: the string then has the size of what came,
// and nothing has to be cleared first.
std::string SocketStream::receive_some(std::size_t max) {
  struct Shared {
    std::unique_ptr<std::byte[]> bytes = std::make_unique<std::byte[]>(kDefaultReceive);
  };
  const std::span<std::byte> buffer(sys::ThreadObject<Shared>::get().bytes.get(),
                                    std::min(max, kDefaultReceive));
  std::string data;
  receive_into(buffer, [&](std::size_t n) {
    data.assign(static_cast<const char*>(static_cast<const void*>(buffer.data())), n);
  });
  return data;
}

int SocketStream::getsockopt(int level, int option) const {
  if (!fd_.is_open()) throw_closed("stream");
  return detail::int_option(fd_.get(), level, option);
}

std::string SocketStream::getsockopt(int level, int option, std::size_t size) const {
  if (!fd_.is_open()) throw_closed("stream");
  return detail::option_bytes(fd_.get(), level, option, size);
}

void SocketStream::setsockopt(int level, int option, int value) {
  if (!fd_.is_open()) throw_closed("stream");
  detail::set_option(fd_.get(), level, option, &value, sizeof value);
}

void SocketStream::setsockopt(int level, int option, std::string_view value) {
  if (!fd_.is_open()) throw_closed("stream");
  detail::set_option(fd_.get(), level, option, value.data(), value.size());
}

void SocketStream::aclose() {
  close();
  checkpoint();
}

SocketAddress SocketStream::local_address() const {
  return ask_address(fd_.get(), sys::getsockname, "getsockname");
}
SocketAddress SocketStream::peer_address() const {
  return ask_address(fd_.get(), sys::getpeername, "getpeername");
}

SocketListener::SocketListener(OwnedFd fd)
    : fd_(checked_listener(std::move(fd))), is_tcp_(is_tcp(fd_)) {}

SocketListener::SocketListener(socket::SocketType&& listening)
    : SocketListener(listening.take_fd()) {}

SocketStream SocketListener::accept() {
  checkpoint_if_cancelled();
  for (bool waited = false;;) {
    if (!fd_.is_open()) throw_closed("listener");
    const int fd = sys::accept4(fd_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      SocketStream stream(OwnedFd(fd), is_tcp_);
      if (!waited) cancel_shielded_checkpoint();
      return stream;
    }
    if (errno == EAGAIN) {
      fd_.wait_readable();
      waited = true;
    } else if (errno == EBADF || errno == ENOTSOCK) {
      throw_closed("listener");
    } else if (!detail::concerns_one_connection(errno)) {
      throw std::system_error(errno, std::generic_category(), "accept");
    }
  }
}

void SocketListener::aclose() {
  close();
  checkpoint();
}

SocketAddress SocketListener::local_address() const {
  return ask_address(fd_.get(), sys::getsockname, "getsockname");
}

std::pair<SocketStream, SocketStream> socket_stream_pair() {
  auto [first, second] = detail::owned_socket_pair(AF_UNIX, SOCK_STREAM, 0);
  return {SocketStream(std::move(first)), SocketStream(std::move(second))};
}

}  // namespace weft::fibers
