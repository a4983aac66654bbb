// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// gather, wait, wait_for, timeout, task_group and shield of weft::loop, between tasks of the loop,
// whose order is its own, and tasks of fibers, whose order is any.

#include <chrono>
#include <exception>
#include <stdexcept>
#include <tuple>
#include <vector>

#include "tests/loop/loop_testing.h"
#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/loop/event_loop.h"
#include "weft/loop/gather.h"
#include "weft/loop/shield.h"
#include "weft/loop/task_group.h"
#include "weft/loop/timeout.h"
#include "weft/loop/wait.h"
#include "weft/loop/wait_for.h"

namespace weft::loop {
namespace {

using fibers::checkpoint;
using fibers::Nursery;
using testing::with_loop;

// What leaves `body`; null if nothing does.
template <class Body>
std::exception_ptr error_of(Body&& body) {
  try {
    body();
  } catch (const fibers::Cancelled&) {
    throw;
  } catch (...) {
    return std::current_exception();
  }
  return nullptr;
}

// --- gather. ---

// explores: loop.gather
EXPLORE_TEST(LoopGatherExplored, ResultsComeInTheOrderOfTheArguments) {
  with_loop([](EventLoop& loop, Nursery& nursery) {
    auto one = loop.create_future<int>();
    auto two = loop.create_future<int>();
    nursery.start_soon([one]() mutable { one.set_result(1); });
    nursery.start_soon([two]() mutable { two.set_result(2); });
    EXPECT_EQ(await(gather(one, two)), std::make_tuple(1, 2));
  });
}

// explores: loop.gather
EXPLORE_TEST(LoopGatherExplored, AnErrorComesOutWhoeverIsFirst) {
  with_loop([](EventLoop& loop, Nursery& nursery) {
    auto one = loop.create_future<int>();
    auto two = loop.create_future<int>();
    nursery.start_soon([one]() mutable { one.set_result(1); });
    nursery.start_soon([two]() mutable { two.set_exception(std::runtime_error("failed")); });
    EXPECT_TRUE(fibers::holds<std::runtime_error>(error_of([&] { await(gather(one, two)); })));
  });
}

// explores: loop.gather
EXPLORE_TEST(LoopGatherExplored, IsDoneOrCancelled) {
  fibers::CancelScope scope;
  with_loop([&](EventLoop& loop, Nursery& nursery) {
    auto one = loop.create_future<int>();
    nursery.start_soon([&] { scope.cancel(); });
    nursery.start_soon([one]() mutable {
      if (!one.done()) one.set_result(1);
    });
    const auto got = scope.run([&] { return std::get<0>(await(gather(one))); });
    EXPECT_NE(got.finished(), scope.cancelled_caught());
    EXPECT_TRUE(one.done());
    loop.synchronize();
  });
}

// --- wait. ---

// explores: loop.wait
EXPLORE_TEST(LoopWaitExplored, ReturnsEachFutureOnce) {
  with_loop([](EventLoop& loop, Nursery& nursery) {
    std::vector<Future<int>> futures{loop.create_future<int>(), loop.create_future<int>()};
    for (const Future<int>& future : futures) {
      nursery.start_soon([mine = Future<int>(future)]() mutable { mine.set_result(1); });
    }
    const auto result = await(wait(futures, {.return_when = ReturnWhen::kFirstCompleted}));
    EXPECT_EQ(result.done.size() + result.pending.size(), 2U);
    EXPECT_FALSE(result.done.empty());
    EXPECT_TRUE(await(wait(futures)).pending.empty());
  });
}

// explores: loop.wait
EXPLORE_TEST(LoopWaitExplored, ACancelledWaitLeavesNoCallback) {
  fibers::CancelScope scope;
  with_loop([&](EventLoop& loop, Nursery& nursery) {
    const std::vector<Future<int>> futures{loop.create_future<int>()};
    nursery.start_soon([&] { scope.cancel(); });
    scope.run([&] { await(wait(futures)); });
    EXPECT_TRUE(scope.cancelled_caught());
    EXPECT_FALSE(futures[0].done());
    EXPECT_EQ(FutureAccess::core(futures[0]).first_callback(), nullptr);
  });
}

// explores: loop.wait
EXPLORE_TEST(LoopWaitExplored, AnErrorEndsItBeforeAllAreDone) {
  with_loop([](EventLoop& loop, Nursery& nursery) {
    std::vector<Future<int>> futures{loop.create_future<int>(), loop.create_future<int>()};
    nursery.start_soon(
        [first = futures[0]]() mutable { first.set_exception(std::runtime_error("failed")); });
    const auto result = await(wait(futures, {.return_when = ReturnWhen::kFirstException}));
    EXPECT_EQ(result.done.size(), 1U);
    EXPECT_NE(futures[0].exception(), nullptr);
  });
}

// --- wait_for. ---

// explores: loop.wait_for
EXPLORE_TEST(LoopWaitForExplored, AResultInTimeIsNotLost) {
  with_loop([](EventLoop& loop, Nursery& nursery) {
    auto future = loop.create_future<int>();
    auto task = loop.create_task([&] { return await(wait_for(future, std::chrono::seconds(1))); });
    nursery.start_soon([future]() mutable { future.set_result(7); });
    EXPECT_EQ(await(task), 7);
  });
}

// explores: loop.wait_for
EXPLORE_TEST(LoopWaitForExplored, IsDoneOrCancelled) {
  with_loop([](EventLoop& loop, Nursery& nursery) {
    auto future = loop.create_future<int>();
    auto task = loop.create_task([&] { return await(wait_for(future, std::chrono::seconds(1))); });
    nursery.start_soon([task]() mutable { task.cancel(); });
    nursery.start_soon([future]() mutable {
      if (!future.done()) future.set_result(7);
    });
    const auto error = error_of([&] { EXPECT_EQ(await(task), 7); });
    EXPECT_EQ(error != nullptr, task.cancelled());
    EXPECT_TRUE(future.done() || task.cancelled());
    loop.synchronize();
  });
}

// explores: loop.wait_for
EXPLORE_TEST(LoopWaitForExplored, WithoutAnyTimeItIsDoneOrTimedOut) {
  with_loop([](EventLoop& loop, Nursery& nursery) {
    auto future = loop.create_future<int>();
    nursery.start_soon([future]() mutable {
      if (!future.done()) future.set_result(7);
    });
    auto task = loop.create_task([&] { return await(wait_for(future, std::chrono::seconds(0))); });
    const auto error = error_of([&] { EXPECT_EQ(await(task), 7); });
    EXPECT_EQ(error != nullptr, future.cancelled());
    EXPECT_EQ(error != nullptr, fibers::holds<TimeoutError>(error));
  });
}

// --- shield. ---

// explores: loop.shield
EXPLORE_TEST(LoopShieldExplored, TheInnerOneIsNeverCancelled) {
  fibers::CancelScope scope;
  with_loop([&](EventLoop& loop, Nursery& nursery) {
    auto inner = loop.create_future<int>();
    nursery.start_soon([&] { scope.cancel(); });
    nursery.start_soon([inner]() mutable { inner.set_result(1); });
    const auto got = scope.run([&] { return await(shield(inner)); });
    EXPECT_NE(got.finished(), scope.cancelled_caught());
    EXPECT_EQ(await(inner), 1);
  });
}

// explores: loop.shield
EXPLORE_TEST(LoopShieldExplored, AnErrorGoesToTheAwaiterOrToTheHandler) {
  int reported = 0;
  with_loop([&](EventLoop& loop, Nursery& nursery) {
    loop.set_exception_handler([&](EventLoop&, const ExceptionContext&) { ++reported; });
    auto inner = loop.create_future<int>();
    auto outer = shield(inner);
    nursery.start_soon([outer]() mutable { outer.cancel(); });
    nursery.start_soon([inner]() mutable { inner.set_exception(std::runtime_error("failed")); });
    const auto error = error_of([&] { await(outer); });
    loop.synchronize();
    EXPECT_EQ(reported + (fibers::holds<std::runtime_error>(error) ? 1 : 0), 1);
  });
}

// explores: loop.shield
EXPLORE_TEST(LoopShieldExplored, TwoShieldsOfOneFutureAreApart) {
  with_loop([](EventLoop& loop, Nursery& nursery) {
    auto inner = loop.create_future<int>();
    auto one = shield(inner);
    auto two = shield(inner);
    nursery.start_soon([one]() mutable { one.cancel(); });
    nursery.start_soon([inner]() mutable { inner.set_result(1); });
    EXPECT_EQ(await(two), 1);
    loop.synchronize();
    EXPECT_TRUE(one.done());
  });
}

// --- timeout. ---

// explores: loop.timeout
EXPLORE_TEST(LoopTimeoutExplored, ATimeThatHasPassedEndsOnlyItsBody) {
  with_loop([](EventLoop& loop, Nursery& nursery) {
    auto future = loop.create_future<int>();
    nursery.start_soon([future]() mutable {
      if (!future.done()) future.set_result(1);
    });
    auto task = loop.create_task([&] {
      auto limit = timeout(std::chrono::seconds(0));
      const auto error = error_of([&] { limit.run([&] { await(future); }); });
      EXPECT_EQ(current_task().cancelling(), 0U);
      if (error != nullptr) {
        EXPECT_TRUE(limit.expired());
      }
      await(sleep(std::chrono::seconds(0)));
    });
    await(task);
  });
}

// explores: loop.timeout
EXPLORE_TEST(LoopTimeoutExplored, ACancellationByOthersIsNoTimeout) {
  with_loop([](EventLoop& loop, Nursery& nursery) {
    auto never = loop.create_future<int>();
    auto task =
        loop.create_task([&] { timeout(std::chrono::seconds(5)).run([&] { await(never); }); });
    nursery.start_soon([task]() mutable { task.cancel(); });
    EXPECT_TRUE(fibers::holds<CancelledError>(error_of([&] { await(task); })));
  });
}

// explores: loop.timeout
EXPLORE_TEST(LoopTimeoutExplored, AWaitOfFibersIsDoneOrTimedOut) {
  with_loop([](EventLoop& loop, Nursery& nursery) {
    auto task = loop.create_task([&] {
      auto limit = timeout(std::chrono::seconds(0));
      error_of([&] { limit.run([] { checkpoint(); }); });
      checkpoint();
      EXPECT_EQ(current_task().cancelling(), 0U);
    });
    nursery.start_soon([] { checkpoint(); });
    await(task);
  });
}

// --- task_group. ---

// explores: loop.task_group
EXPLORE_TEST(LoopTaskGroupExplored, NobodyIsLeftInside) {
  int inside = 0;
  with_loop([&](EventLoop& loop, Nursery& nursery) {
    auto future = loop.create_future<void>();
    auto task = loop.create_task([&] {
      task_group([&](TaskGroup& tg) {
        for (int i = 0; i < 2; ++i) {
          tg.create_task([&] {
            ++inside;
            await(shield(future));
            --inside;
          });
        }
      });
      EXPECT_EQ(inside, 0);
    });
    nursery.start_soon([future]() mutable { future.set_result(); });
    await(task);
  });
}

// explores: loop.task_group
EXPLORE_TEST(LoopTaskGroupExplored, ItEndsWithItsErrorOrCancelled) {
  with_loop([](EventLoop& loop, Nursery& nursery) {
    auto future = loop.create_future<void>();
    auto task = loop.create_task([&] {
      task_group([&](TaskGroup& tg) {
        tg.create_task([&] {
          await(shield(future));
          throw std::runtime_error("failed");
        });
      });
    });
    nursery.start_soon([future]() mutable { future.set_result(); });
    nursery.start_soon([task]() mutable { task.cancel(); });
    const auto error = error_of([&] { await(task); });
    EXPECT_TRUE(fibers::holds<CancelledError>(error) ||
                fibers::holds<fibers::ExceptionGroup>(error));
    loop.synchronize();
  });
}

// explores: loop.task_group
EXPLORE_TEST(LoopTaskGroupExplored, CancelEndsItWithoutAnError) {
  TaskGroup group;
  with_loop([&](EventLoop& loop, Nursery& nursery) {
    auto never = loop.create_future<void>();
    auto task = loop.create_task([&] {
      group.run([&](TaskGroup& tg) {
        tg.create_task([&] { await(never); });
        await(sleep(std::chrono::seconds(0)));
      });
    });
    nursery.start_soon([&] {
      checkpoint();
      group.cancel();
    });
    EXPECT_EQ(error_of([&] { await(task); }), nullptr);
  });
}

}  // namespace
}  // namespace weft::loop
