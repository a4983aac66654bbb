// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// co_await, in a coroutine of the loop's, of awaitables that know nothing of the loop.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <coroutine>
#include <functional>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "tests/loop/loop_testing.h"
#include "tests/support/foreign_awaitables.h"
#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/loop/async_generator.h"
#include "weft/loop/coro.h"
#include "weft/loop/event_loop.h"

namespace weft::loop {
namespace {

using fibers::CancelScope;
using fibers::Nursery;
using fibers::open_nursery;
using test::AsksForToken;
using test::Lazy;
using test::Operation;
using test::operation_canceled;
using test::Plain;
using test::Stoppable;
using ::testing::ElementsAre;
using namespace testing;  // NOLINT: the helpers of the folder.

struct Joined {
  std::thread thread;
  void join() {
    if (thread.joinable()) thread.join();
  }
  ~Joined() { join(); }
};

// In a run with a loop.
#define LOOP_TEST(Claim)                     \
  static void test_##Claim(EventLoop& loop); \
  FIBER_TEST(ForeignAwaitableTest, Claim) {  \
    with_loop(&test_##Claim);                \
  }                                          \
  static void test_##Claim([[maybe_unused]] EventLoop& loop)

template <class A>
Coro<int> one(Operation& op, std::vector<std::string>* log = nullptr) {
  const int value = co_await A(op);
  if (log != nullptr) log->push_back("coroutine");
  co_return value;
}

LOOP_TEST(GoesOnInTheReadyQueuesOrder) {
  WEFT_NOT_ALLOCATION_SWEPT("a callback that fails does not end the operation");
  std::vector<std::string> log;
  Operation op;
  Task<int> task = loop.create_task(one<Plain>(op, &log));
  loop.call_soon([&] {
    loop.call_soon([&] { log.emplace_back("before"); });
    op.end(7);
    log.emplace_back("resumed");
    loop.call_soon([&] { log.emplace_back("after"); });
  });
  EXPECT_EQ(await(task), 7);
  EXPECT_THAT(log, ElementsAre("resumed", "before", "coroutine", "after"));
}

// Not: ends with whatever was there, as a coroutine once did that waited for what the loop does not
// know.
LOOP_TEST(TheTaskIsNotDoneBeforeTheOperation) {
  Operation op;
  Task<int> task = loop.create_task(one<Plain>(op));
  fibers::testing::wait_all_tasks_blocked();
  EXPECT_FALSE(task.done());
  op.end(1);
  EXPECT_FALSE(task.done());
  EXPECT_EQ(await(task), 1);
}

LOOP_TEST(ItsErrorIsThrown) {
  Operation op;
  Task<int> task = loop.create_task(one<Plain>(op));
  loop.call_soon([&] { op.fail(test::failure()); });
  EXPECT_THROW(await(task), std::runtime_error);
}

struct Immediately {
  int shape;  // 0: ready; 1: resumes inside; 2: a false of await_suspend; 3: throws there.
  bool await_ready() const noexcept { return shape == 0; }
  bool await_suspend(std::coroutine_handle<> waits) const {
    if (shape == 1) waits.resume();
    if (shape == 3) throw std::runtime_error("not begun");
    return shape == 1;
  }
  int await_resume() const noexcept { return shape; }
};

LOOP_TEST(OneThatEndsInsideGoesOnAtOnce) {
  bool other = false;
  Task<int> task = loop.create_task([&other]() -> Coro<int> {
    int sum = 0;
    for (int shape = 0; shape < 3; ++shape) {
      const int value = co_await Immediately{shape};
      sum += value;
    }
    EXPECT_FALSE(other);
    bool thrown = false;
    try {
      co_await Immediately{3};
    } catch (const std::runtime_error&) {
      thrown = true;
    }
    EXPECT_TRUE(thrown);
    co_return sum;
  });
  loop.call_soon([&] { other = true; });
  EXPECT_EQ(await(task), 3);
}

Lazy<int> twice(Operation& op) {
  const int first = co_await Plain(op);
  const int second = co_await Plain(op);
  co_return first + second;
}

LOOP_TEST(ACoroutineOfAnotherLibrary) {
  WEFT_NOT_ALLOCATION_SWEPT("a callback that fails does not end the operation");
  Operation op;
  Task<int> task = loop.create_task([&op]() -> Coro<int> {
    Lazy<int> lazy = twice(op);
    const int sum = co_await lazy;
    co_return sum;
  });
  loop.call_soon([&] { op.end(3); });
  loop.call_soon([&] { op.end(4); });
  EXPECT_EQ(await(task), 7);
}

LOOP_TEST(AnotherThreadMayResume) {
  WEFT_NOT_ALLOCATION_SWEPT("a callback that fails does not end the operation");
  Operation op;
  std::thread::id where;
  Task<int> task = loop.create_task([&]() -> Coro<int> {
    const int value = co_await Plain(op);
    where = std::this_thread::get_id();
    co_return value;
  });
  Joined other;
  loop.call_soon([&] { other.thread = std::thread([&] { op.end(5); }); });
  EXPECT_EQ(await(task), 5);
  other.join();
  EXPECT_EQ(where, std::this_thread::get_id());
}

// --- Cancellation. ---

LOOP_TEST(CancellingTheTaskCallsRequestStop) {
  Operation op;
  op.stop_ends_it = true;
  Task<int> task = loop.create_task(one<Stoppable>(op));
  loop.call_soon([&] { task.cancel("enough"); });
  try {
    await(task);
    ADD_FAILURE();
  } catch (const CancelledError& error) {
    EXPECT_EQ(error.message(), "enough");
  }
  EXPECT_EQ(op.stops, 1);
  EXPECT_TRUE(task.cancelled());
}

LOOP_TEST(ItMayTakeItsTimeToStop) {
  Operation op;
  Task<int> task = loop.create_task(one<Stoppable>(op));
  loop.call_soon([&] { task.cancel(); });
  fibers::testing::wait_all_tasks_blocked();
  EXPECT_FALSE(task.done());
  task.cancel();
  EXPECT_EQ(op.stops, 1);
  op.fail(operation_canceled());
  EXPECT_THROW(await(task), CancelledError);
}

LOOP_TEST(CancellingTheTaskStopsTheTokenOfThePromise) {
  Operation op;
  Task<int> task = loop.create_task(one<AsksForToken>(op));
  loop.call_soon([&] { task.cancel(); });
  EXPECT_THROW(await(task), CancelledError);
}

LOOP_TEST(CancelledByItselfItsErrorIsUnchanged) {
  Operation op;
  Task<int> task = loop.create_task(one<Plain>(op));
  loop.call_soon([&] { op.fail(operation_canceled()); });
  EXPECT_THROW(await(task), std::system_error);
}

LOOP_TEST(AResultInSpiteOfTheCancellationIsNotLost) {
  WEFT_NOT_ALLOCATION_SWEPT("a callback that fails does not end the operation");
  Operation op;
  Task<int> task = loop.create_task(one<Plain>(op));
  loop.call_soon([&] {
    task.cancel();
    loop.call_soon([&] { op.end(6); });
  });
  EXPECT_EQ(await(task), 6);
}

LOOP_TEST(TheNextWaitThrowsTheCancellationThen) {
  WEFT_NOT_ALLOCATION_SWEPT("a callback that fails does not end the operation");
  Operation op;
  std::vector<std::string> log;
  Task<void> task = loop.create_task([&]() -> Coro<void> {
    const int value = co_await Plain(op);
    log.push_back(std::to_string(value));
    try {
      co_await Plain(op);
    } catch (const CancelledError&) {
      log.emplace_back("cancelled");
    }
    const int again = co_await Plain(op);
    log.push_back(std::to_string(again));
  });
  loop.call_soon([&] {
    task.cancel();
    loop.call_soon([&] {
      op.end(1);
      loop.call_soon([&] { loop.call_soon([&] { op.end(2); }); });
    });
  });
  await(task);
  EXPECT_THAT(log, ElementsAre("1", "cancelled", "2"));
}

LOOP_TEST(AFutureAfterItIsCancelled) {
  WEFT_NOT_ALLOCATION_SWEPT("a callback that fails does not end the operation");
  Operation op;
  Future<void> future = loop.create_future<void>();
  Task<void> task = loop.create_task([&]() -> Coro<void> {
    co_await Plain(op);
    co_await future;
  });
  loop.call_soon([&] {
    task.cancel();
    op.end(1);
  });
  EXPECT_THROW(await(task), CancelledError);
  EXPECT_TRUE(future.cancelled());
}

LOOP_TEST(CancelledBeforeItsFirstStepNothingBegins) {
  Operation op;
  Task<int> task = loop.create_task(one<Plain>(op));
  task.cancel();
  EXPECT_THROW(await(task), CancelledError);
  EXPECT_FALSE(op.waits);
}

// --- Other places where a coroutine runs, and the ends. ---

FIBER_TEST(ForeignAwaitableTest, InACoroutineThatAFiberAwaits) {
  WEFT_NOT_SWEPT("nobody else ends the operation");
  WEFT_NOT_ALLOCATION_SWEPT("nobody else ends the operation");
  Operation op;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&op] { EXPECT_EQ(await(one<Plain>(op)), 9); });
    fibers::testing::wait_all_tasks_blocked();
    op.end(9);
  });
}

