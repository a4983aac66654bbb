// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A clock for tests. Its time passes only when the test says so.
//
//   MockClock clock(0.0, Duration::zero());        // jumps whenever everybody waits
//   run([] { sleep(24h); }, {.clock = &clock});    // takes no time
//
// FIBER_TEST (fiber_test.h) runs under one. (Trio: testing.MockClock.)
//
// The clock does not jump while a call of to_thread::run_sync is at work: its task is not waiting
// for a deadline alone. (Trio's jumps: its issue 456.) A thread that itself waits for a task to do
// something at a later time would wait for ever, unless it asks by from_thread; for such a test
// there is set_autojump_waits().

#pragma once

#include "weft/fibers/clock.h"

namespace weft::fibers::testing {

// A resource. It belongs to the run that it is given to. Everything may be changed during that run.
class MockClock final : public Clock {
 public:
  // `rate`: seconds of this clock for each real second, usually 0. `autojump_threshold`: how long,
  // in real time, all tasks have to wait before the clock jumps to the next deadline;
  // Duration::max() for never. Throws UsageError if one of them is negative; so do the setters.
  explicit MockClock(double rate = 0.0, Duration autojump_threshold = Duration::max());

  double rate() const { return rate_; }
  void set_rate(double rate);
  void set_autojump_threshold(Duration threshold);

  // What the clock waits for before it jumps: threads, unless you say otherwise.
  void set_autojump_waits(AutojumpWaits waits);

  // Makes `length` pass at once. Deadlines that this reaches take effect when the caller next
  // waits.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the run's own only.
  void jump(Duration length);

  Instant current_time() override;
  Duration deadline_to_sleep_time(Instant deadline) override;
  Duration autojump_threshold() const override { return autojump_threshold_; }
  AutojumpWaits autojump_waits() const override { return autojump_waits_; }
  void autojump(Instant next) override;

 private:
  double rate_ = 0.0;
  Duration autojump_threshold_ = Duration::max();
  AutojumpWaits autojump_waits_;
  // The time of this clock when the real one last showed `real_base_`.
  Instant base_{};
  Instant real_base_{};
};

}  // namespace weft::fibers::testing
