// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/shim/trio_as_aio.h"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/shim/shim_test_support.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/context_var.h"
#include "weft/fibers/format_exception.h"
#include "weft/fibers/lone_error.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/timeouts.h"
#include "weft/shim/loop_resource.h"
#include "weft/shim/open_loop.h"

namespace weft::shim {
namespace {

using namespace std::chrono_literals;
using fibers::Cancelled;
using fibers::CancelScope;
using fibers::current_time;
using fibers::Instant;
using fibers::Nursery;
using fibers::open_nursery;
using fibers::sleep;
using fibers::sleep_forever;
using loop::await;
using loop::CancelledError;

std::string message_of(const std::exception_ptr& error) {
  try {
    if (error != nullptr) std::rethrow_exception(error);
  } catch (const CancelledError& cancelled) {
    return cancelled.message();
  } catch (...) {
  }
  return "not a CancelledError";
}

// trio-asyncio: interop/test_calls.py::test_asyncio_trio
FIBER_TEST(TrioAsAioTest, TheFutureGetsTheValue) {
  open_loop([](EventLoop& loop) {
    const auto add = trio_as_aio([](int a, int b) {
      sleep(1s);
      return a + b;
    });
    int sum = 0;
    loop.call_soon([&] { sum = await(add(3, 4)); });
    sleep(2s);
    EXPECT_EQ(sum, 7);
  });
}

FIBER_TEST(TrioAsAioTest, ValuesMayBeMovable) {
  open_loop([](EventLoop&) {
    auto wrap = trio_as_aio([](std::unique_ptr<int> p) { return p; });
    EXPECT_EQ(*await(wrap(std::make_unique<int>(5))), 5);
    await(run_trio([p = std::make_unique<int>(6)] { EXPECT_EQ(*p, 6); }));
  });
}

// trio-asyncio: interop/test_calls.py::test_asyncio_trio_error
FIBER_TEST(TrioAsAioTest, TheFutureGetsTheError) {
  open_loop([](EventLoop&) {
    const auto original = std::make_exception_ptr(Failure("x"));
    const auto error =
        error_of([&] { await(run_trio([&] { std::rethrow_exception(original); })); });
    EXPECT_EQ(error, original) << "the very same";
  });
}

// trio-asyncio: test_misc.py::TestMisc::test_err3
FIBER_TEST(TrioAsAioTest, ErrorsPassThroughSeveralBorders) {
  std::exception_ptr error;
  open_loop([&](EventLoop& loop) {
    loop.call_soon([&] {
      error = error_of(
          [&] { await(run_trio([&] { await(run_trio([] { throw Failure("deep inside"); })); })); });
    });
    sleep(1s);
    EXPECT_TRUE(holds<Failure>(error));
  });
}

FIBER_TEST(TrioAsAioTest, TasksAndCallbacksBeginInTheOrderOfSubmission) {
  std::vector<int> order;
  const auto begin = [&order](int i) { return [&order, i] { order.push_back(i); }; };
  open_loop([&](EventLoop& loop) {
    for (int i = 0; i < 5; ++i) loop.call_soon(begin(i));
    for (int i = 5; i < 8; ++i) run_trio(begin(i));
    loop.call_soon(begin(8));
    run_trio_task(begin(9));
    loop.call_soon(begin(10));
  });
  EXPECT_EQ(order, (std::vector{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}));
}

// trio-asyncio: interop/test_calls.py::test_asyncio_trio_cancel_in
FIBER_TEST(TrioAsAioTest, CancellingTheFutureCancelsTheTask) {
  open_loop([](EventLoop&) {
    bool unwound = false;
    auto future = run_trio([&] {
      try {
        sleep_forever();
      } catch (const Cancelled&) {
        CancelScope shield({.shield = true});
        shield.run([] { sleep(1s); });
        unwound = true;
        throw;
      }
    });
    sleep(1s);
    EXPECT_TRUE(future.cancel("no more"));
    EXPECT_FALSE(future.done()) << "pending until the task has ended";
    EXPECT_TRUE(future.cancel("again"));
    const auto error = error_of([&] { await(future); });
    EXPECT_TRUE(unwound);
    EXPECT_EQ(message_of(error), "no more");
    EXPECT_FALSE(future.cancel()) << "it is done";
  });
}

FIBER_TEST(TrioAsAioTest, ATaskMaySwallowTheCancellation) {
  const CapturedLog log;  // It is warned about.
  open_loop([](EventLoop&) {
    auto future = run_trio([] {
      try {
        sleep_forever();
      } catch (const Cancelled&) {
      }
      return 5;
    });
    sleep(1s);
    EXPECT_TRUE(future.cancel());
    EXPECT_EQ(await(future), 5);
  });
}

// trio-asyncio: test_misc.py::TestMisc::test_trio_as_fut_throws_after_cancelled
FIBER_TEST(TrioAsAioTest, AnErrorWinsOverTheCancellation) {
  open_loop([](EventLoop&) {
    auto future = run_trio([] {
      try {
        sleep_forever();
      } catch (const Cancelled&) {
        throw Failure("while unwinding");
      }
    });
    sleep(1s);
    future.cancel();
    EXPECT_TRUE(holds<Failure>(error_of([&] { await(future); })));
  });
}

// A task whose nursery ends with a group of Cancelled and Failure when it is cancelled.
void fail_in_a_group() {
  fibers::open_nursery([](Nursery& nursery) {
    nursery.start_soon([] {
      try {
        sleep_forever();
      } catch (const Cancelled&) {
        throw Failure("one of two");
      }
    });
    sleep_forever();
  });
}

FIBER_TEST(TrioAsAioTest, OfAGroupTheFutureGetsTheRest) {
  open_loop([](EventLoop&) {
    auto future = run_trio(fail_in_a_group);
    sleep(1s);
    future.cancel();
    const auto error = error_of([&] { await(future); });
    ASSERT_TRUE(holds<fibers::ExceptionGroup>(error)) << "no Cancelled in it";
  });
}

// trio-asyncio: test_misc.py::TestMisc::test_cancel_loop
// It is meant for the program, and may not get stuck in a future that nobody asks.
FIBER_TEST(TrioAsAioTest, AnInterruptIsTheFuturesAndEndsTheBlockToo) {
  const CapturedLog log;
  loop::Future<void> future;
  const auto error = error_of([&] {
    open_loop([&](EventLoop&) {
      future = run_trio([] { throw fibers::KeyboardInterrupt(); });
      sleep_forever();
    });
  });
  EXPECT_TRUE(holds<fibers::KeyboardInterrupt>(inside_two_groups(error)));
  EXPECT_TRUE(holds<fibers::KeyboardInterrupt>(future.exception()));
}

FIBER_TEST(TrioAsAioTest, AnInterruptInAGroupEndsTheBlockToo) {
  const CapturedLog log;
  const auto error = error_of([&] {
    open_loop([&](EventLoop&) {
      static_cast<void>(run_trio([] {
        open_nursery([](Nursery& nursery) {
          nursery.start_soon([] { throw fibers::KeyboardInterrupt(); });
          nursery.start_soon([] { throw Failure("beside it"); });
        });
      }));
      sleep_forever();
    });
  });
  const auto inside = inside_two_groups(error);
  ASSERT_NE(inside, nullptr);
  EXPECT_TRUE(
      holds<fibers::KeyboardInterrupt>(fibers::lone_error(inside, {.interrupt_first = true})))
      << fibers::describe_exception(inside);
}

FIBER_TEST(TrioAsAioTest, TheEndOfTheLoopCancelsTheFuture) {
  Future<void> future;
  Future<void> failing;
  std::exception_ptr seen_by_callback;
  open_loop([&](EventLoop& loop) {
    future = run_trio([] { sleep_forever(); });
    failing = run_trio(fail_in_a_group);
    loop.call_soon([&] {
      seen_by_callback = error_of([&] {
        CancelScope shield({.shield = true});
        shield.run([&] { await(future); });
      });
    });
    sleep(1s);
  });
  EXPECT_TRUE(future.cancelled());
  EXPECT_TRUE(holds<fibers::ExceptionGroup>(failing.exception()));
  EXPECT_TRUE(holds<CancelledError>(seen_by_callback)) << "never fibers::Cancelled";
}

// trio-asyncio: test_trio_asyncio.py::test_async_handle_cancelled_before_dequeue
FIBER_TEST(TrioAsAioTest, CancelledBeforeItsTurnItIsNeverCalled) {
  open_loop([](EventLoop& loop) {
    bool called = false;
    auto future = run_trio([&] { called = true; });
    EXPECT_TRUE(future.cancel("too early"));
    EXPECT_TRUE(future.cancelled()) << "at once: it is out of the queue";
    loop.synchronize();
    EXPECT_EQ(message_of(error_of([&] { await(future); })), "too early");
    EXPECT_FALSE(called);
  });
}

// trio-asyncio: interop/test_calls.py::test_asyncio_trio_cancel_out
FIBER_TEST(TrioAsAioTest, ACancelledErrorOfTheTaskCancelsTheFuture) {
  open_loop([](EventLoop&) {
    auto future = run_trio([] { throw CancelledError("of its own"); });
    EXPECT_EQ(message_of(error_of([&] { await(future); })), "of its own");
    EXPECT_TRUE(future.cancelled());
  });
}

// trio-asyncio: interop/test_calls.py::test_asyncio_trio_cancel_out
FIBER_TEST(TrioAsAioTest, ATaskThatCancelsItselfFromOutsideCancelsTheFuture) {
  std::exception_ptr seen_by_callback;
  open_loop([&](EventLoop& loop) {
    loop.call_soon([&] {
      seen_by_callback = error_of([] {
        await(run_trio([] {
          fibers::current_task().parent_nursery()->cancel_scope().cancel();
          sleep_forever();
        }));
      });
    });
    sleep(1s);
  });
  EXPECT_TRUE(holds<CancelledError>(seen_by_callback)) << "never fibers::Cancelled";
}

FIBER_TEST(TrioAsAioTest, CancellingTheLoopReachesTheTasksAfterTheBody) {
  const Instant start = current_time();
  fibers::Duration ended{};
  fibers::move_on_after(1s, [&] {
    open_loop([&](EventLoop&) {
      run_trio_task([&] {
        try {
          sleep_forever();
        } catch (...) {
          ended = current_time() - start;
          throw;
        }
      });
      try {
        sleep_forever();
      } catch (...) {
        CancelScope shield({.shield = true});
        shield.run([] { sleep(3s); });
        throw;
      }
    });
  });
  EXPECT_EQ(ended, 4s);
}

// Before the loop has seen it, while the task is being started, and when it waits.
FIBER_TEST(TrioAsAioTest, ACancellationIsNotLostWheneverItComes) {
  open_loop([](EventLoop&) {
    for (int turns = 0; turns < 8; ++turns) {
      auto future = run_trio([] { sleep_forever(); });
      for (int i = 0; i < turns; ++i) fibers::checkpoint();
      future.cancel();
      EXPECT_THROW(fibers::fail_after(1s, [&] { await(future); }), CancelledError)
          << "cancelled after " << turns;
    }
  });
}

FIBER_TEST(TrioAsAioTest, AwaitingTaskPassesItsCancellationOn) {
  open_loop([](EventLoop&) {
    bool cancelled = false;
    auto future = run_trio([&] {
      try {
        sleep_forever();
      } catch (...) {
        cancelled = true;
        throw;
      }
    });
    CancelScope scope({.relative_deadline = fibers::Duration(1s)});
    scope.run([&] { await(future); });
    EXPECT_TRUE(scope.cancelled_caught());
    EXPECT_TRUE(cancelled);
  });
}

FIBER_TEST(TrioAsAioTest, WhatIsSubmittedTooLateIsCancelled) {
  Future<void> future;
  bool called = false;
  open_loop(
      [&](EventLoop& loop) { at_close(loop, [&] { future = run_trio([&] { called = true; }); }); });
  EXPECT_TRUE(future.cancelled());
  EXPECT_FALSE(called);
}

fibers::ContextVar<int> g_asked("asked");

// trio-asyncio: test_misc.py::TestMisc::test_contextvars
FIBER_TEST(TrioAsAioTest, TheTaskHasTheContextVariablesOfTheCaller) {
  g_asked.set(1);
  open_loop([](EventLoop&) {
    g_asked.set(2);
    auto future = run_trio([] {
      const int seen = g_asked.get_or(0);
      g_asked.set(3);
      return seen;
    });
    run_trio_task([] { EXPECT_EQ(g_asked.get(), 2); });
    const auto bound = trio_as_aio([] { return g_asked.get_or(0); });
    g_asked.set(4);  // After the call.
    auto later = bound();
    EXPECT_EQ(await(future), 2);
    EXPECT_EQ(await(later), 4);
    EXPECT_EQ(g_asked.get(), 4) << "changes do not come back";
  });
}

FIBER_TEST(TrioAsAioTest, ATaskStartedByABlockedCallbackHasItsContextVariables) {
  open_loop([](EventLoop& loop) {
    int seen_by_task = 0;
    int seen_by_other = -1;
    loop.call_soon([&] {
      g_asked.set(5);
      seen_by_task = await(run_trio([] { return g_asked.get_or(0); }));
    });
    loop.call_later(1s, [&] { seen_by_other = g_asked.get_or(0); });
    sleep(2s);
    EXPECT_EQ(seen_by_task, 5);
    EXPECT_EQ(seen_by_other, 0) << "who took over the loop has not inherited them";
  });
}

// The inner loop is open while the outer one goes on.
FIBER_TEST(TrioAsAioTest, TheTasksLoopIsTheOneItWasStartedOn) {
  open_loop([](EventLoop& outer) {
    EventLoop* seen = nullptr;
    outer.call_soon([] { open_loop([](EventLoop&) { sleep(2s); }); });
    outer.call_later(1s, [&] { run_trio_task([&] { seen = current_loop(); }); });
    sleep(3s);
    EXPECT_EQ(seen, &outer);
  });
}

// trio-asyncio: test_misc.py::TestMisc::test_run_task
FIBER_TEST(TrioAsAioTest, OutsideALoopThatIsAUsageError) {
  EXPECT_THROW(run_trio([] {}), fibers::UsageError);
  EXPECT_THROW(run_trio_task([] {}), fibers::UsageError);
}

FIBER_TEST(RunTrioTaskTest, RefusesALocalThatMayBeGoneBeforeTheTask) {
  int outside = 1;
  bool ran = false;
  bool refused = false;
  open_loop([&](EventLoop& loop) {
    loop.call_soon([&] {
      int local = 1;
      try {
        run_trio_task([&] { EXPECT_EQ(local, 1); });
      } catch (const fibers::UsageError&) {
        refused = true;
      }
      run_trio_task([&ran, &outside] { ran = outside == 1; });
    });
    sleep(1s);
  });
  EXPECT_TRUE(refused);
  EXPECT_TRUE(ran);
}

// trio-asyncio: test_misc.py::TestMisc::test_run_trio_task_errors
FIBER_TEST(RunTrioTaskTest, AnErrorGoesToTheExceptionHandler) {
  std::exception_ptr seen;
  open_loop([&](EventLoop& loop) {
    loop.set_exception_handler(
        [&](EventLoop&, const loop::ExceptionContext& context) { seen = context.exception; });
    run_trio_task([] { throw Failure("monitored"); });
    sleep(1s);
  });
  EXPECT_TRUE(holds<Failure>(seen));
}

FIBER_TEST(RunTrioTaskTest, AnErrorEndsTheLoopByDefault) {
  const CapturedLog log;
  const auto error = error_of([] {
    open_loop([](EventLoop&) {
      run_trio_task([] { throw Failure("crash"); });
      sleep_forever();
    });
  });
  EXPECT_TRUE(holds<Failure>(inside_two_groups(error)));
}

FIBER_TEST(RunTrioTaskTest, AnInterruptEndsTheBlockWhateverTheHandlerIs) {
  bool handled = false;
  const auto error = error_of([&] {
    open_loop([&](EventLoop& loop) {
      loop.set_exception_handler(
          [&](EventLoop&, const loop::ExceptionContext&) { handled = true; });
      run_trio_task([] { throw fibers::KeyboardInterrupt(); });
      sleep(1h);  // The handler may hear of another error.
    });
  });
  EXPECT_TRUE(holds<fibers::KeyboardInterrupt>(inside_two_groups(error)));
  EXPECT_FALSE(handled);
}

FIBER_TEST(RunTrioTaskTest, OfAGroupTheHandlerGetsTheRest) {
  std::exception_ptr seen;
  open_loop([&](EventLoop& loop) {
    loop.set_exception_handler(
        [&](EventLoop&, const loop::ExceptionContext& context) { seen = context.exception; });
    run_trio_task(fail_in_a_group);
    sleep(1s);
  });
  EXPECT_TRUE(holds<fibers::ExceptionGroup>(seen));
}

}  // namespace
}  // namespace weft::shim
