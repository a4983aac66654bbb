// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Time in a run. Every deadline, sleep and timer of a run is measured by the run's own clock: the
// monotonic clock of the machine, or a clock of the caller's such as testing::MockClock.

#pragma once

#include <chrono>

#include "weft/fibers/detail/requirements.h"

namespace weft::fibers {

namespace detail {
class Poller;
class RunTime;
class Scheduler;
}  // namespace detail

// The type of the run's clock for std::chrono. Its epoch means nothing: a run starts the clock at a
// random point, so that nobody comes to rely on it. (Trio: trio.current_time.)
struct RunClock {
  using duration = std::chrono::nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<RunClock, duration>;
  static constexpr bool is_steady = true;
  // The same as current_time().
  static time_point now();
};

using Duration = RunClock::duration;
using Instant = RunClock::time_point;

// "Never": the deadline of a scope that has none. And "long ago".
inline constexpr Instant kForever = Instant::max();
inline constexpr Instant kLongAgo = Instant::min();

// `start + length`, which stops at kForever and kLongAgo instead of overflowing.
constexpr Instant later(Instant start, Duration length) {
  if (start == kForever || length == Duration::max()) return kForever;
  if (length >= Duration::zero()) {
    return start > Instant{} && kForever - start < length ? kForever : start + length;
  }
  return start < Instant{} && kLongAgo - start > length ? kLongAgo : start + length;
}
// `to - from`, which stops at the longest duration of either sign in the same way.
constexpr Duration time_between(Instant from, Instant to) {
  if (to == kForever) return Duration::max();
  if (from < Instant{} && to > Instant{} + (Duration::max() + from.time_since_epoch())) {
    return Duration::max();
  }
  if (from > Instant{} && to < kLongAgo + from.time_since_epoch()) return Duration::min();
  return to - from;
}

// A duration from a number of seconds. Throws UsageError for NaN; what does not fit is clamped.
Duration seconds(double count);

// The present time of this run's clock. Throws UsageError outside a run.
//
// Blocks: no.
// Cancel: not a checkpoint.
// Threads: the run's own only.
Instant current_time();

// What, outside of the tasks, a clock that jumps waits for.
struct AutojumpWaits {
  // Calls of to_thread::run_sync. Not while the thread has called back into the run, and waits for
  // that call; nor once the call has been abandoned.
  bool threads = true;
  // Child processes, while a task is in Process::wait() or run_process().
  bool processes = false;
};

// A clock to give a run (RunOptions::clock). Trio: trio.abc.Clock.
class Clock {
 public:
  Clock() = default;
  Clock(const Clock&) = delete;
  Clock& operator=(const Clock&) = delete;
  virtual ~Clock() = default;

  // Called once, when the run begins.
  virtual void start_clock() {}
  virtual Instant current_time() = 0;
  // How long the machine should sleep, in real time, to reach `deadline`.
  virtual Duration deadline_to_sleep_time(Instant deadline) = 0;
  // How long, in real time, a run has to be idle before autojump() is called; Duration::max() for
  // never. Used by MockClock.
  virtual Duration autojump_threshold() const { return Duration::max(); }
  // What else than tasks is looked at then: a run is not idle while one of these is at work.
  virtual AutojumpWaits autojump_waits() const { return {}; }
  // Called when the run has been idle for that long; `next` is the earliest deadline.
  virtual void autojump(Instant next) { static_cast<void>(next); }

 private:
  friend class detail::Poller;
  friend class detail::RunTime;
  // Jumps to the earliest deadline, or reports that nothing can ever happen again. Not to be
  // overridden. Virtual so that only programs with a clock of their own carry those reports.
  virtual void jump_or_report(detail::Scheduler& run);
};

// The clock of this run: the one given to it, or the machine's. Lives as long as the run. Throws
// UsageError outside a run.
//
// Blocks: no.
// Cancel: not a checkpoint.
// Threads: the run's own only.
Clock& current_clock();

}  // namespace weft::fibers
