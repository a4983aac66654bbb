// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/core/machine_time.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <ctime>

namespace weft::fibers::detail {
namespace {

using namespace std::chrono_literals;

// A clock and a counter that goes at `cycles` a nanosecond, as far as they agree.
class Machine {
 public:
  void pass(Duration time) {
    time_ += time;
    count_ += static_cast<std::uint64_t>(time.count()) * cycles;
  }
  void read(CycleTime& told, std::uint64_t took = 60) const {
    told.add(count_ - took / 2, time_, count_ + took / 2);
  }
  // Long enough for the rate to be known.
  void calibrate(CycleTime& told) {
    for (int i = 0; i < 3; ++i) {
      read(told);
      pass(20ms);
    }
    read(told);
  }
  Instant time() const { return time_; }
  std::uint64_t count() const { return count_; }
  void suspend() { count_ += 1'000'000'000'000; }
  void set_back() { count_ -= 1'000'000; }

  std::uint64_t cycles = 3;

 private:
  Instant time_{1000s};
  std::uint64_t count_ = 5'000'000'000;
};

TEST(CycleTimeTest, TellsTheTimeBetweenReadingsOnceTheRateIsMeasuredTwice) {
  Machine machine;
  CycleTime told;
  machine.read(told);
  machine.pass(20ms);
  machine.read(told);
  EXPECT_FALSE(told.has_rate());
  machine.pass(20ms);
  machine.read(told);
  EXPECT_TRUE(told.has_rate());
  machine.pass(900us);
  ASSERT_TRUE(told.knows(machine.count()));
  EXPECT_LT(machine.time() - told.at(machine.count()), 10ns);
  EXPECT_GT(machine.time() - told.at(machine.count()), -10ns);
}

TEST(CycleTimeTest, IsGoodForAMillisecond) {
  Machine machine;
  CycleTime told;
  machine.calibrate(told);
  machine.pass(1001us);
  EXPECT_FALSE(told.knows(machine.count()));
  machine.read(told);
  EXPECT_TRUE(told.knows(machine.count()));
  EXPECT_EQ(told.at(machine.count()), machine.time());
}

TEST(CycleTimeTest, ACounterThatHasBeenSetBackIsNotBelieved) {
  Machine machine;
  CycleTime told;
  machine.calibrate(told);
  machine.set_back();
  EXPECT_FALSE(told.knows(machine.count()));
}

TEST(CycleTimeTest, ARateThatASuspensionHasSpoiltIsNotBelieved) {
  Machine machine;
  CycleTime told;
  machine.read(told);
  machine.pass(10ms);
  machine.suspend();  // The counter goes on, the clock does not.
  machine.pass(10ms);
  machine.read(told);
  machine.pass(20ms);
  machine.read(told);
  EXPECT_FALSE(told.has_rate());
  machine.pass(20ms);
  machine.read(told);
  EXPECT_TRUE(told.has_rate());
}

TEST(CycleTimeTest, AfterASuspensionTheRateIsMeasuredAnew) {
  Machine machine;
  CycleTime told;
  machine.calibrate(told);
  machine.suspend();
  EXPECT_FALSE(told.knows(machine.count()));
  machine.read(told);
  EXPECT_FALSE(told.has_rate());
  machine.calibrate(told);
  EXPECT_TRUE(told.knows(machine.count()));
}

TEST(CycleTimeTest, AReadingThatWasInterruptedIsNotUsed) {
  Machine machine;
  CycleTime told;
  machine.calibrate(told);
  const Instant before = told.at(machine.count());
  machine.pass(10us);
  machine.read(told, 100'000);
  EXPECT_TRUE(told.has_rate());
  EXPECT_LT(told.at(machine.count()) - before, 10us + 10ns);
  EXPECT_GT(told.at(machine.count()) - before, 10us - 10ns);
}

TEST(CycleTimeTest, AClockThatDoesNotGoByTheCounterIsReadEachTime) {
  Machine machine;
  CycleTime told;
  for (int i = 0; i < 10; ++i) {
    machine.cycles = i % 2 == 0 ? 3 : 2;
    machine.calibrate(told);
  }
  EXPECT_TRUE(told.has_failed());
  EXPECT_FALSE(told.has_rate());
}

Instant system_time() {
  timespec t;
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return Instant{std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec)};
}

// However long the test is kept from running in between.
TEST(MachineTimeTest, StaysWithinMicrosecondsOfTheSystemsClockAndNeverGoesBack) {
  MachineTime time;
  const Instant begin = system_time();
  Instant last{};
  for (Instant before = begin; before - begin < 60ms; before = system_time()) {
    const Instant told = time.now();
    const Instant after = system_time();
    ASSERT_GE(told, last);
    ASSERT_GT(told, before - 5us);
    ASSERT_LT(told, after + 5us);
    last = told;
  }
}

}  // namespace
}  // namespace weft::fibers::detail
