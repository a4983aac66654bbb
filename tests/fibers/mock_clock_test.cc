// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/testing/mock_clock.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "weft/fibers/errors.h"
#include "weft/fibers/event.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/run.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/fibers/timeouts.h"
#include "weft/fibers/token.h"

namespace weft::fibers {
namespace {

using namespace std::chrono_literals;
using testing::MockClock;
using testing::wait_all_tasks_blocked;

// trio: test_mock_clock.py::test_mock_clock
TEST(MockClockTest, StandsStillUntilItJumps) {
  MockClock clock;
  const Instant start = clock.current_time();
  EXPECT_EQ(clock.rate(), 0.0);
  EXPECT_EQ(clock.current_time(), start);
  clock.jump(5s);
  EXPECT_EQ(clock.current_time(), start + 5s);
  EXPECT_EQ(clock.deadline_to_sleep_time(start + 5s), 0s);
  EXPECT_EQ(clock.deadline_to_sleep_time(start), 0s);
  EXPECT_EQ(clock.deadline_to_sleep_time(start + 6s), Duration::max());
}

// trio: test_mock_clock.py::test_mock_clock
TEST(MockClockTest, GoesAtItsRate) {
  MockClock clock(1000.0);
  const Instant start = clock.current_time();
  while (clock.current_time() < start + 1s) {
  }
  const Instant deadline = clock.current_time() + 1h;
  EXPECT_GT(clock.deadline_to_sleep_time(deadline), 3s);
  EXPECT_LE(clock.deadline_to_sleep_time(deadline), 3600ms);
  EXPECT_EQ(clock.deadline_to_sleep_time(kForever), Duration::max());
  clock.set_rate(0.0);
  const Instant stopped = clock.current_time();
  EXPECT_GE(stopped, start + 1s);
  EXPECT_EQ(clock.current_time(), stopped);
}

// trio: test_mock_clock.py::test_mock_clock
TEST(MockClockTest, NeverGoesBack) {
  MockClock clock;
  EXPECT_THROW(clock.jump(-1ns), UsageError);
  EXPECT_THROW(clock.set_rate(-1.0), UsageError);
  EXPECT_THROW(clock.set_rate(std::numeric_limits<double>::quiet_NaN()), UsageError);
  EXPECT_THROW(clock.set_autojump_threshold(-1ns), UsageError);
  EXPECT_THROW(MockClock(-1.0), UsageError);
}

// trio: test_mock_clock.py::test_mock_clock_autojump
TEST(MockClockTest, JumpsFromDeadlineToDeadline) {
  MockClock clock(0.0, 0s);
  run(
      [] {
        const Instant start = current_time();
        for (int i = 0; i < 10; ++i) {
          const Instant before = current_time();
          sleep(std::chrono::seconds(i));
          EXPECT_EQ(current_time() - before, std::chrono::seconds(i));
        }
        EXPECT_EQ(current_time() - start, 45s);
        // Past deadlines need no jump.
        sleep_until(start);
        EXPECT_EQ(current_time() - start, 45s);
      },
      {.clock = &clock});
}

// trio: test_mock_clock.py::test_mock_clock_autojump
TEST(MockClockTest, WhoWaitsForTheOthersIsServedBeforeAJumpThatIsFurtherOff) {
  MockClock clock(0.0, 20ms);
  run(
      [&clock] {
        const Instant start = current_time();
        open_nursery([&](Nursery& nursery) {
          nursery.start_soon([] { sleep(1s); });
          wait_all_tasks_blocked();
          wait_all_tasks_blocked(1ms);
          EXPECT_EQ(current_time(), start);
          // A threshold counts from the moment in which it is set.
          clock.set_autojump_threshold(10000s);
          wait_all_tasks_blocked();
          clock.set_autojump_threshold(0s);
        });
        EXPECT_EQ(current_time(), start + 1s);
      },
      {.clock = &clock});
}

// trio: test_mock_clock.py::test_mock_clock_autojump_interference
TEST(MockClockTest, AClockThatTheRunDoesNotUseChangesNothing) {
  MockClock clock(0.0, 20ms);
  run(
      [&clock] {
        MockClock other;
        other.set_autojump_threshold(0s);
        const Instant start = current_time();
        open_nursery([&](Nursery& nursery) {
          nursery.start_soon([] { sleep(100000s); });
          wait_all_tasks_blocked(1ms);
          EXPECT_EQ(current_time(), start);
        });
        EXPECT_EQ(current_time(), start + 100000s);
        EXPECT_EQ(clock.autojump_threshold(), 20ms);
      },
      {.clock = &clock});
}

// trio: test_mock_clock.py::test_initialization_doesnt_mutate_runner
TEST(MockClockTest, MakingOneChangesNothingInTheRun) {
  MockClock clock(0.0, 0s);
  run(
      [&clock] {
        const MockClock other(3.0, 2s);
        EXPECT_EQ(&current_clock(), &clock);
        EXPECT_EQ(current_clock().autojump_threshold(), 0s);
        EXPECT_EQ(other.rate(), 3.0);
        const Instant start = current_time();
        sleep(1s);
        EXPECT_EQ(current_time(), start + 1s);
      },
      {.clock = &clock});
}

// trio: test_mock_clock.py::test_mock_clock_autojump_preset
TEST(MockClockTest, TheLastThresholdBeforeTheRunCounts) {
  MockClock clock(0.0, 10000s);
  clock.set_autojump_threshold(1ms);
  const Instant start = clock.current_time();
  run([] { sleep(10000s); }, {.clock = &clock});
  EXPECT_EQ(clock.current_time(), start + 10000s);
}

// trio: test_mock_clock.py::test_mock_clock_autojump_0_and_wait_all_tasks_blocked_0
TEST(MockClockTest, WaitAllTasksBlockedComesBeforeAJump) {
  MockClock clock(0.0, 0s);
  run(
      [] {
        std::vector<std::string> order;
        open_nursery([&](Nursery& nursery) {
          nursery.start_soon([&] {
            sleep(1s);
            order.emplace_back("slept");
          });
          wait_all_tasks_blocked();
          order.emplace_back("blocked");
          sleep(10s);
          order.emplace_back("slept longer");
        });
        EXPECT_EQ(order, (std::vector<std::string>{"blocked", "slept", "slept longer"}));
      },
      {.clock = &clock});
}

// trio: test_mock_clock.py::test_mock_clock_autojump
TEST(MockClockTest, ThresholdMayBeSetWhileRunning) {
  MockClock clock;
  run(
      [&clock] {
        const Instant start = current_time();
        clock.set_autojump_threshold(0s);
        sleep(24h);
        EXPECT_EQ(current_time() - start, 24h);
        // And taken away again: then only jump() helps.
        clock.set_autojump_threshold(Duration::max());
        open_nursery([&](Nursery& nursery) {
          nursery.start_soon([] { sleep(1h); });
          wait_all_tasks_blocked();
          EXPECT_EQ(current_time() - start, 24h);
          clock.jump(1h);
        });
        EXPECT_EQ(current_time() - start, 25h);
      },
      {.clock = &clock});
}

TEST(MockClockTest, JumpsOnlyWhenEverybodyWaits) {
  MockClock clock(0.0, 0s);
  run(
      [] {
        std::vector<int> order;
        open_nursery([&](Nursery& nursery) {
          nursery.start_soon([&] {
            sleep(100s);
            order.push_back(2);
          });
          // Busy all the time: as long as it runs no jump may happen.
          for (int i = 0; i < 100; ++i) checkpoint();
          order.push_back(1);
        });
        EXPECT_EQ(order, (std::vector{1, 2}));
      },
      {.clock = &clock});
}

TEST(MockClockTest, WhoWaitsForWhatCannotComeGetsADeadlockError) {
  MockClock clock(0.0, 0s);
  EXPECT_THROW(run([] { sleep_forever(); }, {.clock = &clock}), DeadlockError);
}

// Stands still for good. Its reading is the last that a run does before it believes that nothing
// can happen, and there another thread makes its last call.
class LastMinuteClock final : public Clock {
 public:
  Instant current_time() override {
    if (last_call) std::thread(std::exchange(last_call, nullptr)).join();
    return Instant{};
  }
  Duration deadline_to_sleep_time(Instant /*deadline*/) override { return Duration::max(); }
  Duration autojump_threshold() const override { return Duration::zero(); }

  std::function<void()> last_call;
};

TEST(MockClockTest, AThreadThatHasSpokenAndGoneWasHeard) {
  LastMinuteClock clock;
  Event heard;
  const auto body = [&] {
    checkpoint();  // So that the poll behind the clock's reading finds nothing to do.
    clock.last_call = [&heard, token = std::make_shared<Token>(current_token())]() mutable {
      token->run_sync_soon([&heard] { heard.set(); });
      token.reset();
    };
    heard.wait();
  };
  EXPECT_NO_THROW(run(body, {.clock = &clock}));
}

}  // namespace
}  // namespace weft::fibers
