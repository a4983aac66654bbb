// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/future.h"

#include <memory>
#include <string>
#include <vector>

#include "tests/loop/loop_testing.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/no_suspend.h"

namespace weft::loop {
namespace {

using testing::thrown;
using testing::with_idle_loop;
using testing::with_loop;
using namespace std::chrono_literals;

// asyncio: claims_futures::ending_a_done_one_is_refused
// asyncio: claims_futures::cancel_of_a_done_one_is_false
// asyncio: claims_futures::result_before_done_is_refused
// asyncio: test_futures.py::BaseFutureTests::test_initial_state
// asyncio: test_futures.py::BaseFutureTests::test_result
FIBER_TEST(FutureTest, GoesFromPendingToDoneOnce) {
  with_idle_loop([](EventLoop& loop) {
    Future<int> future = loop.create_future<int>();
    EXPECT_FALSE(future.done());
    EXPECT_THROW(future.result(), InvalidStateError);
    EXPECT_THROW(future.exception(), InvalidStateError);
    future.set_result(7);
    EXPECT_TRUE(future.done());
    EXPECT_FALSE(future.cancelled());
    EXPECT_EQ(future.result(), 7);
    EXPECT_EQ(future.result(), 7);
    EXPECT_EQ(future.exception(), nullptr);
    EXPECT_THROW(future.set_result(8), InvalidStateError);
    EXPECT_THROW(future.set_exception(std::runtime_error("x")), InvalidStateError);
    EXPECT_FALSE(future.cancel());
    EXPECT_EQ(future.result(), 7);
    EXPECT_EQ(&future.get_loop(), &loop);
  });
}

// asyncio: test_futures.py::BaseFutureTests::test_exception
FIBER_TEST(FutureTest, HoldsAnException) {
  with_idle_loop([](EventLoop& loop) {
    Future<int> future = loop.create_future<int>();
    future.set_exception(std::runtime_error("broken"));
    EXPECT_TRUE(future.done());
    EXPECT_EQ(thrown<std::runtime_error>([&] { future.result(); }), "broken");
    EXPECT_NE(future.exception(), nullptr);
    EXPECT_FALSE(future.cancel());
  });
}

FIBER_TEST(FutureTest, NullExceptionIsRefused) {
  with_idle_loop([](EventLoop& loop) {
    Future<int> future = loop.create_future<int>();
    EXPECT_THROW(future.set_exception(std::exception_ptr()), fibers::UsageError);
    EXPECT_FALSE(future.done());
  });
}

// asyncio: claims_futures::the_cancel_message_is_kept
// asyncio: test_futures.py::BaseFutureTests::test_cancel
// asyncio: test_futures.py::BaseFutureTests::test_future_cancel_message_getter
FIBER_TEST(FutureTest, CancelKeepsItsMessage) {
  with_idle_loop([](EventLoop& loop) {
    Future<int> future = loop.create_future<int>();
    EXPECT_TRUE(future.cancel("no longer needed"));
    EXPECT_TRUE(future.done());
    EXPECT_TRUE(future.cancelled());
    EXPECT_FALSE(future.cancel());
    for (int i = 0; i < 2; ++i) {
      try {
        future.result();
        ADD_FAILURE();
      } catch (const CancelledError& error) {
        EXPECT_EQ(error.message(), "no longer needed");
      }
    }
    EXPECT_THROW(future.exception(), CancelledError);
    EXPECT_THROW(future.set_result(1), InvalidStateError);
  });
}

FIBER_TEST(FutureTest, EmptyFutureSaysWhatToDo) {
  const Future<int> empty;
  EXPECT_FALSE(empty);
  EXPECT_NE(thrown<fibers::UsageError>([&] { empty.done(); }).find("create_future"),
            std::string::npos);
  EXPECT_THROW(await(empty), fibers::UsageError);
}

// asyncio: claims_futures::callbacks_always_go_through_call_soon
// asyncio: claims_futures::callbacks_run_in_their_order
// asyncio: test_futures.py::BaseFutureDoneCallbackTests::test_callbacks_invoked_on_set_result
// asyncio: test_futures.py::BaseFutureTests::test_tb_logger_result_retrieved
FIBER_TEST(FutureTest, CallbacksRunThroughCallSoonInTheirOrder) {
  with_idle_loop([](EventLoop& loop) {
    Future<int> future = loop.create_future<int>();
    std::vector<std::string> order;
    future.add_done_callback(
        [&](const Future<int>& f) { order.push_back("a" + std::to_string(f.result())); });
    future.add_done_callback(
        [&](const FutureBase& f) { order.emplace_back(f.done() ? "b" : "?"); });
    future.add_done_callback([&] { order.emplace_back("c"); });
    loop.call_soon([&] { order.emplace_back("queued before"); });
    future.set_result(1);
    loop.call_soon([&] { order.emplace_back("queued after"); });
    EXPECT_TRUE(order.empty());
    testing::run_once(loop);
    EXPECT_EQ(order, (std::vector<std::string>{"queued before", "a1", "b", "c", "queued after"}));
  });
}

// asyncio: claims_futures::callbacks_always_go_through_call_soon
FIBER_TEST(FutureTest, CallbackOnADoneFutureIsStillScheduled) {
  with_idle_loop([](EventLoop& loop) {
    Future<void> future = loop.create_future<void>();
    future.set_result();
    bool ran = false;
    future.add_done_callback([&] { ran = true; });
    EXPECT_FALSE(ran);
    testing::run_once(loop);
    EXPECT_TRUE(ran);
  });
}

FIBER_TEST(FutureTest, CancelSchedulesTheCallbacksToo) {
  with_idle_loop([](EventLoop& loop) {
    Future<void> future = loop.create_future<void>();
    bool cancelled = false;
    future.add_done_callback([&](const Future<void>& f) { cancelled = f.cancelled(); });
    future.cancel();
    testing::run_once(loop);
    EXPECT_TRUE(cancelled);
  });
}

// asyncio: claims_futures::remove_done_callback_counts
// asyncio: test_futures.py::BaseFutureDoneCallbackTests::test_remove_done_callback
// asyncio: test_futures.py::BaseFutureDoneCallbackTests::test_callbacks_remove_third_callback
// asyncio: test_futures.py::BaseFutureDoneCallbackTests::test_callbacks_remove_first_callback
// asyncio: test_futures.py::test_callbacks_remove_first_and_second_callback
// asyncio: test_futures.py::BaseFutureTests::test_tb_logger_result_unretrieved
FIBER_TEST(FutureTest, RemovedCallbackDoesNotRun) {
  with_idle_loop([](EventLoop& loop) {
    Future<int> future = loop.create_future<int>();
    Future<int> other = loop.create_future<int>();
    std::vector<int> order;
    auto resource = std::make_shared<int>(0);
    std::vector<Handle> handles;
    for (int i = 0; i < 5; ++i) {
      handles.push_back(future.add_done_callback([&order, resource, i] { order.push_back(i); }));
    }
    EXPECT_EQ(resource.use_count(), 6);
    EXPECT_EQ(other.remove_done_callback(handles[0]), 0U);
    EXPECT_EQ(future.remove_done_callback(handles[0]), 1U);
    EXPECT_EQ(future.remove_done_callback(handles[0]), 0U);
    EXPECT_EQ(future.remove_done_callback(handles[4]), 1U);
    handles[2].cancel();
    EXPECT_EQ(future.remove_done_callback(handles[2]), 0U);
    EXPECT_EQ(resource.use_count(), 3);
    future.set_result(1);
    EXPECT_EQ(future.remove_done_callback(handles[1]), 0U);
    testing::run_once(loop);
    EXPECT_EQ(order, (std::vector{1, 3}));
    EXPECT_EQ(resource.use_count(), 1);
  });
}

// asyncio: claims_futures::callbacks_may_remove_callbacks
// asyncio: test_futures.py::BaseFutureDoneCallbackTests::test_schedule_callbacks_list_mutation_1
FIBER_TEST(FutureTest, CallbackMayRemoveAnotherThatIsScheduled) {
  with_idle_loop([](EventLoop& loop) {
    Future<void> future = loop.create_future<void>();
    Handle second;
    future.add_done_callback([&] { second.cancel(); });
    second = future.add_done_callback([] { ADD_FAILURE(); });
    future.set_result();
    testing::run_once(loop);
  });
}

// asyncio: test_futures.py::BaseFutureTests::test_tb_logger_abandoned
FIBER_TEST(FutureTest, DroppedPendingFutureTakesItsCallbacksAlong) {
  with_idle_loop([](EventLoop& loop) {
    auto resource = std::make_shared<int>(0);
    Handle handle;
    {
      Future<int> future = loop.create_future<int>();
      handle = future.add_done_callback([resource] { ADD_FAILURE(); });
    }
    EXPECT_EQ(resource.use_count(), 1);
    EXPECT_TRUE(handle.cancelled());
    handle.cancel();
    testing::run_once(loop);
  });
}

FIBER_TEST(FutureTest, ScheduledCallbackKeepsTheFutureAlive) {
  with_idle_loop([](EventLoop& loop) {
    int seen = 0;
    {
      Future<int> future = loop.create_future<int>();
      future.add_done_callback([&](const Future<int>& f) { seen = f.result(); });
      future.set_result(5);
    }
    testing::run_once(loop);
    EXPECT_EQ(seen, 5);
  });
}

// asyncio: claims_futures::an_unretrieved_exception_is_reported_once
// asyncio: test_futures.py::BaseFutureTests::test_future_exception_never_retrieved
// asyncio: test_futures.py::BaseFutureTests::test_tb_logger_exception_unretrieved
FIBER_TEST(FutureTest, UnretrievedExceptionIsReportedOnce) {
  with_idle_loop([](EventLoop& loop) {
    std::vector<std::string> reports;
    loop.set_exception_handler([&](EventLoop&, const ExceptionContext& context) {
      reports.push_back(context.message + " " + fibers::describe_exception(context.exception));
      EXPECT_NE(context.future, nullptr);
    });
    {
      Future<int> future = loop.create_future<int>();
      const Future<int> copy = future;
      future.set_exception(std::runtime_error("nobody asked"));
      future = {};
      EXPECT_TRUE(reports.empty());
    }
    ASSERT_EQ(reports.size(), 1U);
    EXPECT_NE(reports[0].find("never retrieved"), std::string::npos);
    EXPECT_NE(reports[0].find("nobody asked"), std::string::npos);
  });
}

// asyncio: claims_futures::asking_for_the_exception_or_cancelling_is_retrieving
// asyncio: test_futures.py::BaseFutureTests::test_tb_logger_exception_retrieved
// asyncio: test_futures.py::BaseFutureTests::test_tb_logger_exception_result_retrieved
// asyncio: test_futures.py::BaseFutureTests::test_tb_logger_not_called_after_cancel
FIBER_TEST(FutureTest, RetrievedExceptionIsNotReported) {
  with_idle_loop([](EventLoop& loop) {  // Its handler fails the test.
    for (int way = 0; way < 4; ++way) {
      Future<int> future = loop.create_future<int>();
      future.set_exception(std::runtime_error("x"));
      if (way == 0) {
        EXPECT_THROW(future.result(), std::runtime_error);
      }
      if (way == 1) {
        EXPECT_NE(future.exception(), nullptr);
      }
      if (way == 2) {
        EXPECT_THROW(await(future), std::runtime_error);
      }
      if (way == 3) {
        EXPECT_FALSE(future.cancel());
      }
    }
  });
}

FIBER_TEST(FutureTest, MoveOnlyValues) {
  with_idle_loop([](EventLoop& loop) {
    Future<std::unique_ptr<int>> future = loop.create_future<std::unique_ptr<int>>();
    future.set_result(std::make_unique<int>(4));
    EXPECT_EQ(*future.result(), 4);
    EXPECT_EQ(*await(future), 4);
    EXPECT_EQ(future.result(), nullptr);
  });
}

FIBER_TEST(FutureTest, LargeValues) {
  with_idle_loop([](EventLoop& loop) {
    auto future = loop.create_future<std::array<int, 1000>>();
    std::array<int, 1000> value{};
    value[999] = 9;
    future.set_result(value);
    EXPECT_EQ(await(future)[999], 9);
  });
}

FIBER_TEST(FutureTest, ThrowingValueLeavesItPending) {
  struct Picky {
    explicit Picky(int) { throw std::runtime_error("no"); }
  };
  with_idle_loop([](EventLoop& loop) {
    Future<Picky> future = loop.create_future<Picky>();
    EXPECT_THROW(future.set_result(1), std::runtime_error);
    EXPECT_FALSE(future.done());
  });
}

// asyncio: claims_futures::await_twice_works
// asyncio: test_futures.py::BaseFutureTests::test_yield_from_twice
FIBER_TEST(AwaitTest, FiberWaitsForWhatACallbackSets) {
  with_loop([](EventLoop& loop) {
    Future<int> future = loop.create_future<int>();
    loop.call_later(1s, [future]() mutable { future.set_result(42); });
    EXPECT_EQ(await(future), 42);
    EXPECT_EQ(await(future), 42);
  });
}

FIBER_TEST(AwaitTest, CallbackWaitsForWhatAnotherCallbackSets) {
  with_loop([](EventLoop& loop) {
    Future<int> future = loop.create_future<int>();
    int seen = 0;
    loop.call_soon([&] { seen = await(future); });
    loop.call_soon([&] { future.set_result(42); });
    loop.synchronize();
    loop.wait_blocked();
    EXPECT_EQ(seen, 42);
  });
}

FIBER_TEST(AwaitTest, DoneFutureDoesNotSuspend) {
  with_idle_loop([](EventLoop& loop) {
    Future<void> future = loop.create_future<void>();
    future.set_result();
    const fibers::NoSuspend guard("test");
    await(future);
  });
}

FIBER_TEST(AwaitTest, ManyWaitersWakeInTheirOrder) {
  WEFT_NOT_SHUFFLED("this is the usual order");
  with_loop([](EventLoop& loop) {
    Future<int> future = loop.create_future<int>();
    std::vector<int> order;
    fibers::open_nursery([&](fibers::Nursery& nursery) {
      for (int i = 0; i < 5; ++i) {
        nursery.start_soon([&, i] { order.push_back(i + await(future)); });
      }
      fibers::sleep(1s);
      loop.call_soon([&] { future.set_result(0); });
    });
    EXPECT_EQ(order, (std::vector{0, 1, 2, 3, 4}));
  });
}

// asyncio: test_tasks.py::BaseTaskTests::test_cancel_with_message_then_future_result
FIBER_TEST(AwaitTest, ExceptionAndForeignCancellationComeOut) {
  WEFT_NOT_ALLOCATION_SWEPT("nobody else ends its future");
  with_loop([](EventLoop& loop) {
    Future<int> broken = loop.create_future<int>();
    Future<int> cancelled = loop.create_future<int>();
    loop.call_soon([&] {
      broken.set_exception(std::runtime_error("broken"));
      cancelled.cancel("by somebody else");
    });
    EXPECT_EQ(thrown<std::runtime_error>([&] { await(broken); }), "broken");
    try {
      await(cancelled);
      ADD_FAILURE();
    } catch (const CancelledError& error) {
      EXPECT_EQ(error.message(), "by somebody else");
    }
  });
}

FIBER_TEST(AwaitTest, CancelledWaiterCancelsTheFutureAndGetsCancelled) {
  with_loop([](EventLoop& loop) {
    Future<int> future = loop.create_future<int>();
    bool raised = false;
    fibers::CancelScope scope({.relative_deadline = 1s});
    scope.run([&] {
      try {
        await(future);
      } catch (const fibers::Cancelled&) {
        raised = true;
        throw;
      }
    });
    EXPECT_TRUE(raised);
    EXPECT_TRUE(scope.cancelled_caught());
    EXPECT_TRUE(future.cancelled());
  });
}

FIBER_TEST(AwaitTest, OtherWaitersOfAFutureCancelledByOneGetCancelledError) {
  with_loop([](EventLoop& loop) {
    Future<int> future = loop.create_future<int>();
    bool other = false;
    fibers::open_nursery([&](fibers::Nursery& nursery) {
      nursery.start_soon([&] {
        try {
          await(future);
        } catch (const CancelledError&) {
          other = true;
        }
      });
      fibers::move_on_after(1s, [&] { await(future); });
    });
    EXPECT_TRUE(other);
  });
}

FIBER_TEST(AwaitTest, AlreadyCancelledTaskCancelsTheFuture) {
  with_idle_loop([](EventLoop& loop) {
    Future<int> pending = loop.create_future<int>();
    Future<int> done = loop.create_future<int>();
    done.set_result(1);
    fibers::CancelScope scope;
    int value = 0;
    scope.run([&] {
      scope.cancel();
      value = await(done);
      await(pending);
      ADD_FAILURE();
    });
    EXPECT_EQ(value, 1);
    EXPECT_TRUE(pending.cancelled());
  });
}

FIBER_TEST(AwaitTest, SetBeforeTheCancellationWins) {
  with_loop([](EventLoop& loop) {
    Future<int> future = loop.create_future<int>();
    int value = 0;
    fibers::CancelScope scope;
    fibers::open_nursery([&](fibers::Nursery& nursery) {
      nursery.start_soon([&] { scope.run([&] { value = await(future); }); });
      fibers::sleep(1s);
      future.set_result(5);
      scope.cancel();
    });
    EXPECT_EQ(value, 5);
    EXPECT_FALSE(scope.cancelled_caught());
  });
}

FIBER_TEST(AwaitTest, RefusedWaitLeavesNoWaiterBehind) {
  with_idle_loop([](EventLoop& loop) {
    Future<int> future = loop.create_future<int>();
    {
      const fibers::NoSuspend guard("test");
      EXPECT_THROW(wait(future), fibers::UsageError);
    }
    future.cancel();  // Would wake a waiter that is gone.
    fibers::checkpoint();
  });
}

FIBER_TEST(AwaitTest, LastCopyMovesTheValueOut) {
  struct Counting {
    explicit Counting(int& c) : copies(&c) {}
    Counting(const Counting& other) : copies(other.copies) { ++*copies; }
    Counting(Counting&& other) noexcept = default;
    int* copies;
  };
  with_loop([](EventLoop& loop) {
    int copies = 0;
    Future<Counting> kept = loop.create_future<Counting>();
    kept.set_result(copies);
    await(kept);
    EXPECT_EQ(copies, 1);
    await(std::move(kept));
    EXPECT_EQ(copies, 1);
  });
}

// asyncio: test_futures.py::BaseFutureDoneCallbackTests::test_callbacks_invoked_on_set_exception
FIBER_TEST(FutureTest, SetExceptionRunsTheCallbacksInTheNextTurn) {
  with_loop([](EventLoop& loop) {
    auto future = loop.create_future<int>();
    int called = 0;
    future.add_done_callback([&](const Future<int>& done) {
      EXPECT_TRUE(done == future);
      ++called;
    });
    const auto error = std::make_exception_ptr(std::runtime_error("gone wrong"));
    future.set_exception(error);
    EXPECT_EQ(called, 0);
    loop.synchronize();
    EXPECT_EQ(called, 1);
    EXPECT_TRUE(future.exception() == error);
  });
}

}  // namespace
}  // namespace weft::loop
