// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/clock.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/inspect.h"
#include "weft/fibers/run.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

using std::chrono::hours;

constexpr Instant kNow{std::chrono::hours(24)};
constexpr Instant kBefore{-std::chrono::hours(24)};

// At compile time, where an overflow is an error.
static_assert(later(kNow, hours(1)) == kNow + hours(1));
static_assert(later(kNow, -hours(1)) == kNow - hours(1));
static_assert(later(kNow, Duration::max() - hours(1)) == kForever);
static_assert(later(kNow, Duration::max()) == kForever);
static_assert(later(kBefore, Duration::max()) == kForever);
static_assert(later(kForever, -hours(1)) == kForever);
static_assert(later(kBefore, Duration::min()) == kLongAgo);
static_assert(later(kLongAgo, -hours(1)) == kLongAgo);
static_assert(later(kLongAgo, hours(1)) == kLongAgo + hours(1));
static_assert(later(kBefore, Duration::max() - hours(1)) == kBefore + (Duration::max() - hours(1)));

static_assert(time_between(kNow, kNow + hours(1)) == hours(1));
static_assert(time_between(kNow, kBefore) == -hours(48));
static_assert(time_between(kNow, kForever) == Duration::max());
static_assert(time_between(kBefore, kForever - hours(1)) == Duration::max());
static_assert(time_between(kNow, kLongAgo) == Duration::min());
static_assert(time_between(kLongAgo, kLongAgo) == Duration::zero());
static_assert(time_between(kLongAgo, kBefore) == kBefore - kLongAgo);

TEST(ClockTest, SecondsAreClampedAndNeverNaN) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ(seconds(1.5), std::chrono::milliseconds(1500));
  EXPECT_EQ(seconds(-0.25), -std::chrono::milliseconds(250));
  EXPECT_EQ(seconds(kInfinity), Duration::max());
  EXPECT_EQ(seconds(-kInfinity), Duration::min());
  EXPECT_EQ(seconds(1e300), Duration::max());
  EXPECT_EQ(seconds(9.3e9), Duration::max());
  EXPECT_THROW(seconds(std::numeric_limits<double>::quiet_NaN()), UsageError);
}

// A clock of the caller's, whose hours take no time.
class FakeClock final : public Clock {
 public:
  void start_clock() override { ++starts; }
  Instant current_time() override { return now; }
  Duration deadline_to_sleep_time(Instant deadline) override {
    ++asked;
    now = deadline;  // Somebody will have slept until then.
    return Duration::zero();
  }
  int starts = 0;
  int asked = 0;
  Instant now{hours(1)};
};

// trio: test_run.py::test_current_clock
// Trio: abc.Clock
TEST(ClockTest, ARunGoesByTheClockItIsGiven) {
  FakeClock clock;
  run(
      [&clock] {
        EXPECT_EQ(clock.starts, 1);
        EXPECT_EQ(current_time(), Instant{hours(1)});
        EXPECT_EQ(RunClock::now(), Instant{hours(1)});
        sleep(hours(5));
        EXPECT_EQ(current_time(), Instant{hours(6)});
      },
      {.clock = &clock});
  EXPECT_EQ(clock.starts, 1);
  EXPECT_GT(clock.asked, 0);
}

// Nothing overflows on the way from a deadline that is as long ago as can be.
TEST(ClockTest, ADeadlineLongAgoCanBeLookedAt) {
  run([] {
    CancelScope scope;
    EXPECT_FALSE(scope.run([&scope] {
      scope.set_deadline(kLongAgo);
      EXPECT_EQ(scope.relative_deadline(), Duration::min());
      EXPECT_EQ(current_statistics().until_next_deadline, Duration::min());
      EXPECT_NE(dump_task_tree().find("deadline in -"), std::string::npos);
      EXPECT_EQ(current_effective_deadline(), kLongAgo);
      sleep_forever();
    }));
  });
}

// trio: test_run.py::test_current_clock
TEST(ClockTest, ARunTellsItsClock) {
  FakeClock fake;
  run([&] { EXPECT_EQ(&current_clock(), &fake); }, {.clock = &fake});
  run([&] {
    Clock& machine = current_clock();
    EXPECT_EQ(&current_clock(), &machine);
    const Instant before = current_time();
    const Instant now = machine.current_time();
    EXPECT_LE(before, now);
    EXPECT_LE(now, current_time());
    EXPECT_GT(machine.deadline_to_sleep_time(now + hours(1)), Duration::zero());
    EXPECT_LE(machine.deadline_to_sleep_time(now + hours(1)), hours(1));
    EXPECT_EQ(machine.deadline_to_sleep_time(kForever), Duration::max());
  });
  EXPECT_THROW(current_clock(), UsageError);
}

}  // namespace
}  // namespace weft::fibers
