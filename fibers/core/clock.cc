// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/clock.h"

#include <cmath>

#include "fibers/core/check.h"
#include "fibers/core/machine_clock.h"
#include "fibers/core/scheduler.h"

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

namespace detail {

Instant MachineClock::current_time() {
  return scheduler_.now();
}

Duration MachineClock::deadline_to_sleep_time(Instant deadline) {
  return time_between(scheduler_.now(), deadline);
}

}  // namespace detail

}  // namespace weft::fibers
