// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/core/alarm.h"

#include <sys/timerfd.h>

#include <cerrno>

#include "fibers/core/check.h"
#include "fibers/core/io_manager.h"
#include "fibers/sys/sys.h"

namespace weft::fibers::detail {

Alarm::Alarm(IoManager& io)
    : fd_(sys::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)) {
  if (fd_ < 0) throw_system_error(errno, "timerfd_create");
  try {
    io.add_alarm(fd_);
  } catch (...) {
    sys::close(fd_);
    throw;
  }
}

Alarm::~Alarm() {
  sys::close(fd_);
}

bool Alarm::set(SteadyTime when) {
  const Duration since_boot = when.time_since_epoch();
  const auto whole = std::chrono::duration_cast<std::chrono::seconds>(since_boot);
  const itimerspec at{{}, {whole.count(), (since_boot - whole).count()}};
  if (sys::timerfd_settime(fd_, TFD_TIMER_ABSTIME, &at, nullptr) != 0) return false;
  rings_at_ = when;
  return true;
}

}  // namespace weft::fibers::detail
