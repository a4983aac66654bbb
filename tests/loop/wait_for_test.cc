// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/wait_for.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>

#include "tests/loop/loop_testing.h"
#include "weft/fibers/errors.h"
#include "weft/loop/event_loop.h"

namespace weft::loop {
namespace {

using namespace testing;  // NOLINT: the helpers of the folder.

// asyncio: test_waitfor.py::AsyncioWaitForTest::test_wait_for
FIBER_TEST(WaitForTest, GivesTheResultOfWhatEndsInTime) {
  with_loop([](EventLoop& loop) {
    auto coro = loop.create_task([&]() -> Coro<int> {
      auto task = current_task().get_loop().create_task(after(1s, 2));
      const int one = co_await wait_for(after(1s, 1), 2s);
      const int two = co_await wait_for(task, 2s);
      const int three = co_await wait_for([] { return 3; }, fibers::Duration::max());
      auto four = co_await wait_for(
          []() -> Coro<std::unique_ptr<int>> { co_return std::make_unique<int>(4); }, 1s);
      co_await wait_for(sleep(1s), 2s);
      co_return one * 1000 + two * 100 + three * 10 + *four;
    });
    EXPECT_EQ(await(coro), 1234);
    auto stack = loop.create_task([] { return await(wait_for(after(1s, 7), 2s)); });
    EXPECT_EQ(await(stack), 7);
  });
}

// asyncio: test_waitfor.py::AsyncioWaitForTest::test_asyncio_wait_for_timeout
// asyncio: claims_combinators::wait_for_waits_for_the_cancelled_one
// asyncio: test_waitfor.py::AsyncioWaitForTest::test_wait_for_waits_for_task_cancellation
FIBER_TEST(WaitForTest, CancelsWhatTakesLongerAndWaitsForItsEnd) {
  with_loop([](EventLoop& loop) {
    const auto start = loop.time();
    auto slow = loop.create_task([] {
      try {
        await(sleep(10s));
      } catch (const CancelledError&) {
        await(sleep(1s));
        throw;
      }
    });
    auto coro = loop.create_task([&]() -> Coro<void> { co_await wait_for(slow, 1s); });
    EXPECT_THROW(await(coro), TimeoutError);
    EXPECT_EQ(loop.time() - start, 2s);
    EXPECT_TRUE(slow.cancelled());
    auto stack = loop.create_task([] { await(wait_for(sleep(10s), 1s)); });
    EXPECT_THROW(await(stack), TimeoutError);
  });
}

// asyncio: test_waitfor.py::AsyncioWaitForTest::test_wait_for_timeout_less_then_0_or_0_future_done
// asyncio: claims_combinators::wait_for_without_time_returns_a_done_future
FIBER_TEST(WaitForTest, WithoutAnyTimeGivesTheResultOfADoneFuture) {
  with_loop([](EventLoop& loop) {
    auto done = loop.create_future<int>();
    done.set_result(7);
    for (const fibers::Duration timeout : {0s, -1s}) {
      auto task = loop.create_task([=] { return await(wait_for(done, timeout)); });
      EXPECT_EQ(await(task), 7);
    }
  });
}

// asyncio: test_waitfor.py::test_wait_for_timeout_less_then_0_or_0_coroutine_do_not_started
// asyncio: claims_combinators::wait_for_without_time_never_starts_a_coroutine
FIBER_TEST(WaitForTest, WithoutAnyTimeNothingIsBegun) {
  bool begun = false;
  with_loop([&](EventLoop& loop) {
    auto task = loop.create_task([&begun] {
      EXPECT_THROW(await(wait_for(
                       [](bool& b) -> Coro<void> {
                         b = true;
                         co_return;
                       }(begun),
                       0s)),
                   TimeoutError);
      EXPECT_THROW(await(wait_for([&begun] { begun = true; }, -1s)), TimeoutError);
    });
    await(task);
  });
  EXPECT_FALSE(begun);
}

// asyncio: test_waitfor.py::AsyncioWaitForTest::test_wait_for_timeout_less_then_0_or_0
FIBER_TEST(WaitForTest, WithoutAnyTimeATaskIsCancelled) {
  with_loop([](EventLoop& loop) {
    auto slow = loop.create_task(sleep(10s));
    loop.synchronize();
    auto task = loop.create_task([&] { await(wait_for(slow, 0s)); });
    EXPECT_THROW(await(task), TimeoutError);
    EXPECT_TRUE(slow.cancelled());
  });
}

// asyncio: test_waitfor.py::test_wait_for_waits_for_task_cancellation_w_timeout_0
FIBER_TEST(WaitForTest, WithoutAnyTimeTheCancelledOneIsWaitedFor) {
  with_loop([](EventLoop& loop) {
    auto slow = loop.create_task([] {
      try {
        await(sleep(10s));
      } catch (const CancelledError&) {
        await(sleep(1s));
      }
      return 7;
    });
    loop.synchronize();
    const auto start = loop.time();
    auto task = loop.create_task([&] { return await(wait_for(slow, 0s)); });
    EXPECT_EQ(await(task), 7);  // What has a result after all, has it.
    EXPECT_EQ(loop.time() - start, 1s);
  });
}

// asyncio: test_waitfor.py::AsyncioWaitForTest::test_wait_for_race_condition
FIBER_TEST(WaitForTest, AResultThatComesWithTheTimeWins) {
  with_loop([](EventLoop& loop) {
    auto future = loop.create_future<int>();
    auto task = loop.create_task([&] { return await(wait_for(future, 1s)); });
    loop.call_later(1s, [future]() mutable {
      if (!future.done()) future.set_result(7);
    });
    EXPECT_EQ(await(task), 7);
  });
}

// asyncio: test_waitfor.py::test_wait_for_reraises_exception_during_cancellation
// asyncio: claims_combinators::wait_for_passes_an_exception_during_cancel
FIBER_TEST(WaitForTest, AnErrorThrownOnBeingCancelledComesOut) {
  with_loop([](EventLoop& loop) {
    auto task = loop.create_task([] {
      await(wait_for(
          [] {
            try {
              await(sleep(10s));
            } catch (const CancelledError&) {
              throw std::runtime_error("while leaving");
            }
          },
          1s));
    });
    EXPECT_EQ(thrown<std::runtime_error>([&] { await(task); }), "while leaving");
  });
}

// asyncio: test_waitfor.py::AsyncioWaitForTest::test_asyncio_wait_for_cancelled
// asyncio: test_waitfor.py::AsyncioWaitForTest::test_cancel_wait_for
FIBER_TEST(WaitForTest, CancellingTheWaiterCancelsWhatItWaitsFor) {
  with_loop([](EventLoop& loop) {
    auto slow = loop.create_task(sleep(10s));
    auto task =
        loop.create_task([](Task<void> t) -> Coro<void> { co_await wait_for(t, 5s); }(slow));
    loop.synchronize();
    EXPECT_TRUE(task.cancel());
    EXPECT_THROW(await(task), CancelledError);
    EXPECT_TRUE(slow.cancelled());
  });
}

// asyncio: test_waitfor.py::AsyncioWaitForTest::test_wait_for_self_cancellation
FIBER_TEST(WaitForTest, WhatSwallowsTheWaitersCancellationGivesItsResult) {
  with_loop([](EventLoop& loop) {
    auto slow = loop.create_task([] {
      try {
        await(sleep(10s));
      } catch (const CancelledError&) {
        await(sleep(1s));
      }
      return 7;
    });
    auto task = loop.create_task([&] { return await(wait_for(slow, 20s)); });
    loop.synchronize();
    EXPECT_TRUE(task.cancel());
    EXPECT_EQ(await(task), 7);
  });
}

// asyncio: test_waitfor.py::AsyncioWaitForTest::test_cancel_blocking_wait_for
FIBER_TEST(WaitForTest, WhatWasCancelledByOthersIsNoTimeout) {
  with_loop([](EventLoop& loop) {
    auto future = loop.create_future<int>();
    auto task = loop.create_task([&] { await(wait_for(future, 10s)); });
    loop.synchronize();
    future.cancel();
    EXPECT_THROW(await(task), CancelledError);
  });
}

FIBER_TEST(WaitForTest, ACallbackAndATrioTaskMayWaitToo) {
  WEFT_NOT_ALLOCATION_SWEPT("nobody else ends its future");
  with_loop([](EventLoop& loop) {
    EXPECT_THROW(await(wait_for(loop.create_future<int>(), 1s)), TimeoutError);
    auto never = loop.create_future<int>();
    fibers::move_on_after(1s, [&] { await(wait_for(never, 10s)); });
    EXPECT_TRUE(never.cancelled());
    auto timed_out = loop.create_future<bool>();
    loop.call_soon([&] {
      try {
        await(wait_for(sleep(10s), 1s));
      } catch (const TimeoutError&) {
        timed_out.set_result(true);
      }
    });
    EXPECT_TRUE(await(timed_out));
    EXPECT_THROW(await(wait_for(sleep(10s), 1s)), fibers::UsageError);
  });
}

}  // namespace
}  // namespace weft::loop
