// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The moments of a run_trio: cancelled between two of them, ended by somebody else.

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>

#include "tests/shim/shim_test_support.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/event.h"
#include "weft/fibers/inspect.h"
#include "weft/fibers/lone_error.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/timeouts.h"
#include "weft/shim/shim.h"

namespace weft::shim {
namespace {

// The task has been started and has not had its first turn.
FIBER_TEST(TrioCallTest, CancelledBetweenItsStartAndItsTurnItIsNeverCalled) {
  for (int round = 0; round < 20; ++round) {
    fibers::Event now;
    bool begun = false;
    bool cancelled_before = false;
    loop::Future<void> future;
    open_loop([&](EventLoop& loop) {
      fibers::open_nursery([&](fibers::Nursery& nursery) {
        nursery.start_soon([&] {
          now.wait();
          cancelled_before = !begun;
          future.cancel();
        });
        loop.synchronize();
        loop.call_soon([&] { now.set(); });
        future = run_trio([&begun, held = std::make_shared<bool*>(&cancelled_before)] {
          begun = true;
          EXPECT_FALSE(**held);
          fibers::sleep_forever();
        });
      });
      EXPECT_TRUE(holds<loop::CancelledError>(error_of([&] { run_aio_future(future); })));
      EXPECT_NE(begun, cancelled_before);
    });
  }
}

FIBER_TEST(TrioCallTest, TheMessageOfTheCancellationIsTheReasonInTheTask) {
  std::string reason;
  open_loop([&](EventLoop& loop) {
    auto future = run_trio([&reason] {
      try {
        fibers::sleep_forever();
      } catch (const fibers::Cancelled& cancelled) {
        reason = cancelled.reason();
        throw;
      }
    });
    loop.synchronize();
    future.cancel("no longer wanted");
    error_of([&] { run_aio_future(future); });
  });
  EXPECT_EQ(reason, "no longer wanted");
}

// Who sets a result has the last word; the task goes on, and its own value goes nowhere.
FIBER_TEST(TrioCallTest, AFutureThatSomebodyElseEndsKeepsThat) {
  const CapturedLog log;
  bool ended = false;
  open_loop([&](EventLoop& loop) {
    auto future = run_trio([&ended] {
      fibers::sleep(std::chrono::seconds(1));
      ended = true;
      return 1;
    });
    loop.synchronize();
    future.set_result(2);
    EXPECT_EQ(run_aio_future(future), 2);
    EXPECT_FALSE(ended);
    fibers::sleep(std::chrono::seconds(2));
    EXPECT_EQ(future.result(), 2);
  });
  EXPECT_TRUE(ended);
  EXPECT_TRUE(log.lines.empty());
}

struct Failure : std::runtime_error {
  Failure() : std::runtime_error("failure") {}
};

// Cancelled with the block it is thrown on, to the scope that it belongs to.
FIBER_TEST(TrioCallTest, TheBlocksCancellationIsNotSwallowed) {
  const CapturedLog log;  // Of the failures.
  const auto fails_while_cancelled = [] {
    fibers::open_nursery([](fibers::Nursery& nursery) {
      nursery.start_soon([] { fibers::sleep_forever(); });
      try {
        fibers::sleep_forever();
      } catch (const fibers::Cancelled&) {
        throw Failure();
      }
    });
  };
  const auto error = error_of([&] {
    open_loop([&](EventLoop& loop) {
      const auto held = run_trio([] { fibers::sleep_forever(); });
      const auto failing = run_trio(fails_while_cancelled);
      run_trio_task([] { fibers::sleep_forever(); });
      run_trio_task(fails_while_cancelled);
      loop.synchronize();
    });
  });
  EXPECT_TRUE(holds<Failure>(fibers::lone_error(error))) << "of the task that nobody holds";
  EXPECT_EQ(fibers::last_swallowed_cancelled(), "");
}

}  // namespace
}  // namespace weft::shim
