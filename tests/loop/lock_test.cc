// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/lock.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "tests/loop/sync_testing.h"
#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/errors.h"

namespace weft::loop {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using namespace testing;  // NOLINT: the helpers of the folder.

// Acquires, says so, and keeps it.
auto take(Lock& lock, Log& log, std::string name) {
  return [&lock, &log, name]() -> Coro<void> {
    co_await lock.acquire();
    log.push_back(name);
  };
}

// asyncio: test_locks.py::LockTests::test_lock
// asyncio: test_locks.py::LockTests::test_release_no_waiters
FIBER_TEST(LoopLockTest, AFreeOneIsAcquiredWithoutWaiting) {
  Lock lock;
  with_idle_loop([&](EventLoop& loop) {
    in_each_form([&](Form form) {
      auto task = start(loop, form, [&lock]() -> Coro<bool> {
        co_await lock.acquire();
        const bool held = lock.locked();
        lock.release();
        co_return held && !lock.locked();
      });
      run_once(loop);
      ASSERT_TRUE(task.done());
      EXPECT_TRUE(task.result());
    });
  });
}

// asyncio: test_locks.py::LockTests::test_acquire
// asyncio: claims_sync::lock_is_fifo
FIBER_TEST(LoopLockTest, WhoAskedFirstGetsItFirst) {
  in_each_form([](Form form) {
    Lock lock;
    Log log;
    with_idle_loop([&](EventLoop& loop) {
      start(loop, form, take(lock, log, "1"));
      start(loop, form, take(lock, log, "2"));
      start(loop, form, take(lock, log, "3"));
      run_iterations(loop, 2);
      EXPECT_THAT(log, ElementsAre("1"));
      lock.release();
      run_iterations(loop, 2);
      EXPECT_THAT(log, ElementsAre("1", "2"));
      start(loop, form, take(lock, log, "4"));
      lock.release();
      run_iterations(loop, 2);
      lock.release();
      run_once(loop);
      EXPECT_THAT(log, ElementsAre("1", "2", "3", "4"));
      lock.release();
      EXPECT_FALSE(lock.locked());
    });
  });
}

// Between a release and the turn of whoever it wakes.
FIBER_TEST(LoopLockTest, NobodyPushesIn) {
  in_each_form([](Form form) {
    Lock lock;
    Log log;
    with_idle_loop([&](EventLoop& loop) {
      start(loop, form, take(lock, log, "holds"));
      start(loop, form, take(lock, log, "waits"));
      run_once(loop);
      start(loop, form, take(lock, log, "comes"));
      lock.release();
      EXPECT_FALSE(lock.locked());
      run_once(loop);
      EXPECT_THAT(log, ElementsAre("holds", "waits"));
      lock.release();
      run_once(loop);
      EXPECT_THAT(log, ElementsAre("holds", "waits", "comes"));
    });
  });
}

// asyncio: test_locks.py::LockTests::test_acquire_cancel
FIBER_TEST(LoopLockTest, WhoeverIsCancelledDoesNotGetIt) {
  in_each_form([](Form form) {
    Lock lock;
    Log log;
    with_idle_loop([&](EventLoop& loop) {
      start(loop, form, take(lock, log, "holds"));
      auto waits = start(loop, form, take(lock, log, "waits"));
      run_once(loop);
      loop.call_soon([&] { waits.cancel("enough"); });
      run_iterations(loop, 2);
      EXPECT_EQ(thrown<CancelledError>([&] { waits.result(); }),
                "the future was cancelled: enough");
      lock.release();
      run_once(loop);
      EXPECT_FALSE(lock.locked());
      EXPECT_THAT(log, ElementsAre("holds"));
    });
  });
}

// asyncio: test_locks.py::LockTests::test_cancel_race
FIBER_TEST(LoopLockTest, AReleaseReachesTheOneBehindAWaiterThatIsCancelled) {
  in_each_form([](Form form) {
    Lock lock;
    Log log;
    with_idle_loop([&](EventLoop& loop) {
      start(loop, form, take(lock, log, "a"));
      auto b = start(loop, form, take(lock, log, "b"));
      auto c = start(loop, form, take(lock, log, "c"));
      run_once(loop);
      b.cancel();
      lock.release();
      run_iterations(loop, 2);
      EXPECT_TRUE(b.cancelled());
      EXPECT_TRUE(c.done());
      EXPECT_THAT(log, ElementsAre("a", "c"));
      EXPECT_TRUE(lock.locked());
    });
  });
}

// asyncio: test_locks.py::LockTests::test_cancel_release_race
FIBER_TEST(LoopLockTest, ACancellationAndAReleaseTogetherLetOneIn) {
  in_each_form([](Form form) {
    Lock lock;
    Log log;
    with_idle_loop([&](EventLoop& loop) {
      start(loop, form, take(lock, log, "0"));
      auto first = start(loop, form, take(lock, log, "1"));
      auto second = start(loop, form, take(lock, log, "2"));
      auto third = start(loop, form, take(lock, log, "3"));
      run_once(loop);
      loop.call_soon([&] {
        first.cancel();
        lock.release();
      });
      run_iterations(loop, 4);
      EXPECT_THAT(log, ElementsAre("0", "2"));
      EXPECT_TRUE(first.cancelled());
      EXPECT_TRUE(second.done());
      EXPECT_FALSE(third.done());
      third.cancel();
      run_once(loop);
      EXPECT_TRUE(third.cancelled());
    });
  });
}

// asyncio: test_locks.py::LockTests::test_finished_waiter_cancelled
// asyncio: claims_sync::lock_cancelled_waiter_passes_the_wakeup_on
FIBER_TEST(LoopLockTest, WhoeverIsWokenAndCancelledPassesTheTurnOn) {
  in_each_form([](Form form) {
    for (const bool released_first : {true, false}) {
      Lock lock;
      Log log;
      with_idle_loop([&](EventLoop& loop) {
        start(loop, form, take(lock, log, "a"));
        auto b = start(loop, form, take(lock, log, "b"));
        auto c = start(loop, form, take(lock, log, "c"));
        run_once(loop);
        if (released_first) lock.release();
        b.cancel();
        if (!released_first) lock.release();
        run_iterations(loop, 2);
        EXPECT_TRUE(b.cancelled());
        EXPECT_TRUE(c.done());
        EXPECT_THAT(log, ElementsAre("a", "c"));
      });
    }
  });
}

// asyncio: test_locks.py::LockTests::test_release_not_acquired
// asyncio: claims_sync::lock_release_unlocked_is_refused
FIBER_TEST(LoopLockTest, OneThatIsFreeIsNotReleased) {
  Lock lock;
  EXPECT_THAT(thrown<fibers::UsageError>([&] { lock.release(); }),
              HasSubstr("Lock is not acquired"));
}

// asyncio: test_locks.py::LockTests::test_context_manager
// asyncio: test_locks.py::LockTests::test_lock_by_with_statement
FIBER_TEST(LoopLockTest, AGuardReleasesWhenItGoes) {
  in_each_form([](Form form) {
    Lock lock;
    with_idle_loop([&](EventLoop& loop) {
      auto task = start(loop, form, [&lock]() -> Coro<void> {
        std::optional<Guard<Lock>> kept;
        {
          auto guard = co_await lock.scoped();
          kept = std::move(guard);
        }
        EXPECT_TRUE(lock.locked());
        kept.reset();
        EXPECT_FALSE(lock.locked());
        auto early = co_await lock.scoped();
        early.release();
        EXPECT_FALSE(lock.locked());
        early.release();
      });
      run_once(loop);
      EXPECT_TRUE(task.done());
      EXPECT_EQ(task.exception(), nullptr);
    });
  });
}

FIBER_TEST(LoopLockTest, AGuardReleasesWhenItsBlockThrows) {
  in_each_form([](Form form) {
    Lock lock;
    Log log;
    with_idle_loop([&](EventLoop& loop) {
      auto task = start(loop, form, [&lock]() -> Coro<void> {
        auto guard = co_await lock.scoped();
        co_await sleep(0s);
        throw std::runtime_error("inside");
      });
      auto next = start(loop, form, take(lock, log, "next"));
      run_iterations(loop, 4);
      EXPECT_EQ(thrown<std::runtime_error>([&] { task.result(); }), "inside");
      EXPECT_TRUE(next.done());
    });
  });
}

FIBER_TEST(LoopLockTest, AGuardDoesNotReleaseWhatIsNotItsOwn) {
  in_each_form([](Form form) {
    Lock lock;
    with_idle_loop([&](EventLoop& loop) {
      auto task = start(loop, form, [&lock]() -> Coro<void> {
        auto first = co_await lock.scoped();
        lock.release();
        auto second = co_await lock.scoped();
        first.release();
        EXPECT_TRUE(lock.locked());
      });
      run_once(loop);
      EXPECT_TRUE(task.done());
      EXPECT_FALSE(lock.locked());
    });
  });
}

FIBER_TEST(LoopLockTest, TasksCallbacksAndTasksOfFibersTakeTurns) {
  int inside = 0;
  int turns = 0;
  Lock lock;
  const auto on_stack = [&] {
    const auto guard = await(lock.scoped());
    EXPECT_EQ(++inside, 1);
    fibers::sleep(1s);
    --inside;
    ++turns;
  };
  with_loop([&](EventLoop& loop) {
    const auto in_coro = [&]() -> Coro<void> {
      const auto guard = co_await lock.scoped();
      EXPECT_EQ(++inside, 1);
      co_await sleep(1s);
      --inside;
      ++turns;
    };
    auto first = loop.create_task(in_coro);
    auto second = loop.create_task(on_stack);
    loop.call_soon(on_stack);
    loop.synchronize();
    on_stack();
    await(first);
    await(second);
  });
  EXPECT_EQ(turns, 4);
  EXPECT_FALSE(lock.locked());
}

FIBER_TEST(LoopLockTest, ACancelledTaskOfFibersTakesNothingWithIt) {
  in_each_form([](Form form) {
    Lock lock;
    Log log;
    with_loop([&](EventLoop& loop) {
      await(start(loop, form, take(lock, log, "holds")));
      auto waits = start(loop, form, take(lock, log, "waits"));
      loop.synchronize();
      const auto scope = fibers::move_on_after(1s, [&] { await(lock.acquire()); });
      EXPECT_FALSE(scope.finished());
      lock.release();
      await(waits);
      EXPECT_THAT(log, ElementsAre("holds", "waits"));
      lock.release();
    });
    EXPECT_FALSE(lock.locked());
  });
}

FIBER_TEST(LoopLockTest, ATaskOfFibersNeedsToSayWhichLoop) {
  WEFT_NOT_ALLOCATION_SWEPT("it looks at its errors");
  with_loop([](EventLoop& loop) {
    Lock free;
    await(free.acquire());
    EXPECT_THAT(thrown<fibers::UsageError>([&] { await(free.acquire()); }),
                HasSubstr("no running event loop"));
    Lock bound(loop);
    await(bound.acquire());
    loop.call_later(1s, [&] { bound.release(); });
    await(bound.acquire());
    EXPECT_TRUE(bound.locked());
  });
}

// asyncio: test_locks.py::ConditionTests::test_ambiguous_loops
FIBER_TEST(LoopLockTest, BelongsToTheLoopOfItsFirstWait) {
  WEFT_NOT_ALLOCATION_SWEPT("it looks at its errors");
  in_each_form([](Form form) {
    Lock lock;
    Log log;
    with_idle_loop([&](EventLoop& loop) {
      with_idle_loop([&](EventLoop& other) {
        // Nobody waits yet.
        start(other, form, take(lock, log, "other"));
        run_once(other);
        auto waits = start(loop, form, take(lock, log, "waits"));
        run_once(loop);
        auto refused = start(other, form, take(lock, log, "refused"));
        run_once(other);
        EXPECT_THAT(thrown<fibers::UsageError>([&] { refused.result(); }),
                    HasSubstr("this Lock is bound to a different event loop"));
        lock.release();
        run_once(loop);
        EXPECT_TRUE(waits.done());
        EXPECT_THAT(log, ElementsAre("other", "waits"));
      });
    });
  });
}

FIBER_TEST(LoopLockTest, ACoroutineThatIsDroppedLetsGo) {
  Lock lock;
  bool reported = false;
  with_idle_loop([&](EventLoop& loop) {
    loop.set_exception_handler(
        [&reported](EventLoop&, const ExceptionContext&) { reported = true; });
    loop.create_task([&lock]() -> Coro<void> {
      auto guard = co_await lock.scoped();
      co_await sleep(1h);
    });
    loop.create_task([&lock]() -> Coro<void> {
      auto guard = co_await lock.scoped();
      ADD_FAILURE() << "after the end of the loop";
    });
    run_once(loop);
    EXPECT_TRUE(lock.locked());
    loop.close();
    EXPECT_FALSE(lock.locked());
  });
  EXPECT_TRUE(reported);
}

}  // namespace
}  // namespace weft::loop
