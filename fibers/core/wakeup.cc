// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/core/wakeup.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <system_error>

#include "fibers/sys/sys.h"

namespace weft::fibers::detail {

Wakeup::Wakeup() : fd_(sys::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  if (fd_ < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
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
  [[maybe_unused]] const ssize_t n = sys::write(fd_, &one, sizeof one);
  errno = saved_errno;
}

void Wakeup::clear() noexcept {
  if (!signalled_.load(std::memory_order_relaxed)) return;
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t n = sys::read(fd_, &count, sizeof count);
  // After the read: who sets it from here on also writes again.
  signalled_.exchange(false);
}

}  // namespace weft::fibers::detail