FIBER_TEST(ForeignAwaitableTest, ThatFibersCancellationReachesIt) {
  Operation op;
  op.stop_ends_it = true;
  CancelScope scope;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { scope.run([&] { await(one<Stoppable>(op)); }); });
    fibers::testing::wait_all_tasks_blocked();
    scope.cancel();
  });
  EXPECT_TRUE(scope.cancelled_caught());
  EXPECT_EQ(op.stops, 1);
}

AsyncGenerator<int> numbers(Operation& op) {
  for (int i = 0; i < 2; ++i) {
    const int value = co_await Plain(op);
    co_yield value;
  }
}

LOOP_TEST(InAGenerator) {
  WEFT_NOT_ALLOCATION_SWEPT("a callback that fails does not end the operation");
  Operation op;
  Task<int> task = loop.create_task([&op]() -> Coro<int> {
    AsyncGenerator<int> generator = numbers(op);
    int sum = 0;
    for (;;) {
      const std::optional<int> next = co_await generator.next();
      if (!next) co_return sum;
      sum += *next;
    }
  });
  loop.call_soon([&] { op.end(10); });
  loop.call_soon([&] { loop.call_soon([&] { op.end(20); }); });
  EXPECT_EQ(await(task), 30);
}

// Its waiter has gone: to resume it is harmless, once.
LOOP_TEST(ADroppedCoroutineIsNotResumed) {
  Operation op;
  CancelScope scope;
  {
    Coro<int> coro = one<Plain>(op);
    detail::CoroDriver driver;
    detail::CoroAccess::begin(coro, driver);
    driver.resume(nullptr);
    EXPECT_TRUE(op.waits);
  }
  op.end(1);
}

