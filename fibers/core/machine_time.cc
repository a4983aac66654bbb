// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/core/machine_time.h"

#include <ctime>
#include <utility>

#ifdef WEFT_CYCLE_COUNTER
#include <cpuid.h>
#endif

namespace weft::fibers::detail {

namespace {

// How long the counter is relied on without a look at the clock.
constexpr Duration kGoodFor = std::chrono::milliseconds(1);
// Over how long the rate is measured, at least: a reading is good to some 50 ns.
constexpr Duration kMeasured = std::chrono::milliseconds(20);
// A reading that took more cycles was interrupted, and says little about the count.
constexpr std::uint64_t kInterrupted = 5'000;
// How far from the foretold time the clock may be: system time is slewed by less than a thousandth.
constexpr Duration kTolerated = std::chrono::microseconds(2);

Instant read_system() {
  timespec t;
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return Instant{std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec)};
}

// Whether the counter goes at one rate, also while the processor sleeps or is throttled.
bool counts_evenly() {
#ifdef WEFT_CYCLE_COUNTER
  static const bool evenly = [] {
    unsigned a = 0;
    unsigned b = 0;
    unsigned c = 0;
    unsigned d = 0;
    return __get_cpuid(0x80000007, &a, &b, &c, &d) != 0 && (d & (1U << 8)) != 0;
  }();
  return evenly;
#else
  return false;
#endif
}

constexpr double kScale = 4294967296.0;  // 2^kRateBits.

std::uint64_t scaled(double rate) {
  return static_cast<std::uint64_t>(rate * kScale);
}

}  // namespace

[[gnu::cold]] void CycleTime::add(std::uint64_t before, Instant time, std::uint64_t after) {
  if (after - before > kInterrupted || has_failed()) return;
  const std::uint64_t cycles = before + (after - before) / 2;
  if (!measuring_ || cycles <= first_at_ || (has_rate() && !foretold(cycles, time))) {
    if (measuring_) ++mistakes_;
    good_for_ = 0;
    return start_measuring(cycles, time);
  }
  if (time >= measured_at_) measure(cycles, time);
  read_ = time;
  read_at_ = cycles;
}

// Only what has been measured twice is believed: the machine may have been suspended meanwhile.
void CycleTime::measure(std::uint64_t cycles, Instant time) {
  const double rate =
      static_cast<double>((time - first_).count()) / static_cast<double>(cycles - first_at_);
  const double before = static_cast<double>(std::exchange(rate_, scaled(rate))) / kScale;
  const double change = rate > before ? rate - before : before - rate;
  good_for_ = change * 1000 < rate
                  ? static_cast<std::uint64_t>(static_cast<double>(kGoodFor.count()) / rate)
                  : 0;
  start_measuring(cycles, time);
}

void CycleTime::start_measuring(std::uint64_t cycles, Instant time) {
  measuring_ = true;
  first_ = time;
  first_at_ = cycles;
  measured_at_ = time + kMeasured;
}

bool CycleTime::foretold(std::uint64_t cycles, Instant time) const {
  const double passed = static_cast<double>((time - read_).count());
  const double counted =
      static_cast<double>(cycles - read_at_) * static_cast<double>(rate_) / kScale;
  const double off = passed > counted ? passed - counted : counted - passed;
  return off <= static_cast<double>(kTolerated.count()) + passed / 1000;
}

MachineTime::MachineTime() : usable_(counts_evenly()) {}

Instant MachineTime::read() {
  Instant time = read_system();
#ifdef WEFT_CYCLE_COUNTER
  if (usable_ && cycle_time_.wants(time)) [[unlikely]] {
    const std::uint64_t before = __rdtsc();
    time = read_system();
    cycle_time_.add(before, time, __rdtsc());
    usable_ = !cycle_time_.has_failed();
  }
#endif
  return tell(time);
}

}  // namespace weft::fibers::detail
