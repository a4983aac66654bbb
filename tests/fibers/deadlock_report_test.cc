// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/deadlock_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/captured_log.h"
#include "tests/support/pipe.h"
#include "weft/fibers/event.h"
#include "weft/fibers/io.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/run.h"
#include "weft/fibers/timeouts.h"
#include "weft/fibers/to_thread.h"
#include "weft/fibers/token.h"

namespace weft::fibers {
namespace {

using ::testing::ContainsRegex;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Runs `main` on the machine's clock, and ends it when it has been reported.
std::vector<std::string> reports_of(void (*main)(CancelScope& scope)) {
  std::vector<std::string> reports;
  CancelScope scope;
  const auto report = std::make_shared<DeadlockReport>([&](const std::string& text) {
    reports.push_back(text);
    current_token().run_sync_soon([&scope] { scope.cancel(); });
  });
  run([&] { scope.run([&] { main(scope); }); }, {.instruments = {report}});
  return reports;
}

TEST(DeadlockReportTest, ReportsARealRunInWhichNothingCanHappen) {
  const auto reports = reports_of([](CancelScope&) {
    Event never;
    open_nursery(
        [&](Nursery& nursery) { nursery.start_soon([&] { never.wait(); }, {.name = "waiter"}); });
  });
  ASSERT_EQ(reports.size(), 1U);
  EXPECT_THAT(reports[0], HasSubstr(" waits for Event.wait; no task is known"));
  EXPECT_THAT(reports[0], ContainsRegex("└─ waiter #[0-9]+  waiting for Event.wait"));
}

TEST(DeadlockReportTest, ADeadlineADescriptorAndAThreadAreHope) {
  const auto reports = reports_of([](CancelScope&) {
    sleep(std::chrono::milliseconds(1));
    const test::Pipe pipe;
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] { wait_readable(pipe[0]); });
      to_thread::run_sync([&] { EXPECT_EQ(::write(pipe[1], "x", 1), 1); });
    });
  });
  EXPECT_THAT(reports, ElementsAre());
}

TEST(DeadlockReportTest, ATokenIsHope) {
  const auto reports = reports_of([](CancelScope& scope) {
    std::jthread caller([&scope, token = current_token()]() mutable {
      token.run_sync_soon([&scope] { scope.cancel(); });
    });
    sleep_forever();
  });
  // The thread may have gone before the run has come to sleep; then it was not reported either.
  EXPECT_THAT(reports, ElementsAre());
}

TEST(DeadlockReportTest, IsLoggedWhereThereIsNoSink) {
  const test::CapturedLog log;
  // Nothing ends this run but an instrument of the test's.
  struct Rescue : Instrument {
    void before_io_wait(Duration timeout) override {
      if (timeout > Duration::zero()) current_token().run_sync_soon([this] { scope.cancel(); });
    }
    CancelScope scope;
  };
  const auto rescue = std::make_shared<Rescue>();
  run([&] { rescue->scope.run([] { sleep_forever(); }); },
      {.instruments = {std::make_shared<DeadlockReport>(), rescue}});
  ASSERT_EQ(log.lines.size(), 1U);
  EXPECT_THAT(log.lines[0], HasSubstr("main"));
  EXPECT_EQ(log.levels[0], LogLevel::kWarning);
}

TEST(DeadlockReportTest, TheSameIsSaidOnce) {
  std::vector<std::string> reports;
  const auto report =
      std::make_shared<DeadlockReport>([&](const std::string& text) { reports.push_back(text); });
  // Wakes the run for nothing, as a signal does, and then for good.
  struct Waker : Instrument {
    void before_io_wait(Duration timeout) override {
      if (timeout == Duration::zero()) return;
      current_token().run_sync_soon([this] {
        if (++times == 3) scope.cancel();
      });
    }
    int times = 0;
    CancelScope scope;
  };
  const auto waker = std::make_shared<Waker>();
  run([&] { waker->scope.run([] { sleep_forever(); }); }, {.instruments = {report, waker}});
  EXPECT_EQ(reports.size(), 1U);
}

}  // namespace
}  // namespace weft::fibers