LOOP_TEST(ADroppedCoroutineAsksToStop) {
  Operation op;
  op.stop_ends_it = true;
  {
    Coro<int> coro = one<Stoppable>(op);
    detail::CoroDriver driver;
    detail::CoroAccess::begin(coro, driver);
    driver.resume(nullptr);
  }
  EXPECT_EQ(op.stops, 1);
  EXPECT_FALSE(op.waits);
}

// Instead of resuming what waits.
void destroy(Operation& op) {
  if (op.waits) std::exchange(op.waits, nullptr).destroy();
}

LOOP_TEST(ALibraryMayDestroyInsteadOfResuming) {
  Operation op;
  Task<int> task = loop.create_task(one<Plain>(op));
  loop.call_soon([&] { destroy(op); });
  EXPECT_THROW(await(task), fibers::BrokenResourceError);
}

LOOP_TEST(AnotherThreadMayDestroyInsteadOfResuming) {
  WEFT_NOT_ALLOCATION_SWEPT("a callback that fails does not end the operation");
  Operation op;
  Task<int> task = loop.create_task(one<Plain>(op));
  Joined other;
  loop.call_soon([&] { other.thread = std::thread([&] { destroy(op); }); });
  EXPECT_THROW(await(task), fibers::BrokenResourceError);
  other.join();
}

LOOP_TEST(ATaskThatNobodyHoldsGoesOn) {
  Operation op;
  int result = 0;
  loop.create_task([&]() -> Coro<void> { result = co_await Plain(op); });
  fibers::testing::wait_all_tasks_blocked();
  op.end(8);
  fibers::testing::wait_all_tasks_blocked();
  EXPECT_EQ(result, 8);
}

// --- What the compiler refuses. ---

struct OwnPromise {};
struct OnlyItsOwn {
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<OwnPromise>) const noexcept {}
  void await_resume() const noexcept {}
};

static_assert(detail::ForeignAwaitable<Plain> && !detail::LoopAwaitable<Plain>);
static_assert(detail::ForeignAwaitable<Lazy<int>&> && detail::ForeignAwaitable<std::suspend_never>);
static_assert(detail::LoopAwaitable<Coro<int>> && detail::LoopAwaitable<Future<int>&>);
static_assert(detail::LoopAwaitable<Task<void>> && !detail::ForeignAwaitable<Task<void>>);
static_assert(!detail::ForeignAwaitable<OnlyItsOwn> && !detail::LoopAwaitable<OnlyItsOwn>);
static_assert(!detail::ForeignAwaitable<std::suspend_always>);
static_assert(!detail::ForeignAwaitable<int>);

}  // namespace
}  // namespace weft::loop
