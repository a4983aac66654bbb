// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/testing/explore_guest.h"

#include <gmock/gmock.h>
#include <poll.h>

#include <chrono>
#include <functional>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/guest.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers::testing {
namespace {

using std::chrono::hours;
using ::testing::HasSubstr;

// A loop that waits for nothing but its guest, and does `between` after each tick.
ExploreHost polling(std::function<void()> between = [] {}) {
  return [between](const std::function<void()>& main, const RunOptions& options) {
    std::optional<Outcome<void>> outcome;
    const GuestRun guest = start_guest_run(
        main, {.done_callback = [&](Outcome<void> ended) { outcome.emplace(std::move(ended)); },
               .run = options});
    pollfd readable{guest.pollable_fd(), POLLIN, 0};
    while (::poll(&readable, 1, -1), guest.tick()) between();
    outcome->unwrap();
  };
}

std::vector<int> order_of_three() {
  std::vector<int> order;
  open_nursery([&](Nursery& nursery) {
    for (int i = 0; i < 3; ++i) nursery.start_soon([&order, i] { order.push_back(i); });
  });
  return order;
}

TEST(ExploreGuestTest, TriesEveryOrderThatARunOfItsOwnHas) {
  std::set<std::vector<int>> orders;
  const auto body = [&] { orders.insert(order_of_three()); };
  const ExploreResult guest = explore_guest(polling(), body);
  EXPECT_EQ(orders.size(), 6U);
  EXPECT_TRUE(guest.exhausted);
  EXPECT_EQ(guest.schedules, explore(body).schedules);
}

// It cancels in the schedules in which the task that asks for it is the first.
TEST(ExploreGuestTest, WhatTheHostDoesIsExplored) {
  CancelScope* to_cancel = nullptr;
  std::set<int> finished;
  const auto host = polling([&] {
    if (CancelScope* const scope = std::exchange(to_cancel, nullptr)) scope->cancel();
  });
  explore_guest(host, [&] {
    CancelScope scope;
    bool begun = false;
    int ended = 0;
    scope.run([&] {
      open_nursery([&](Nursery& nursery) {
        nursery.start_soon([&] { to_cancel = begun ? nullptr : &scope; });
        nursery.start_soon([&] {
          begun = true;
          checkpoint();
          ++ended;
        });
      });
    });
    finished.insert(ended);
  });
  EXPECT_EQ(finished, (std::set<int>{0, 1}));
}

TEST(ExploreGuestTest, ItsClockJumps) {
  explore_guest(polling(), [] {
    const Instant before = current_time();
    sleep(hours(1));
    EXPECT_EQ(current_time() - before, hours(1));
  });
}

TEST(ExploreGuestTest, ATokenRunsTheFailedScheduleAgain) {
  const auto body = [] {
    if (order_of_three() == std::vector<int>{1, 2, 0}) throw std::logic_error("this order");
  };
  std::string token;
  try {
    explore_guest(polling(), body);
    FAIL() << "no schedule failed";
  } catch (const ExploreError& error) {
    EXPECT_THAT(error.what(), HasSubstr("this order"));
    token = error.token();
  }
  EXPECT_THROW(explore_guest(polling(), body, {.replay = token}), ExploreError);
}

TEST(ExploreGuestTest, AnErrorOfTheHostsFailsTheSchedule) {
  const auto host = [](const std::function<void()>& main, const RunOptions& options) {
    polling()(main, options);
    throw std::logic_error("something is left");
  };
  EXPECT_THROW(explore_guest(host, [] {}), ExploreError);
}

TEST(ExploreGuestTest, AHostThatReturnsTooSoonIsRefused) {
  const auto host = [](const std::function<void()>&, const RunOptions&) {};
  EXPECT_THROW(explore_guest(host, [] {}), UsageError);
}

}  // namespace
}  // namespace weft::fibers::testing
