// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/io.h"

#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "fibers/core/current_scheduler.h"
#include "fibers/sys/sys.h"
#include "weft/fibers/fd_watch.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/owned_fd.h"

namespace weft::fibers {

using detail::IoManager;

void wait_readable(int fd) {
  detail::scheduler_of_task().io().wait(fd, FdDirection::kRead);
}
void wait_writable(int fd) {
  detail::scheduler_of_task().io().wait(fd, FdDirection::kWrite);
}
FdReadiness wait_readable_or_writable(int fd) {
  return detail::scheduler_of_task().io().wait_either(fd);
}
void notify_closing(int fd) {
  detail::current_scheduler().io().notify_closing(fd);
}

void FdWatch::arm(int fd, FdDirection direction, void (*on_ready)(void*), void* context) {
  disarm();
  IoManager& io = detail::current_scheduler().io();
  on_ready_ = on_ready;
  context_ = context;
  direction_ = direction;
  io.add_watch(fd, direction, this);
  manager_ = &io;
  fd_ = fd;
}

void FdWatch::arm(OwnedFd& fd, FdDirection direction, void (*on_ready)(void*), void* context) {
  disarm();
  WEFT_REQUIRE(fd.is_open(), "the descriptor is closed: there is nothing to watch");
  IoManager& io = detail::current_scheduler().io();
  on_ready_ = on_ready;
  context_ = context;
  direction_ = direction;
  io.add_owned_watch(*fd.entry_, direction, this);
  manager_ = &io;
  fd_ = fd.get();
}

void FdWatch::disarm() noexcept {
  if (fd_ < 0) return;
  static_cast<IoManager*>(manager_)->remove_watch(std::exchange(fd_, -1), direction_);
}

OwnedFd::OwnedFd(int fd) : fd_(fd) {
  try {
    entry_ = detail::current_scheduler().io().adopt(fd);
  } catch (...) {
    sys::close(std::exchange(fd_, -1));
    throw;
  }
}

OwnedFd& OwnedFd::operator=(OwnedFd&& other) noexcept {
  if (this != &other) {
    close();
    fd_ = std::exchange(other.fd_, -1);
    entry_ = std::exchange(other.entry_, nullptr);
  }
  return *this;
}

[[noreturn]] static void throw_closed() {
  checkpoint_if_cancelled();
  throw ClosedResourceError("the descriptor is closed");
}

void OwnedFd::wait_readable() {
  if (!is_open()) throw_closed();
  detail::scheduler_of_task().io().wait_owned(*entry_, FdDirection::kRead);
}

void OwnedFd::wait_writable() {
  if (!is_open()) throw_closed();
  detail::scheduler_of_task().io().wait_owned(*entry_, FdDirection::kWrite);
}

void OwnedFd::note_drained() noexcept {
  if (is_open()) entry_->drained = !entry_->ended;
}

bool OwnedFd::is_drained() const noexcept {
  return is_open() && entry_->drained;
}

void OwnedFd::close() noexcept {
  if (!is_open()) return;
  IoManager::release(*std::exchange(entry_, nullptr));
  sys::close(std::exchange(fd_, -1));
}

int OwnedFd::release() noexcept {
  if (!is_open()) return -1;
  IoManager::release(*std::exchange(entry_, nullptr));
  return std::exchange(fd_, -1);
}

}  // namespace weft::fibers
