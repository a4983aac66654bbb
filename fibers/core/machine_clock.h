// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What the machine's clock is to those who ask for the run's (current_clock). The run itself reads
// it directly.

#pragma once

#include "weft/fibers/clock.h"

namespace weft::fibers::detail {

class Scheduler;

class MachineClock final : public Clock {
 public:
  explicit MachineClock(Scheduler& scheduler) : scheduler_(scheduler) {}
  Instant current_time() override;
  Duration deadline_to_sleep_time(Instant deadline) override;

 private:
  Scheduler& scheduler_;
};

}  // namespace weft::fibers::detail
