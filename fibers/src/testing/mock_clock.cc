// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/testing/mock_clock.h"

#include <chrono>
#include <cmath>

#include "weft/fibers/errors.h"
#include "weft/fibers/task.h"
#include "weft/fibers/token.h"

namespace weft::fibers::testing {

namespace {

Instant real_now() {
  return Instant(std::chrono::steady_clock::now().time_since_epoch());
}

// Double to Duration, for what may be too large for one.
Duration scaled(Duration length, double factor) {
  return seconds(std::chrono::duration<double>(length).count() * factor);
}

// If a guest run's host has changed its clock, the run has to look at it.
void tell_guest(const Clock& clock) {
  if (!in_trio_run() || in_trio_task() || &current_clock() != &clock) return;
  current_token().run_sync_soon([] {});
}

}  // namespace

MockClock::MockClock(double rate, Duration autojump_threshold) : real_base_(real_now()) {
  set_rate(rate);
  set_autojump_threshold(autojump_threshold);
}

void MockClock::set_rate(double rate) {
  if (!(rate >= 0.0)) throw UsageError("the rate of a MockClock must not be negative");
  base_ = current_time();
  real_base_ = real_now();
  rate_ = rate;
  tell_guest(*this);
}

void MockClock::set_autojump_threshold(Duration threshold) {
  if (threshold < Duration::zero()) {
    throw UsageError("the autojump threshold of a MockClock must not be negative");
  }
  autojump_threshold_ = threshold;
  tell_guest(*this);
}

void MockClock::set_autojump_waits(AutojumpWaits waits) {
  autojump_waits_ = waits;
  tell_guest(*this);
}

void MockClock::jump(Duration length) {
  if (length < Duration::zero()) throw UsageError("a MockClock cannot jump back");
  base_ = later(base_, length);
  tell_guest(*this);
}

Instant MockClock::current_time() {
  return rate_ == 0.0 ? base_ : later(base_, scaled(real_now() - real_base_, rate_));
}

Duration MockClock::deadline_to_sleep_time(Instant deadline) {
  const Instant now = current_time();
  if (deadline <= now) return Duration::zero();
  if (rate_ == 0.0 || deadline == kForever) return Duration::max();
  return scaled(deadline - now, 1.0 / rate_);
}

void MockClock::autojump(Instant next) {
  const Instant now = current_time();
  if (next > now && next != kForever) base_ = later(base_, next - now);
}

}  // namespace weft::fibers::testing
