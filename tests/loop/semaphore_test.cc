// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/semaphore.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/loop/sync_testing.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/timeouts.h"
#include "weft/loop/condition.h"
#include "weft/loop/lock.h"

namespace weft::loop {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using namespace testing;  // NOLINT: the helpers of the folder.

auto take(Semaphore& semaphore, Log& log, std::string name) {
  return [&semaphore, &log, name]() -> Coro<void> {
    co_await semaphore.acquire();
    log.push_back(name);
  };
}

// asyncio: test_locks.py::SemaphoreTests::test_initial_value_zero
// asyncio: test_locks.py::SemaphoreTests::test_semaphore_value
FIBER_TEST(LoopSemaphoreTest, BeginsWithWhatItIsGiven) {
  EXPECT_TRUE(Semaphore(0).locked());
  EXPECT_FALSE(Semaphore().locked());
  EXPECT_FALSE(BoundedSemaphore(2).locked());
  EXPECT_THAT(thrown<fibers::UsageError>([] { Semaphore semaphore(-1); }),
              HasSubstr("Semaphore initial value must be >= 0"));
  EXPECT_THROW(BoundedSemaphore(-1), fibers::UsageError);
}

// asyncio: test_locks.py::SemaphoreTests::test_semaphore
// asyncio: test_locks.py::SemaphoreTests::test_release_no_waiters
FIBER_TEST(LoopSemaphoreTest, LetsSoManyInAtOnce) {
  in_each_form([](Form form) {
    Semaphore semaphore(2);
    Log log;
    with_idle_loop([&](EventLoop& loop) {
      start(loop, form, take(semaphore, log, "1"));
      start(loop, form, take(semaphore, log, "2"));
      run_once(loop);
      EXPECT_THAT(log, ElementsAre("1", "2"));
      EXPECT_TRUE(semaphore.locked());
      semaphore.release();
      EXPECT_FALSE(semaphore.locked());
      semaphore.release();
      semaphore.release();  // It has no bound.
      EXPECT_FALSE(semaphore.locked());
    });
  });
}

// asyncio: test_locks.py::SemaphoreTests::test_acquire
FIBER_TEST(LoopSemaphoreTest, WhoAskedFirstGetsInFirst) {
  in_each_form([](Form form) {
    Semaphore semaphore(3);
    Log log;
    with_idle_loop([&](EventLoop& loop) {
      for (const char* name : {"1", "2", "3", "4", "5"}) {
        start(loop, form, take(semaphore, log, name));
      }
      run_iterations(loop, 2);
      EXPECT_THAT(log, ElementsAre("1", "2", "3"));
      semaphore.release();
      semaphore.release();
      run_once(loop);
      EXPECT_THAT(log, ElementsAre("1", "2", "3", "4", "5"));
      EXPECT_TRUE(semaphore.locked());
    });
  });
}

// asyncio: test_locks.py::SemaphoreTests::test_acquire_cancel
// asyncio: test_locks.py::SemaphoreTests::test_acquire_hang
// asyncio: test_locks.py::SemaphoreTests::test_acquire_cancel_before_awoken
FIBER_TEST(LoopSemaphoreTest, AReleaseGoesToTheFirstWhoIsNotCancelled) {
  in_each_form([](Form form) {
    Semaphore semaphore(0);
    Log log;
    with_idle_loop([&](EventLoop& loop) {
      auto one = start(loop, form, take(semaphore, log, "1"));
      auto two = start(loop, form, take(semaphore, log, "2"));
      start(loop, form, take(semaphore, log, "3"));
      auto four = start(loop, form, take(semaphore, log, "4"));
      run_once(loop);
      one.cancel();
      two.cancel();
      semaphore.release();
      run_iterations(loop, 2);
      EXPECT_THAT(log, ElementsAre("3"));
      EXPECT_TRUE(one.cancelled());
      EXPECT_TRUE(two.cancelled());
      EXPECT_TRUE(semaphore.locked());
      four.cancel();
      run_once(loop);
      EXPECT_TRUE(four.cancelled());
    });
  });
}

// asyncio: test_locks.py::SemaphoreTests::test_acquire_no_hang
// asyncio: claims_sync::semaphore_woken_and_cancelled_gives_back
FIBER_TEST(LoopSemaphoreTest, WhoeverIsWokenAndCancelledGivesItBack) {
  in_each_form([](Form form) {
    for (const bool others : {true, false}) {
      Semaphore semaphore(0);
      Log log;
      with_idle_loop([&](EventLoop& loop) {
        auto first = start(loop, form, take(semaphore, log, "1"));
        Task<void> second;
        if (others) second = start(loop, form, take(semaphore, log, "2"));
        run_once(loop);
        semaphore.release();
        first.cancel();
        run_iterations(loop, 2);
        EXPECT_TRUE(first.cancelled());
        if (others) {
          EXPECT_THAT(log, ElementsAre("2"));
          EXPECT_TRUE(semaphore.locked());
        } else {
          EXPECT_FALSE(semaphore.locked());
        }
      });
    }
  });
}

// asyncio: test_locks.py::SemaphoreTests::test_acquire_fifo_order
FIBER_TEST(LoopSemaphoreTest, WhoReleasesAndAsksAgainGoesToTheEndOfTheLine) {
  WEFT_NOT_ALLOCATION_SWEPT("nobody else releases what a task that fails has acquired");
  in_each_form([](Form form) {
    Semaphore semaphore(1);
    Log log;
    with_loop([&](EventLoop& loop) {
      std::vector<Task<void>> tasks;
      for (const std::string name : {"a", "b", "c"}) {
        tasks.push_back(start(loop, form, [&semaphore, &log, name]() -> Coro<void> {
          for (int i = 1; i <= 2; ++i) {
            co_await semaphore.acquire();
            log.push_back(name + std::to_string(i));
            co_await sleep(10ms);
            semaphore.release();
          }
        }));
      }
      for (const auto& task : tasks) await(task);
    });
    EXPECT_THAT(log, ElementsAre("a1", "b1", "c1", "a2", "b2", "c2"));
  });
}

// asyncio: test_locks.py::SemaphoreTests::test_acquire_fifo_order_2
// asyncio: test_locks.py::SemaphoreTests::test_acquire_fifo_order_3
// asyncio: claims_sync::semaphore_has_no_barging
FIBER_TEST(LoopSemaphoreTest, NobodyPushesIn) {
  in_each_form([](Form form) {
    Semaphore semaphore(1);
    Log log;
    with_idle_loop([&](EventLoop& loop) {
      start(loop, form, take(semaphore, log, "1"));
      start(loop, form, [&]() -> Coro<void> {
        co_await semaphore.acquire();
        log.emplace_back("2");
        semaphore.release();
        co_await semaphore.acquire();  // Behind the third, who has been here longer.
        log.emplace_back("4");
      });
      start(loop, form, take(semaphore, log, "3"));
      run_once(loop);
      semaphore.release();
      EXPECT_TRUE(semaphore.locked());
      semaphore.release();
      run_iterations(loop, 4);
      EXPECT_THAT(log, ElementsAre("1", "2", "3", "4"));
    });
  });
}

// asyncio: test_locks.py::SemaphoreTests::test_acquire_fifo_order_4
FIBER_TEST(LoopSemaphoreTest, WhoGetsInWakesThoseWhoWaitedForTheOrderAlone) {
  in_each_form([](Form form) {
    Semaphore semaphore(0);
    Log log;
    with_idle_loop([&](EventLoop& loop) {
      start(loop, form, take(semaphore, log, "1"));
      start(loop, form, [&]() -> Coro<void> {
        semaphore.release();
        semaphore.release();
        semaphore.release();
        EXPECT_TRUE(semaphore.locked());
        co_await semaphore.acquire();
        log.emplace_back("2");
      });
      start(loop, form, take(semaphore, log, "3"));
      run_iterations(loop, 3);
      EXPECT_THAT(log, ElementsAre("1", "2", "3"));
      EXPECT_TRUE(semaphore.locked());
    });
  });
}

// asyncio: test_locks.py::SemaphoreTests::test_release_not_acquired
// asyncio: claims_sync::bounded_semaphore_overflow_is_refused
FIBER_TEST(LoopSemaphoreTest, ABoundedOneIsNotReleasedTooOften) {
  BoundedSemaphore semaphore;
  EXPECT_THAT(thrown<fibers::UsageError>([&] { semaphore.release(); }),
              HasSubstr("BoundedSemaphore released too many times"));
  await(semaphore.acquire());
  EXPECT_TRUE(semaphore.locked());
  semaphore.release();
  EXPECT_THROW(semaphore.release(), fibers::UsageError);
}

FIBER_TEST(LoopSemaphoreTest, AGuardReleasesWhenItGoes) {
  in_each_form([](Form form) {
    BoundedSemaphore semaphore;
    Log log;
    with_loop([&](EventLoop& loop) {
      const auto inside = [&]() -> Coro<void> {
        auto guard = co_await semaphore.scoped();
        log.emplace_back("in");
        co_await sleep(1s);
        log.emplace_back("out");
      };
      auto one = start(loop, form, inside);
      auto two = start(loop, form, inside);
      await(one);
      const auto guard = await(semaphore.scoped());
      EXPECT_TRUE(two.done());
    });
    EXPECT_THAT(log, ElementsAre("in", "out", "in", "out"));
    EXPECT_FALSE(semaphore.locked());
  });
}

// asyncio: test_pep492.py::LockTests::test_context_manager_async_with
FIBER_TEST(LoopGuardTest, HoldsWhateverCanBeHeldForItsBlock) {
  const auto holds_for_its_block = [](EventLoop& loop, Form form, auto& what) {
    await(start(loop, form, [&what]() -> Coro<void> {
      EXPECT_FALSE(what.locked());
      {
        const auto guard = co_await what.scoped();
        EXPECT_TRUE(what.locked());
        co_await sleep(10ms);
        EXPECT_TRUE(what.locked());
      }
      EXPECT_FALSE(what.locked());
    }));
  };
  in_each_form([&](Form form) {
    Lock lock;
    Condition condition;
    Semaphore semaphore;
    BoundedSemaphore bounded;
    with_loop([&](EventLoop& loop) {
      holds_for_its_block(loop, form, lock);
      holds_for_its_block(loop, form, condition);
      holds_for_its_block(loop, form, semaphore);
      holds_for_its_block(loop, form, bounded);
    });
  });
}

FIBER_TEST(LoopSemaphoreTest, ACancelledTaskOfFibersTakesNothingWithIt) {
  Log log;
  with_loop([&](EventLoop& loop) {
    Semaphore semaphore(loop, 0);
    EXPECT_FALSE(fibers::move_on_after(1s, [&] { await(semaphore.acquire()); }));
    semaphore.release();
    EXPECT_FALSE(semaphore.locked());
    await(semaphore.acquire());
  });
}

}  // namespace
}  // namespace weft::loop
