// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The moments of a run_trio: cancelled between two of them, ended by somebody else.

#include <gtest/gtest.h>

#include <chrono>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>

#include "tests/shim/shim_test_support.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/event.h"
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

// The task's end is nobody who asks for it.
void loses_no_error(void (*task)()) {
  const CapturedLog log;
  const auto error = error_of([task] {
    open_loop([task](EventLoop& loop) {
      auto future = run_trio(task);
      loop.synchronize();
      future.set_exception(std::make_exception_ptr(std::runtime_error("by somebody else")));
      future = {};
      fibers::sleep(std::chrono::seconds(2));
    });
  });
  EXPECT_TRUE(holds<std::runtime_error>(fibers::lone_error(error)));
  ASSERT_FALSE(log.lines.empty());
  EXPECT_NE(log.lines[0].find("never retrieved"), std::string::npos) << log.lines[0];
}

FIBER_TEST(TrioCallTest, AnErrorThatSomebodyElseHasSetIsToldOfHoweverTheTaskEnds) {
  WEFT_NOT_SWEPT("cancelled before that nobody sets it");
  WEFT_NOT_ALLOCATION_SWEPT("the error would be another one");
  loses_no_error([] { fibers::sleep_forever(); });
  loses_no_error([] {
    fibers::sleep(std::chrono::seconds(1));
    throw loop::CancelledError();
  });
}

}  // namespace
}  // namespace weft::shim
