// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/core/wakeup.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <thread>

#include "fibers/core/check.h"
#include "fibers/core/raw_line.h"
#include "fibers/sys/sys.h"

namespace weft::fibers::detail {

Wakeup::Wakeup() : fd_(sys::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  if (fd_ < 0) throw_system_error(errno, "eventfd");
}

Wakeup::~Wakeup() {
  sys::close(fd_);
}

void Wakeup::wake() noexcept {
  // Read first, for a burst would otherwise fight for the line. Not relaxed: what has been left in
  // a queue before has to be seen by who is about to wait, or else this has to see that.
  if (signalled_.load() || signalled_.exchange(true)) return;
  const int saved_errno = errno;  // This may be a signal handler.
  const std::uint64_t one = 1;
  const ssize_t n = sys::uninterrupted([&] { return sys::write(fd_, &one, sizeof one); });
  if (n < 0) [[unlikely]]
    write_failed(errno);
  errno = saved_errno;
}

void Wakeup::write_failed(int error) noexcept {
  if (error == EAGAIN) return;  // The counter is full: it is as readable as it can be.
  using_epoll_.fetch_add(1);
  const int epoll_fd = epoll_fd_.load();
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLET;
  event.data.u64 = kKey;
  // Without a set the run is over, and nobody waits.
  const bool woken = epoll_fd < 0 || sys::epoll_ctl(epoll_fd, EPOLL_CTL_MOD, fd_, &event) == 0;
  using_epoll_.fetch_sub(1);
  if (woken) return;
  RawLine line;
  line << "weft: the system refuses to wake a run: write() to its eventfd failed with error "
       << static_cast<std::uint64_t>(error)
       << ", and epoll_ctl() failed as well; let the sandbox allow them\n";
  line.write();
  std::abort();
}

void Wakeup::attach(int epoll_fd) noexcept {
  epoll_fd_.store(epoll_fd);
  while (using_epoll_.load() > 0) std::this_thread::yield();
}

void Wakeup::take_in() noexcept {
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t n = sys::read(fd_, &count, sizeof count);
  // After the read: who sets it from here on also writes again.
  signalled_.exchange(false);
}

}  // namespace weft::fibers::detail
