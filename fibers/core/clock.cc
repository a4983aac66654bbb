// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/clock.h"

#include <cmath>

#include "fibers/core/check.h"
#include "fibers/core/current_scheduler.h"
#include "fibers/core/random_bits.h"
#include "fibers/core/run_time.h"

namespace weft::fibers {

Duration seconds(double count) {
  WEFT_REQUIRE(!std::isnan(count), "seconds(NaN) is not a duration");
  const double nanoseconds = count * 1e9;
  // The first double beyond what fits; the maximum itself is not representable.
  constexpr double kLimit = 9223372036854775808.0;
  if (nanoseconds >= kLimit) return Duration::max();
  if (nanoseconds <= -kLimit) return Duration::min();
  return Duration{static_cast<Duration::rep>(nanoseconds)};
}

Instant current_time() {
  return detail::current_scheduler().now();
}

Clock& current_clock() {
  return detail::current_scheduler().time().clock();
}

Instant RunClock::now() {
  return current_time();
}

namespace detail {

namespace {

// Nobody should come to rely on where the clock starts. (Trio does the same.)
[[gnu::cold]] Duration random_clock_offset() {
  return std::chrono::microseconds(10'000'000'000 + random_bits() % 190'000'000'000);
}

}  // namespace

[[gnu::cold]] RunTime::RunTime(Clock* given) : given_(given) {
  if (given_ != nullptr) {
    given_->start_clock();
  } else {
    offset_ = random_clock_offset();
  }
}

}  // namespace detail

}  // namespace weft::fibers
