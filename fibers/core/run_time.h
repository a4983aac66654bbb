// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What time it is in a run: by the machine's clock, or by the one that the run was given.

#pragma once

#include "fibers/core/machine_time.h"
#include "weft/fibers/clock.h"

namespace weft::fibers::detail {

// Is itself the Clock that the machine's is to those who ask for the run's (current_clock).
class RunTime final : private Clock {
 public:
  // Starts `given`. Null: the machine's, from a random point on.
  explicit RunTime(Clock* given);

  Instant now() { return given_ != nullptr ? given_->current_time() : machine_.now() + offset_; }
  bool is_the_machines() const { return given_ == nullptr; }
  Clock& clock() { return given_ != nullptr ? *given_ : *this; }

 private:
  Instant current_time() override { return now(); }
  [[gnu::cold]] Duration deadline_to_sleep_time(Instant deadline) override {
    return time_between(now(), deadline);
  }
  void jump_or_report(Scheduler& /*run*/) override {}  // Its autojump_threshold() is never reached.

  Clock* const given_;
  Duration offset_{0};
  MachineTime machine_;
};

}  // namespace weft::fibers::detail
