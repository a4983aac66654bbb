// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The portal in every schedule there is, where one thread is enough. Calls from other threads come
// in by the run's token, which is where these begin.

#include <gtest/gtest.h>

#include <cstdint>
#include <exception>
#include <optional>
#include <stdexcept>

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/loop/errors.h"
#include "weft/shim/portal.h"

namespace weft::shim {
namespace {

using fibers::CancelScope;
using fibers::Nursery;
using fibers::open_nursery;

std::uint64_t uncounted() {
  const PortalStatistics statistics = portal_statistics();
  return statistics.extra_calls + statistics.late_calls;
}

// A value, an error, an acknowledgement and a cancellation, in every order.
void everything_at_once(CancelResult answer) {
  const std::uint64_t before = uncounted();
  CancelScope scope;
  std::optional<Completion<int>> completion;
  int ended = 0;
  int cancels = 0;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      scope.run([&] {
        try {
          EXPECT_EQ(wait_for_callback<int>(
                        [&](Completion<int> done) { completion.emplace(std::move(done)); },
                        [&] {
                          ++cancels;
                          return answer;
                        }),
                    7);
          ++ended;
        } catch (const std::out_of_range&) {
          ++ended;
        } catch (const loop::CancelledError&) {
          ++ended;
        }
      });
    });
    nursery.start_soon([&] { scope.cancel(); });
    nursery.start_soon([&] {
      if (completion) completion->complete_threadsafe(7);
    });
    nursery.start_soon([&] {
      if (completion) completion->cancelled_threadsafe();
    });
    nursery.start_soon([&] {
      fibers::checkpoint();
      if (completion) completion->fail(std::make_exception_ptr(std::out_of_range("far")));
    });
  });
  EXPECT_LE(cancels, 1);
  EXPECT_EQ(ended + (scope.cancelled_caught() ? 1 : 0), 1);
  if (completion) {
    // The last task calls in any case; of all calls at most one has counted.
    EXPECT_LE(uncounted() - before, 3U);
  }
}

EXPLORE_TEST(PortalExplored, WhatIsStoppedEndsOnce) {
  exploration.prune();
  everything_at_once(CancelResult::kWillComplete);
}

EXPLORE_TEST(PortalExplored, WhatIsAbandonedEndsOnce) {
  exploration.prune();
  everything_at_once(CancelResult::kAbandoned);
}

// Whoever drops the last copy, and whenever, the wait ends.
EXPLORE_TEST(PortalExplored, TheLastCopyEndsTheWait) {
  exploration.prune();
  std::optional<Completion<void>> copies[2];
  bool broken = false;
  open_nursery([&](Nursery& nursery) {
    for (auto& copy : copies) {
      nursery.start_soon([&] {
        fibers::checkpoint();
        while (!copy) fibers::checkpoint();
        copy.reset();
      });
    }
    try {
      wait_for_callback<void>(
          [&](const Completion<void>& done) {
            for (auto& copy : copies) copy.emplace(done);
          },
          [] { return CancelResult::kWillComplete; });
    } catch (const fibers::BrokenResourceError&) {
      broken = true;
    }
  });
  EXPECT_TRUE(broken);
}

}  // namespace
}  // namespace weft::shim
