// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// How a callback that awaits a future is told that it is cancelled: once.

#include <stdexcept>
#include <string>
#include <vector>

#include "tests/loop/loop_testing.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/lowlevel.h"

namespace weft::loop {
namespace {

using testing::with_loop;
using namespace std::chrono_literals;

// Counts what an await throws.
struct Seen {
  int cancelled_error = 0;  // asyncio's.
  int cancelled = 0;        // Trio's.

  void await_counting(Future<void> future) {
    try {
      await(std::move(future));
    } catch (const CancelledError&) {
      ++cancelled_error;
    } catch (const fibers::Cancelled&) {
      ++cancelled;
    }
  }
};

FIBER_TEST(CancelledCallbackTest, AwaitThrowsCancelledErrorOnceAndTheCleanupMayWait) {
  WEFT_NOT_SWEPT("its callback uses the loop after it is cancelled");
  with_loop([](EventLoop& loop) {
    Seen seen;
    bool cleaned_up = false;
    Handle handle = loop.call_soon([&] {
      Future<void> awaited = loop.create_future<void>();
      seen.await_counting(awaited);
      if (running_loop() == nullptr) return;  // A fault has ended the body, and the loop with it.
      EXPECT_TRUE(awaited.cancelled());
      Future<void> later = loop.create_future<void>();
      loop.call_later(1s, [later]() mutable { later.set_result(); });
      seen.await_counting(later);
      fibers::sleep(1s);
      cleaned_up = true;
    });
    loop.synchronize();
    const testing::CapturedLog log;
    handle.cancel();
    handle.cancel();
    loop.cancel_blocked();
    fibers::sleep(500ms);
    handle.cancel();
    loop.wait_blocked();
    EXPECT_TRUE(cleaned_up);
    EXPECT_EQ(seen.cancelled_error, 1);
    EXPECT_EQ(seen.cancelled, 0);
    EXPECT_TRUE(log.lines.empty()) << "asyncio's code may swallow it: " << log.lines[0];
  });
}

// The handler of with_loop fails the test for what reaches it.
FIBER_TEST(CancelledCallbackTest, TheCancelledErrorThatComesOutIsNobodysError) {
  with_loop([](EventLoop& loop) {
    Handle plain = loop.call_soon([&] { await(loop.create_future<void>()); });
    Handle nested = loop.call_soon([&] {
      fibers::open_nursery([&](fibers::Nursery& nursery) {
        nursery.start_soon([] { fibers::sleep_forever(); });
        await(loop.create_future<void>());
      });
    });
    loop.synchronize();
    plain.cancel();
    nested.cancel();
    loop.wait_blocked();
    loop.synchronize();
  });
}

FIBER_TEST(CancelledCallbackTest, OfAGroupTheRestIsReported) {
  std::vector<std::string> errors;
  with_loop([&](EventLoop& loop) {
    loop.set_exception_handler([&](EventLoop&, const ExceptionContext& context) {
      try {
        std::rethrow_exception(context.exception);
      } catch (const fibers::BaseExceptionGroup& group) {
        errors.push_back(group.describe());
      }
    });
    Handle handle = loop.call_soon([&] {
      fibers::open_nursery([&](fibers::Nursery& nursery) {
        nursery.start_soon([] {
          try {
            fibers::sleep_forever();
          } catch (const fibers::Cancelled&) {
            throw std::runtime_error("while cleaning up");
          }
        });
        await(loop.create_future<void>());
      });
    });
    loop.synchronize();
    handle.cancel();
    loop.wait_blocked();
    loop.synchronize();
    ASSERT_EQ(errors.size(), 1U);
    EXPECT_NE(errors[0].find("while cleaning up"), std::string::npos) << errors[0];
    EXPECT_EQ(errors[0].find("the future was cancelled"), std::string::npos) << errors[0];
  });
}

FIBER_TEST(CancelledCallbackTest, AFutureCancelledBySomebodyElseIsAnErrorAsEver) {
  with_loop([](EventLoop& loop) {
    int errors = 0;
    loop.set_exception_handler([&](EventLoop&, const ExceptionContext&) { ++errors; });
    Future<void> future = loop.create_future<void>();
    loop.call_soon([&] { await(future); });
    loop.synchronize();
    future.cancel();
    loop.wait_blocked();
    loop.synchronize();
    EXPECT_EQ(errors, 1);
  });
}

FIBER_TEST(CancelledCallbackTest, AScopeInsideStillThrowsCancelled) {
  WEFT_NOT_SWEPT("its callback uses the loop after it is cancelled");
  bool in_time = true;
  int waits = 0;
  with_loop([&](EventLoop& loop) {
    Handle handle = loop.call_soon([&] {
      in_time = fibers::move_on_after(1s, [&] { await(loop.create_future<void>()); });
      ++waits;
      // After the one that counts, deadlines inside still work.
      try {
        await(loop.create_future<void>());
      } catch (const CancelledError&) {
        in_time = fibers::move_on_after(1s, [&] { await(loop.create_future<void>()); });
        ++waits;
      }
    });
    fibers::sleep(2s);
    EXPECT_FALSE(in_time);
    in_time = true;
    handle.cancel();
    loop.wait_blocked();
    EXPECT_FALSE(in_time);
    EXPECT_EQ(waits, 2);
  });
}

FIBER_TEST(CancelledCallbackTest, AShieldInsideHoldsItBack) {
  WEFT_NOT_SWEPT("a shielded wait has nobody left to end it");
  with_loop([](EventLoop& loop) {
    Seen inside;
    Seen after;
    Handle handle = loop.call_soon([&] {
      Future<void> future = loop.create_future<void>();
      loop.call_later(3s, [future]() mutable { future.set_result(); });
      fibers::CancelScope shield({.shield = true});
      shield.run([&] {
        inside.await_counting(future);
        // A deadline of the shield's own is not the callback's cancellation.
        fibers::CancelScope deadline({.relative_deadline = fibers::Duration(1s)});
        deadline.run([&] { await(loop.create_future<void>()); });
        EXPECT_TRUE(deadline.cancelled_caught());
      });
      after.await_counting(loop.create_future<void>());
    });
    fibers::sleep(1s);
    handle.cancel();
    loop.wait_blocked();
    EXPECT_EQ(inside.cancelled_error, 0);
    EXPECT_EQ(inside.cancelled, 0);
    EXPECT_EQ(after.cancelled_error, 1);
  });
}

FIBER_TEST(CancelledCallbackTest, ATaskInsideIsCancelledAsATask) {
  WEFT_NOT_SWEPT("its callback uses the loop after it is cancelled");
  WEFT_NOT_ALLOCATION_SWEPT("its callback uses what its body declares");
  with_loop([](EventLoop& loop) {
    Seen seen;
    Handle handle = loop.call_soon([&] {
      fibers::open_nursery([&](fibers::Nursery& nursery) {
        nursery.start_soon([&] {
          seen.await_counting(loop.create_future<void>());
          seen.await_counting(loop.create_future<void>());
        });
      });
    });
    fibers::sleep(1s);
    const testing::CapturedLog log;  // Swallowing it is worth a warning there.
    handle.cancel();
    loop.wait_blocked();
    EXPECT_EQ(seen.cancelled_error, 0);
    EXPECT_EQ(seen.cancelled, 2);
  });
}

FIBER_TEST(CancelledCallbackTest, CancelledWhileItRunsTheNextAwaitThrows) {
  with_loop([](EventLoop& loop) {
    Seen seen;
    Handle handle;
    handle = loop.call_soon([&] {
      fibers::checkpoint();
      handle.cancel();
      seen.await_counting(loop.create_future<void>());
      fibers::sleep(1s);
    });
    fibers::sleep(3s);
    EXPECT_EQ(seen.cancelled_error, 1);
    EXPECT_EQ(loop.statistics().blocked, 0U);
  });
}

FIBER_TEST(CancelledCallbackTest, TheNextCallbackOfTheRunnerIsNotAffected) {
  WEFT_NOT_SWEPT("its callback uses what the body owns after it is cancelled");
  with_loop([](EventLoop& loop) {
    for (int i = 0; i < 3; ++i) {
      Seen seen;
      Handle handle = loop.call_soon([&] { seen.await_counting(loop.create_future<void>()); });
      loop.synchronize();
      handle.cancel();
      loop.wait_blocked();
      EXPECT_EQ(seen.cancelled_error, 1);
    }
  });
}

}  // namespace
}  // namespace weft::loop
