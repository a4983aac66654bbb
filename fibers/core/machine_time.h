// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The machine's monotonic clock, at half the price. Between two readings of it, at most a
// millisecond apart, the processor's counter of cycles tells how much time has passed. See
// tools/docs/adr/0016-how-time-is-read.md.

#pragma once

#include <cstdint>

#include "weft/fibers/clock.h"

#if defined(__x86_64__)
#define WEFT_CYCLE_COUNTER 1
#include <x86intrin.h>
#endif

namespace weft::fibers::detail {

// What time it is at a count of cycles, as far as earlier readings of the clock tell. All of it is
// arithmetic: whoever uses it reads the clock and the counter.
class CycleTime {
 public:
  // False as long as it does not know how fast the counter goes.
  bool has_rate() const { return good_for_ > 0; }
  // Whether it knows the time at that count. False also if the counter has been set back.
  bool knows(std::uint64_t cycles) const { return cycles - read_at_ < good_for_; }
  Instant at(std::uint64_t cycles) const {
    return read_ + Duration(static_cast<std::int64_t>(((cycles - read_at_) * rate_) >> kRateBits));
  }
  // Whether it has a use for a reading now: the rate is measured over some time.
  bool wants(Instant time) const { return has_rate() || !measuring_ || time >= measured_at_; }
  // The clock said `time` at some moment between the two counts.
  void add(std::uint64_t before, Instant time, std::uint64_t after);
  // True once the clock has been found not to go by the counter.
  bool has_failed() const { return mistakes_ >= kMostMistakes; }

 private:
  static constexpr int kRateBits = 32;
  static constexpr int kMostMistakes = 3;

  void measure(std::uint64_t cycles, Instant time);
  void start_measuring(std::uint64_t cycles, Instant time);
  bool foretold(std::uint64_t cycles, Instant time) const;

  Instant read_{};              // What the clock has said last,
  std::uint64_t read_at_ = 0;   // at which count.
  std::uint64_t good_for_ = 0;  // For how many cycles from then on; 0: the rate is not known.
  std::uint64_t rate_ = 0;      // Nanoseconds a cycle, times 2^kRateBits, as measured last.
  // Where the measuring of the rate began, and when it is long enough.
  Instant first_{};
  std::uint64_t first_at_ = 0;
  Instant measured_at_{};
  bool measuring_ = false;
  int mistakes_ = 0;
};

// One run's. The time is never earlier than one that it has told before.
class MachineTime {
 public:
  MachineTime();

  Instant now() {
#ifdef WEFT_CYCLE_COUNTER
    if (cycle_time_.has_rate()) [[likely]] {
      const std::uint64_t cycles = __rdtsc();
      if (cycle_time_.knows(cycles)) [[likely]]
        return tell(cycle_time_.at(cycles));
    }
#endif
    return read();
  }

 private:
  Instant read();
  Instant tell(Instant time) {
    return told_ = time > told_ ? time : told_;
  }

  bool usable_;
  Instant told_{};
  CycleTime cycle_time_;
};

}  // namespace weft::fibers::detail
