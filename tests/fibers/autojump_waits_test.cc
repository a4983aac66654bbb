// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What a clock that jumps waits for. A thread that is at work stands on a latch; were the clock to
// jump meanwhile, the task that opens the latch would see it.

#include <gtest/gtest.h>

#include <chrono>
#include <latch>
#include <memory>
#include <optional>
#include <utility>

#include "weft/fibers/from_thread.h"
#include "weft/fibers/instrument.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/process.h"
#include "weft/fibers/run.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/mock_clock.h"
#include "weft/fibers/thread_cache.h"
#include "weft/fibers/timeouts.h"
#include "weft/fibers/to_thread.h"
#include "weft/fibers/token.h"

namespace weft::fibers {
namespace {

using namespace std::chrono_literals;
using testing::MockClock;

MockClock& mock_clock() {
  return dynamic_cast<MockClock&>(current_clock());
}

// Opens `latch` from outside of the run, by a thread of its own that then has gone.
void open_from_outside(std::latch& latch) {
  start_thread_soon([&latch] { latch.count_down(); }, [](Outcome<void>) {});
}

// (Trio jumps: its issue 456.)
FIBER_TEST(AutojumpWaitsTest, DoesNotJumpWhileAThreadIsAtWork) {
  WEFT_NOT_SWEPT("its thread waits for what the body does later");
  WEFT_NOT_FAULT_SWEPT("its thread waits for what the body does later");
  const Instant begun = current_time();
  std::latch latch(1);
  Duration seen{-1};
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([] { sleep(300s); });
    nursery.start_soon([&] {
      to_thread::run_sync([&] { latch.wait(); });
      seen = current_time() - begun;
    });
    // Called when the run has nothing to do but to wait.
    struct Idle : Instrument {
      explicit Idle(std::latch& l) : latch(l) {}
      void before_io_wait(Duration timeout) override {
        if (timeout == Duration::zero() || std::exchange(opened, true)) return;
        open_from_outside(latch);
      }
      std::latch& latch;
      bool opened = false;
    };
    add_instrument(std::make_shared<Idle>(latch));
  });
  EXPECT_EQ(seen, 0s);
  EXPECT_EQ(current_time() - begun, 300s);
}

FIBER_TEST(AutojumpWaitsTest, JumpsWhileAThreadWaitsForItsCallIntoTheRun) {
  const Instant begun = current_time();
  const Token token = current_token();
  for (const bool abandons : {false, true}) {
    for (const std::optional<Token>& named : {std::optional<Token>(), std::optional(token)}) {
      to_thread::run_sync([named] { from_thread::run([] { sleep(1h); }, {.token = named}); },
                          {.abandon_on_cancel = abandons});
    }
  }
  EXPECT_EQ(current_time() - begun, 4h);
}

FIBER_TEST(AutojumpWaitsTest, JumpsPastACallThatHasBeenAbandoned) {
  WEFT_NOT_SWEPT("its thread waits for what the body does later");
  WEFT_NOT_FAULT_SWEPT("its thread waits for what the body does later");
  const Instant begun = current_time();
  struct Shared {
    std::latch begun{1};
    std::latch end{1};
  };
  const auto shared = std::make_shared<Shared>();
  CancelScope scope;
  CapacityLimiter limiter(1);
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      scope.run([&] {
        to_thread::run_sync(
            [shared] {
              shared->begun.count_down();
              shared->end.wait();
            },
            {.abandon_on_cancel = true, .limiter = &limiter});
      });
    });
    to_thread::run_sync([shared] { shared->begun.wait(); });
    scope.cancel();
    sleep(1h);
    shared->end.count_down();
    limiter.acquire();  // Until the thread has gone.
    limiter.release();
  });
  EXPECT_EQ(current_time() - begun, 1h);
}

FIBER_TEST(AutojumpWaitsTest, ATestMayLeaveThreadsOut) {
  WEFT_NOT_SWEPT("its thread waits for what the body does later");
  WEFT_NOT_FAULT_SWEPT("its thread waits for what the body does later");
  mock_clock().set_autojump_waits({.threads = false});
  std::latch latch(1);
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { to_thread::run_sync([&] { latch.wait(); }); });
    sleep(1h);
    latch.count_down();
  });
}

FIBER_TEST(AutojumpWaitsTest, WaitsForAChildIfAskedTo) {
  for (const bool asked : {true, false}) {
    mock_clock().set_autojump_waits({.processes = asked});
    const Instant begun = current_time();
    const auto child = open_process({"cat"}, {.stdin = kPipe});
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] {
        sleep(300s);
        if (!asked) child->stdin->close();
      });
      if (asked) child->stdin->close();
      child->wait();
      EXPECT_EQ(current_time() - begun, asked ? 0s : 300s);
    });
  }
}

}  // namespace
}  // namespace weft::fibers
