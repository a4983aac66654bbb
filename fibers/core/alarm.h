// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A timer for whoever waits for a run by its descriptor and knows nothing of its deadlines.

#pragma once

#include <chrono>

#include "weft/fibers/clock.h"

namespace weft::fibers::detail {

class IoManager;

// The machine's time, by which alarms go; the run's clock may be another.
using SteadyTime = std::chrono::steady_clock::time_point;
inline SteadyTime machine_now() {
  return std::chrono::steady_clock::now();
}
inline SteadyTime machine_later(Duration length) {
  if (length == Duration::max()) return SteadyTime::max();  // The clock need not be read.
  const SteadyTime now = machine_now();
  return length < SteadyTime::max() - now ? now + length : SteadyTime::max();
}

// A timer that makes the run's epoll descriptor readable. Set only when it would ring too late:
// most deadlines move away before they come.
class Alarm {
 public:
  // Throws std::system_error.
  explicit Alarm(IoManager& io);
  Alarm(const Alarm&) = delete;
  Alarm& operator=(const Alarm&) = delete;
  ~Alarm();  // Also after the I/O manager's end.

  // False if the system refuses it: see errno.
  bool ring_by(SteadyTime when) {
    if (rings_at_ <= when && (when == SteadyTime::max() || rings_at_ > machine_now())) return true;
    return set(when);
  }

 private:
  bool set(SteadyTime when);

  int fd_;
  SteadyTime rings_at_ = SteadyTime::max();
};

}  // namespace weft::fibers::detail
