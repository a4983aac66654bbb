// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// How many tasks run between two looks at the world, and in which order.
//
// Tasks hand over to each other until the budget of a batch is used up; then the run looks whether
// it is time to poll. The budget adapts, so that polls are some kPollInterval apart also where
// tasks run long between two waits.

#pragma once

#include <cstdint>
#include <utility>

#include "fibers/core/ready_queue.h"
#include "weft/fibers/clock.h"

namespace weft::fibers::detail {

class RunTime;

class Turns {
 public:
  // With `every_tick` the run polls after each batch of what was ready (a test's clock, or a
  // ScheduleSource). With `toss`, a coin is tossed for the order of each batch.
  Turns(bool every_tick, bool toss);

  // --- The hot path. ---
  // Takes a hand-over from the budget; false if none is left.
  bool spend() { return budget_-- > 0; }
  bool may_spend() const { return budget_ > 0; }

  // --- A batch. ---
  // How many hand-overs it may have.
  std::int32_t next_budget(const ReadyQueue& ready) const {
    return every_tick_ ? static_cast<std::int32_t>(ready.size()) - 1 : next_budget_;
  }
  // Begins one, and puts `ready` in its order.
  void begin(std::int32_t hand_overs, ReadyQueue& ready);
  // What is in `ready` now has been passed over once if it was there when the batch began.
  void end(const ReadyQueue& ready) { fresh_ = ready.empty(); }
  // Nobody hands over until the budget is given back.
  std::int32_t withhold() { return std::exchange(budget_, kWithheld); }
  void give_back(std::int32_t budget) {
    // Or else hand-overs have been stopped meanwhile.
    if (budget_ <= kWithheld) budget_ = budget;
  }
  // Every task that suspends from here on comes back to the scheduler's own stack.
  void stop_hand_overs() { budget_ = 0; }

  // --- Polling, while tasks are ready. ---
  // Something has become due that nobody may run past: the task that suspends next does not hand
  // over before the world has been looked at, however short ago that was last.
  void poll_at_next_suspension() {
    stop_hand_overs();
    poll_at_once_ = true;
  }
  // Asked at the end of a batch: whether it is time. Adapts the budget of the next one.
  bool poll_is_due(RunTime& time);

 private:
  // Far from 0 on either side: what is spent of it does not matter.
  static constexpr std::int32_t kWithheld = -(1 << 30);

  bool toss();

  std::int32_t budget_ = 0;  // Hand-overs left before the next poll. First: each switch touches it.
  std::int32_t next_budget_ = 1;
  const bool every_tick_;
  bool poll_at_once_ = false;
  bool fresh_ = true;    // Whoever is ready has become so since the last batch.
  std::uint64_t coin_;   // Never 0, unless batches run in order.
  Instant last_poll_{};  // Not kLongAgo: from there to now is more than a Duration holds.
};

}  // namespace weft::fibers::detail
