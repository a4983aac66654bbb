// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/condition.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/loop/sync_testing.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/timeouts.h"

namespace weft::loop {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using namespace testing;  // NOLINT: the helpers of the folder.

// Waits once, says so, and keeps the lock.
auto wait_once(Condition& condition, Log& log, std::string name) {
  return [&condition, &log, name]() -> Coro<void> {
    co_await condition.acquire();
    co_await condition.wait();
    log.push_back(name);
  };
}

// The same, with a guard.
auto wait_guarded(Condition& condition, Log& log, std::string name) {
  return [&condition, &log, name]() -> Coro<void> {
    const auto guard = co_await condition.scoped();
    co_await condition.wait();
    log.push_back(name);
  };
}

Guard<Lock> acquire_now(Condition& condition) {
  EXPECT_FALSE(condition.locked());
  return await(condition.scoped());
}

void notify(Condition& condition, std::size_t n) {
  const auto guard = acquire_now(condition);
  condition.notify(n);
}

// asyncio: test_locks.py::ConditionTests::test_wait
FIBER_TEST(LoopConditionTest, WhoeverIsNotifiedHasTheLockAgain) {
  WEFT_NOT_ALLOCATION_SWEPT("nobody else releases the lock that its tasks keep");
  in_each_form([](Form form) {
    Condition condition;
    Log log;
    with_idle_loop([&](EventLoop& loop) {
      start(loop, form, wait_once(condition, log, "1"));
      start(loop, form, wait_once(condition, log, "2"));
      start(loop, form, wait_once(condition, log, "3"));
      run_iterations(loop, 4);
      EXPECT_FALSE(condition.locked());
      auto guard = acquire_now(condition);
      condition.notify();
      run_once(loop);
      EXPECT_THAT(log, ElementsAre());  // The lock is not free.
      guard.release();
      run_iterations(loop, 2);
      EXPECT_THAT(log, ElementsAre("1"));
      EXPECT_TRUE(condition.locked());
      condition.notify(2);
      run_iterations(loop, 2);
      EXPECT_THAT(log, ElementsAre("1"));
      condition.release();
      run_once(loop);
      EXPECT_THAT(log, ElementsAre("1", "2"));
      condition.release();
      run_once(loop);
      EXPECT_THAT(log, ElementsAre("1", "2", "3"));
      EXPECT_TRUE(condition.locked());
    });
  });
}

// asyncio: test_locks.py::ConditionTests::test_notify
// asyncio: test_locks.py::ConditionTests::test_notify_all
// asyncio: claims_sync::condition_notify_counts
FIBER_TEST(LoopConditionTest, NotifiesSoManyInTheOrderOfTheirWaits) {
  in_each_form([](Form form) {
    Condition condition;
    Log log;
    with_idle_loop([&](EventLoop& loop) {
      for (const char* name : {"1", "2", "3", "4", "5"}) {
        start(loop, form, wait_guarded(condition, log, name));
      }
      run_iterations(loop, 6);
      notify(condition, 0);
      run_once(loop);
      EXPECT_THAT(log, ElementsAre());
      notify(condition, 1);
      run_iterations(loop, 3);
      EXPECT_THAT(log, ElementsAre("1"));
      notify(condition, 2);
      run_iterations(loop, 5);
      EXPECT_THAT(log, ElementsAre("1", "2", "3"));
      auto guard = acquire_now(condition);
      condition.notify_all();
      condition.notify_all();
      guard.release();
      run_iterations(loop, 5);
      EXPECT_THAT(log, ElementsAre("1", "2", "3", "4", "5"));
      EXPECT_FALSE(condition.locked());
    });
  });
}

// asyncio: test_locks.py::ConditionTests::test_wait_cancel
FIBER_TEST(LoopConditionTest, ACancelledWaitHasTheLockAgain) {
  in_each_form([](Form form) {
    Condition condition;
    with_idle_loop([&](EventLoop& loop) {
      bool held = false;
      auto waits = start(loop, form, [&]() -> Coro<void> {
        co_await condition.acquire();
        struct Look {
          bool& held;
          const Condition& condition;
          ~Look() { held = condition.locked(); }
        } const look{held, condition};
        co_await condition.wait();
      });
      run_once(loop);
      EXPECT_FALSE(condition.locked());
      waits.cancel();
      run_once(loop);
      EXPECT_TRUE(waits.cancelled());
      EXPECT_TRUE(held);
      EXPECT_TRUE(condition.locked());
    });
  });
}

// asyncio: test_locks.py::ConditionTests::test_wait_cancel_contested
// asyncio: test_locks.py::ConditionTests::test_wait_cancel_after_notify
// asyncio: claims_sync::condition_wait_reacquires_under_repeated_cancel
FIBER_TEST(LoopConditionTest, ACancellationWaitsForTheLockAndIsThrownThen) {
  in_each_form([](Form form) {
    Condition condition;
    Log log;
    with_idle_loop([&](EventLoop& loop) {
      auto waits = start(loop, form, wait_once(condition, log, "not reached"));
      run_once(loop);
      auto guard = acquire_now(condition);
      condition.notify();
      run_once(loop);  // Now it waits for the lock.
      for (int i = 0; i < 3; ++i) {
        EXPECT_TRUE(waits.cancel("cancel " + std::to_string(i)));
        run_iterations(loop, 2);
        EXPECT_FALSE(waits.done());
      }
      guard.release();
      run_once(loop);
      EXPECT_TRUE(waits.cancelled());
      EXPECT_TRUE(condition.locked());
      EXPECT_THAT(thrown<CancelledError>([&] { waits.result(); }), HasSubstr("cancel 2"));
    });
    EXPECT_THAT(log, ElementsAre());
  });
}

// The lock is free, and the task about to run: the cancellation comes out of the wait for the lock.
FIBER_TEST(LoopConditionTest, WhoeverIsCancelledWhenItIsGivenTheLockHasIt) {
  in_each_form([](Form form) {
    Condition condition;
    Log log;
    with_idle_loop([&](EventLoop& loop) {
      auto waits = start(loop, form, wait_once(condition, log, "not reached"));
      run_once(loop);
      auto guard = acquire_now(condition);
      condition.notify();
      run_once(loop);
      guard.release();
      EXPECT_TRUE(waits.cancel("late"));
      run_once(loop);
      EXPECT_THAT(thrown<CancelledError>([&] { waits.result(); }), HasSubstr("late"));
      EXPECT_TRUE(condition.locked());
    });
    EXPECT_THAT(log, ElementsAre());
  });
}

// asyncio: test_locks.py::ConditionTests::test_cancelled_error_wakeup
// asyncio: test_locks.py::ConditionTests::test_cancelled_error_re_aquire
FIBER_TEST(LoopConditionTest, TheCancellationIsTheOneThatWasAskedFor) {
  in_each_form([](Form form) {
    for (const bool notified : {true, false}) {
      Condition condition;
      Log log;
      with_idle_loop([&](EventLoop& loop) {
        auto waits = start(loop, form, wait_guarded(condition, log, "not reached"));
        run_once(loop);
        auto guard = acquire_now(condition);
        if (notified) condition.notify();
        run_once(loop);
        waits.cancel("foo");
        run_once(loop);
        guard.release();
        run_once(loop);
        EXPECT_THAT(thrown<CancelledError>([&] { waits.result(); }), HasSubstr("foo"));
        EXPECT_FALSE(condition.locked());
      });
      EXPECT_THAT(log, ElementsAre());
    }
  });
}

// asyncio: test_locks.py::ConditionTests::test_cancelled_wakeup
// asyncio: test_locks.py::ConditionTests::test_cancelled_wakeup_relock
// asyncio: claims_sync::condition_lost_notify_is_passed_on
FIBER_TEST(LoopConditionTest, ANotificationThatIsLostGoesToTheNext) {
  in_each_form([](Form form) {
    for (const bool waits_for_lock : {true, false}) {
      Condition condition;
      Log log;
      with_idle_loop([&](EventLoop& loop) {
        auto first = start(loop, form, wait_guarded(condition, log, "1"));
        start(loop, form, wait_guarded(condition, log, "2"));
        auto third = start(loop, form, wait_guarded(condition, log, "3"));
        run_iterations(loop, 4);
        auto guard = acquire_now(condition);
        condition.notify();
        if (waits_for_lock) run_once(loop);
        first.cancel();
        guard.release();
        run_iterations(loop, 4);
        EXPECT_TRUE(first.cancelled());
        EXPECT_THAT(log, ElementsAre("2"));
        third.cancel();
        run_once(loop);
      });
    }
  });
}

// Nothing is lost, so nobody is woken for it.
FIBER_TEST(LoopConditionTest, ACancelledWaitWakesNobody) {
  in_each_form([](Form form) {
    Condition condition;
    Log log;
    with_idle_loop([&](EventLoop& loop) {
      auto first = start(loop, form, wait_guarded(condition, log, "1"));
      auto second = start(loop, form, wait_guarded(condition, log, "2"));
      run_iterations(loop, 3);
      first.cancel();
      run_iterations(loop, 3);
      EXPECT_TRUE(first.cancelled());
      EXPECT_FALSE(second.done());
      notify(condition, 1);
      run_iterations(loop, 2);
      EXPECT_THAT(log, ElementsAre("2"));
    });
  });
}

// asyncio: test_locks.py::ConditionTests::test_wait_unacquired
// asyncio: test_locks.py::ConditionTests::test_wait_for_unacquired
// asyncio: test_locks.py::ConditionTests::test_notify_unacquired
// asyncio: test_locks.py::ConditionTests::test_notify_all_unacquired
FIBER_TEST(LoopConditionTest, NeedsTheLock) {
  Condition condition;
  EXPECT_THAT(thrown<fibers::UsageError>([&] { await(condition.wait()); }),
              HasSubstr("cannot wait on un-acquired lock"));
  EXPECT_THAT(thrown<fibers::UsageError>([&] { condition.notify(); }),
              HasSubstr("cannot notify on un-acquired lock"));
  EXPECT_THROW(condition.notify_all(), fibers::UsageError);
  EXPECT_TRUE(await(condition.wait_for([] { return true; })));  // Nothing to wait for.
  EXPECT_THROW(await(condition.wait_for([] { return false; })), fibers::UsageError);
}

// asyncio: test_locks.py::ConditionTests::test_wait_for
FIBER_TEST(LoopConditionTest, WaitForLooksAfterEachNotification) {
  in_each_form([](Form form) {
    Condition condition;
    int value = 0;
    int looks = 0;
    with_idle_loop([&](EventLoop& loop) {
      auto waits = start(loop, form, [&]() -> Coro<int> {
        const auto guard = co_await condition.scoped();
        co_return co_await condition.wait_for([&] {
          ++looks;
          return value;
        });
      });
      run_once(loop);
      EXPECT_EQ(looks, 1);
      notify(condition, 1);
      run_iterations(loop, 2);
      EXPECT_EQ(looks, 2);
      EXPECT_FALSE(waits.done());
      value = 7;
      run_iterations(loop, 2);
      EXPECT_EQ(looks, 2);
      notify(condition, 1);
      run_once(loop);
      EXPECT_EQ(waits.result(), 7);
      EXPECT_FALSE(condition.locked());
    });
  });
}

// asyncio: test_locks.py::ConditionTests::test_context_manager
// asyncio: test_locks.py::ConditionTests::test_explicit_lock
FIBER_TEST(LoopConditionTest, SharesALockThatItIsGiven) {
  in_each_form([](Form form) {
    Lock lock;
    Condition full(lock);
    Condition empty(lock);
    Log log;
    with_idle_loop([&](EventLoop& loop) {
      start(loop, form, wait_guarded(full, log, "full"));
      start(loop, form, wait_guarded(empty, log, "empty"));
      run_iterations(loop, 3);
      await(lock.acquire());
      EXPECT_TRUE(full.locked());
      EXPECT_TRUE(empty.locked());
      empty.notify_all();
      full.release();
      EXPECT_FALSE(lock.locked());
      run_once(loop);
      EXPECT_THAT(log, ElementsAre("empty"));
      notify(full, 1);
      run_once(loop);
      EXPECT_THAT(log, ElementsAre("empty", "full"));
      EXPECT_FALSE(lock.locked());
    });
  });
}

// asyncio: test_locks.py::ConditionTests::test_ambiguous_loops
FIBER_TEST(LoopConditionTest, ALockOfAnotherLoopIsRefused) {
  WEFT_NOT_ALLOCATION_SWEPT("it looks at its errors");
  with_idle_loop([](EventLoop& loop) {
    with_idle_loop([&loop](EventLoop& other) {
      Lock lock(other);
      Condition condition(lock);
      Log log;
      auto refused = start(loop, Form::kCoro, wait_once(condition, log, "refused"));
      run_once(loop);
      EXPECT_THAT(thrown<fibers::UsageError>([&] { refused.result(); }),
                  HasSubstr("this Lock is bound to a different event loop"));
      EXPECT_TRUE(lock.locked());
    });
  });
}

// asyncio: test_locks.py::ConditionTests::test_timeout_in_block
FIBER_TEST(LoopConditionTest, ACancelledTaskOfFibersHasTheLockAgain) {
  with_loop([](EventLoop& loop) {
    Condition condition(loop);
    const auto guard = await(condition.scoped());
    EXPECT_FALSE(fibers::move_on_after(500ms, [&] {
      await(condition.wait());
      ADD_FAILURE() << "nobody has notified it";
    }));
    EXPECT_TRUE(condition.locked());
    // Also if it has to wait for the lock.
    loop.call_later(1s, [&] { await(condition.acquire()); });
    loop.call_later(3s, [&] { condition.release(); });
    const fibers::Instant begin = fibers::current_time();
    EXPECT_FALSE(fibers::move_on_after(2s, [&] { await(condition.wait()); }));
    EXPECT_EQ(fibers::current_time() - begin, 3s);
    EXPECT_TRUE(condition.locked());
  });
}

// A scope of fibers inside a task of the loop ends by its own Cancelled, not by a CancelledError.
FIBER_TEST(LoopConditionTest, AScopeThatEndsWhileItWaitsForTheLockEndsItsBody) {
  Condition condition;
  with_loop([&](EventLoop& loop) {
    auto task = loop.create_task([&] {
      const auto guard = await(condition.scoped());
      const auto scope = fibers::move_on_after(2s, [&] {
        await(condition.wait());
        ADD_FAILURE() << "cancelled meanwhile";
      });
      EXPECT_TRUE(condition.locked());
      return !scope.finished();
    });
    loop.call_later(1s, [&] {
      await(condition.acquire());
      condition.notify();
    });
    loop.call_later(3s, [&] { condition.release(); });
    EXPECT_TRUE(await(task));
    EXPECT_FALSE(condition.locked());
  });
}

FIBER_TEST(LoopConditionTest, ATaskOfFibersThatIsNotifiedReturnsWithTheLock) {
  with_loop([](EventLoop& loop) {
    Condition condition(loop);
    const auto guard = await(condition.scoped());
    loop.call_later(1s, [&] {
      await(condition.acquire());
      condition.notify();
      fibers::sleep(1s);
      condition.release();
    });
    const fibers::Instant begin = fibers::current_time();
    await(condition.wait());
    EXPECT_EQ(fibers::current_time() - begin, 2s);
    EXPECT_TRUE(condition.locked());
  });
}

FIBER_TEST(LoopConditionTest, AWaitThatIsDroppedLeavesOthersTheirLock) {
  Condition condition;
  with_idle_loop([&](EventLoop& loop) {
    loop.set_exception_handler([](EventLoop&, const ExceptionContext&) {});
    Log log;
    loop.create_task(wait_guarded(condition, log, "not reached"));
    run_once(loop);
    auto guard = acquire_now(condition);
    loop.close();
    EXPECT_TRUE(condition.locked());
    EXPECT_THAT(log, ElementsAre());
    guard.release();
  });
}

}  // namespace
}  // namespace weft::loop
