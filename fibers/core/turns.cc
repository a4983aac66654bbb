// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/core/turns.h"

#include <algorithm>

#include "fibers/core/random_bits.h"
#include "fibers/core/run_time.h"

namespace weft::fibers::detail {

namespace {

// While tasks keep running, the world is looked at after this many hand-overs at the latest...
constexpr std::int32_t kMostHandOvers = 256;
// ...and system calls are made for it no more often than this.
constexpr Duration kPollInterval = std::chrono::microseconds(100);

}  // namespace

Turns::Turns(bool every_tick, bool toss)
    : every_tick_(every_tick), coin_(toss ? random_bits() | 1 : 0) {}

void Turns::begin(std::int32_t hand_overs, ReadyQueue& ready) {
  budget_ = hand_overs;
  // Only where nobody who waits for a turn has been passed already: turns stay fair.
  if (coin_ != 0 && (fresh_ || every_tick_) && ready.size() > 1 && toss()) {
    ready.reverse_front(std::min(ready.size(), static_cast<std::uint32_t>(hand_overs) + 1));
  }
}

bool Turns::poll_is_due(RunTime& time) {
  if (every_tick_ || std::exchange(poll_at_once_, false)) return true;
  const Instant present = time.now();
  const Duration since = present - last_poll_;
  if (since < kPollInterval) {
    next_budget_ = std::min(next_budget_ * 2, kMostHandOvers);
    return false;
  }
  if (since > 2 * kPollInterval) next_budget_ = std::max(next_budget_ / 2, 1);
  last_poll_ = present;
  return true;
}

// Once a batch, so that hand-overs inside it cost nothing more.
bool Turns::toss() {
  coin_ ^= coin_ << 13;
  coin_ ^= coin_ >> 7;
  coin_ ^= coin_ << 17;
  return (coin_ >> 63) != 0;
}

}  // namespace weft::fibers::detail
