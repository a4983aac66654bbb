// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/fd_stream.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <ctime>
#include <exception>
#include <optional>
#include <utility>

#include "fibers/src/net/waiting_call.h"
#include "fibers/sys/sendfile.h"
#include "fibers/sys/sys.h"
#include "weft/fibers/detail/write_without_signal.h"
#include "weft/fibers/errors.h"

namespace weft::fibers {

namespace {

using detail::need_open;
using detail::throw_errno;
using detail::try_waiting_call;

constexpr const char* kWhat = "stream";

// EBADF means that somebody closed the descriptor behind our back.
[[noreturn, gnu::cold]] void throw_broken(int error, const char* call) {
  if (error == EBADF) throw ClosedResourceError("the stream's descriptor was closed elsewhere");
  try {
    throw_errno(error, call);
  } catch (const std::system_error& cause) {
    std::throw_with_nested(
        BrokenResourceError(std::string("the stream is broken: ") + cause.what()));
  }
}

bool is_pending(int signal) {
  sigset_t pending;
  sys::sigpending(&pending);
  return ::sigismember(&pending, signal) == 1;
}

}  // namespace

namespace detail {

// write() to a pipe that nobody reads raises SIGPIPE in this thread, and only sockets have a flag
// against it. What the process does about SIGPIPE is not a library's to change: so the signal is
// held back during the call and taken off before it gets anywhere. Two system calls more a write.
template <class Write>
static std::ptrdiff_t without_signal(Write&& write) {
  sigset_t pipe;
  sigset_t before;
  ::sigemptyset(&pipe);
  ::sigaddset(&pipe, SIGPIPE);
  sys::pthread_sigmask(SIG_BLOCK, &pipe, &before);
  const bool was_blocked = ::sigismember(&before, SIGPIPE) == 1;
  const bool was_pending = was_blocked && is_pending(SIGPIPE);
  const ssize_t n = write();
  const int error = errno;
  if (n < 0 && error == EPIPE && !was_pending) {
    const timespec no_wait{};
    while (sys::sigtimedwait(&pipe, nullptr, &no_wait) < 0 && errno == EINTR) {
    }
  }
  if (!was_blocked) sys::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  errno = error;
  return n;
}

std::ptrdiff_t write_without_signal(int fd, std::span<const std::byte> data) {
  return without_signal([&] { return sys::write(fd, data.data(), data.size()); });
}

// A socket is written to without the flag that send() has.
std::ptrdiff_t sendfile_without_signal(int socket, int file, std::int64_t offset,
                                       std::size_t size) {
  off_t from = offset;
  return without_signal([&] { return sys::sendfile(socket, file, &from, size); });
}

}  // namespace detail

FdStream::FdStream(int fd) {
  flags_ = sys::fcntl(fd, F_GETFL, 0);
  if (flags_ < 0) throw_errno(errno, "FdStream of fd " + std::to_string(fd));
  fd_ = OwnedFd(fd);
  if ((flags_ & O_NONBLOCK) == 0) sys::fcntl(fd, F_SETFL, flags_ | O_NONBLOCK);
}

FdStream::FdStream(FdStream&& other) noexcept : fd_(std::move(other.fd_)), flags_(other.flags_) {}

FdStream& FdStream::operator=(FdStream&& other) noexcept {
  if (this != &other) {
    close();
    fd_ = std::move(other.fd_);
    flags_ = other.flags_;
  }
  return *this;
}

void FdStream::need_access(int refused, const char* what) const {
  checkpoint_if_cancelled();
  need_open(fd_, kWhat);
  if ((flags_ & O_ACCMODE) == refused) {
    throw UsageError(std::string("this stream's descriptor is not open for ") + what);
  }
}

void FdStream::send_all(std::span<const std::byte> data) {
  const ConflictDetector::Use use(sending_);
  need_access(O_RDONLY, "sending");
  if (data.empty()) return checkpoint();
  while (!data.empty()) {
    const auto n = try_waiting_call(fd_, FdDirection::kWrite, kWhat,
                                    [&] { return detail::write_without_signal(fd_.get(), data); });
    if (!n) throw_broken(errno, "write");
    data = data.subspan(static_cast<std::size_t>(*n));
  }
}

void FdStream::wait_send_all_might_not_block() {
  const ConflictDetector::Use use(sending_);
  need_access(O_RDONLY, "sending");
  if (detail::is_ready(fd_.get(), POLLOUT)) return checkpoint();
  while (!detail::is_ready(fd_.get(), POLLOUT)) {
    fd_.wait_writable();
    need_open(fd_, kWhat);
  }
}

std::size_t FdStream::receive_some(std::span<std::byte> buffer) {
  const ConflictDetector::Use use(receiving_);
  need_access(O_WRONLY, "receiving");
  if (buffer.empty()) throw UsageError("receive_some() needs room for at least one byte");
  const auto n = try_waiting_call(fd_, FdDirection::kRead, kWhat, [&] {
    return sys::read(fd_.get(), buffer.data(), buffer.size());
  });
  if (n) return static_cast<std::size_t>(*n);
  const int error = errno;
  // The other side of a pseudo-terminal is gone: its way of saying that this is the end.
  if (error == EIO && sys::isatty(fd_.get()) == 1) return 0;
  throw_broken(error, "read");
}

void FdStream::close() noexcept {
  if (!is_open()) return;
  if ((flags_ & O_NONBLOCK) == 0) sys::fcntl(fd_.get(), F_SETFL, flags_);
  fd_.close();
}

void FdStream::aclose() {
  close();
  checkpoint();
}

std::pair<FdStream, FdStream> open_pipe() {
  std::array<int, 2> fds{};
  if (sys::pipe2(fds.data(), O_NONBLOCK | O_CLOEXEC) != 0) throw_errno(errno, "pipe");
  try {
    FdStream receive(fds[0]);
    return {FdStream(std::exchange(fds[1], -1)), std::move(receive)};
  } catch (...) {
    if (fds[1] >= 0) sys::close(fds[1]);
    throw;
  }
}

}  // namespace weft::fibers
