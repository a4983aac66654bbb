// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/core/epoll_set.h"

#include <fcntl.h>
#include <poll.h>

#include <cerrno>
#include <chrono>
#include <ctime>
#include <utility>

#include "fibers/core/check.h"
#include "fibers/core/valgrind.h"
#include "fibers/sys/sys.h"

namespace weft::fibers::detail {

namespace {

constexpr int kRoom = FoundEvents{}.events.size();

timespec as_timespec(Duration timeout) {
  const auto whole = std::chrono::duration_cast<std::chrono::seconds>(timeout);
  return {whole.count(), (timeout - whole).count()};
}

// How a system says that it has no such call: an old kernel, or a sandbox, some of which answer
// EPERM to every call that they do not know.
bool is_missing(int error) {
  return error == ENOSYS || error == EPERM;
}

}  // namespace

// Debian's valgrind lacks epoll_pwait2 as well, and would print a warning for each run.
EpollSet::EpollSet() : fd_(sys::epoll_create1(EPOLL_CLOEXEC)), has_pwait2_(!under_valgrind()) {
  if (fd_ < 0) throw_system_error(errno, "epoll_create1");
}

void EpollSet::close() noexcept {
  if (host_fd_ >= 0) sys::close(std::exchange(host_fd_, -1));
  if (fd_ >= 0) sys::close(std::exchange(fd_, -1));
}

int EpollSet::control(int operation, int fd, std::uint32_t events, std::uint64_t key) noexcept {
  told_.events = events;
  told_.data.u64 = key;
  return sys::epoll_ctl(fd_, operation, fd, &told_);
}

void EpollSet::wait(Duration timeout, FoundEvents& found) noexcept {
  found.count = timeout <= Duration::zero()  ? sys::epoll_wait(fd_, found.events.data(), kRoom, 0)
                : timeout == Duration::max() ? sys::epoll_wait(fd_, found.events.data(), kRoom, -1)
                                             : wait_for_some(timeout, found);
  found.error = found.count < 0 ? errno : 0;
}

int EpollSet::wait_for_some(Duration timeout, FoundEvents& found) noexcept {
  if (has_pwait2_) {
    const timespec wait = as_timespec(timeout);
    const int count = sys::epoll_pwait2(fd_, found.events.data(), kRoom, &wait, nullptr);
    if (count >= 0 || !is_missing(errno)) return count;
    has_pwait2_ = false;
  }
  return wait_until_readable(timeout, found);
}

// Linux before 5.11: epoll_wait() counts in milliseconds. ppoll() is exact, for one more call.
int EpollSet::wait_until_readable(Duration timeout, FoundEvents& found) noexcept {
  const timespec wait = as_timespec(timeout);
  pollfd set{.fd = fd_, .events = POLLIN, .revents = 0};
  const int ready = sys::ppoll(&set, 1, &wait, nullptr);
  return ready <= 0 ? ready : sys::epoll_wait(fd_, found.events.data(), kRoom, 0);
}

int EpollSet::for_host() {
  if (host_fd_ < 0) {
    host_fd_ = sys::epoll_create1(EPOLL_CLOEXEC);
    if (host_fd_ < 0) throw_system_error(errno, "epoll_create1");
    if (!put_into_host_set(fd_)) {
      const int error = errno;
      sys::close(std::exchange(host_fd_, -1));
      throw_system_error(error, "epoll_ctl");
    }
  }
  return host_fd_;
}

bool EpollSet::put_into_host_set(int fd) noexcept {
  epoll_event event{};
  event.events = EPOLLIN;
  return sys::epoll_ctl(host_fd_, EPOLL_CTL_ADD, fd, &event) == 0;
}

bool EpollSet::swap_with(EpollSet& other) noexcept {
  if (host_fd_ >= 0) {
    if (!put_into_host_set(other.fd_)) return false;
    sys::epoll_ctl(host_fd_, EPOLL_CTL_DEL, fd_, nullptr);
  }
  std::swap(fd_, other.fd_);
  return true;
}

}  // namespace weft::fibers::detail
