// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/barrier.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "tests/loop/sync_testing.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/timeouts.h"

namespace weft::loop {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;
using namespace testing;  // NOLINT: the helpers of the folder.

// Comes to the barrier; says its index, or that it is broken.
auto come(Barrier& barrier, Log& log) {
  return [&barrier, &log]() -> Coro<void> {
    std::string said = "broken";
    try {
      const std::size_t index = co_await barrier.wait();
      said = std::to_string(index);
    } catch (const BrokenBarrierError&) {
      said = "broken";
    }
    log.push_back(said);
  };
}

std::vector<Task<void>> several(EventLoop& loop, Form form, int count, Barrier& barrier, Log& log) {
  std::vector<Task<void>> tasks;
  for (int i = 0; i < count; ++i) tasks.push_back(start(loop, form, come(barrier, log)));
  return tasks;
}

bool all_done(const std::vector<Task<void>>& tasks) {
  for (const auto& task : tasks) {
    if (!task.done()) return false;
  }
  return true;
}

// More iterations than anything here needs.
void settle(EventLoop& loop) {
  run_iterations(loop, 30);
}

// asyncio: test_locks.py::BarrierTests::test_barrier_parties
FIBER_TEST(LoopBarrierTest, NeedsSomebody) {
  EXPECT_THAT(thrown<fibers::UsageError>([] { Barrier barrier(0); }),
              HasSubstr("parties must be > 0"));
  EXPECT_THROW(Barrier(-4), fibers::UsageError);
  const Barrier barrier(5);
  EXPECT_EQ(barrier.parties(), 5U);
  EXPECT_EQ(barrier.n_waiting(), 0U);
  EXPECT_FALSE(barrier.broken());
}

// asyncio: test_locks.py::BarrierTests::test_filling_one_task
// asyncio: test_locks.py::BarrierTests::test_filling_one_task_twice
FIBER_TEST(LoopBarrierTest, OneOfOneDoesNotWait) {
  Barrier barrier(1);
  Log log;
  with_idle_loop([&](EventLoop& loop) {
    in_each_form([&](Form form) {
      for (int i = 0; i < 2; ++i) {
        const auto tasks = several(loop, form, 1, barrier, log);
        run_once(loop);
        EXPECT_TRUE(all_done(tasks));
        EXPECT_EQ(barrier.n_waiting(), 0U);
      }
    });
  });
  EXPECT_THAT(log, ElementsAre("0", "0", "0", "0"));
}

// asyncio: test_locks.py::BarrierTests::test_filling_task_by_task
// asyncio: test_locks.py::BarrierTests::test_barrier
// asyncio: test_locks.py::BarrierTests::test_context_manager
FIBER_TEST(LoopBarrierTest, TheLastOneLetsAllGo) {
  in_each_form([](Form form) {
    Barrier barrier(3);
    Log log;
    with_idle_loop([&](EventLoop& loop) {
      for (std::size_t i = 1; i < 3; ++i) {
        several(loop, form, 1, barrier, log);
        settle(loop);
        EXPECT_EQ(barrier.n_waiting(), i);
      }
      EXPECT_THAT(log, ElementsAre());
      several(loop, form, 1, barrier, log);
      run_once(loop);
      EXPECT_EQ(barrier.n_waiting(), 0U);
      settle(loop);
      EXPECT_THAT(log, UnorderedElementsAre("0", "1", "2"));
      EXPECT_EQ(barrier.n_waiting(), 0U);
      EXPECT_FALSE(barrier.broken());
    });
  });
}

// asyncio: test_locks.py::BarrierTests::test_filling_tasks_wait_twice
// asyncio: test_locks.py::BarrierTests::test_filling_tasks_check_return_value
// asyncio: claims_sync::barrier_reuse
FIBER_TEST(LoopBarrierTest, CanBeUsedAgain) {
  in_each_form([](Form form) {
    Barrier barrier(5);
    std::vector<std::vector<std::size_t>> rounds(3);
    with_idle_loop([&](EventLoop& loop) {
      for (int i = 0; i < 5; ++i) {
        start(loop, form, [&]() -> Coro<void> {
          for (auto& round : rounds) {
            const std::size_t index = co_await barrier.wait();
            round.push_back(index);
          }
        });
      }
      for (int i = 0; i < 3; ++i) settle(loop);
    });
    EXPECT_THAT(rounds, Each(UnorderedElementsAre(0, 1, 2, 3, 4)));
    EXPECT_EQ(barrier.n_waiting(), 0U);
  });
}

// asyncio: test_locks.py::BarrierTests::test_draining_state
// asyncio: test_locks.py::BarrierTests::test_blocking_tasks_while_draining
FIBER_TEST(LoopBarrierTest, WhoComesWhileItDrainsWaitsForTheNextRound) {
  in_each_form([](Form form) {
    Barrier barrier(3);
    Barrier others(2);
    Log log;
    bool first = true;
    with_idle_loop([&](EventLoop& loop) {
      for (int i = 0; i < 3; ++i) {
        start(loop, form, [&]() -> Coro<void> {
          co_await barrier.wait();
          log.emplace_back("out");
          // The first one comes back at once, the others only when both are out.
          if (!std::exchange(first, false)) co_await others.wait();
          co_await barrier.wait();
          log.emplace_back("again");
        });
      }
      settle(loop);
    });
    EXPECT_THAT(log, ElementsAre("out", "out", "out", "again", "again", "again"));
  });
}

// asyncio: test_locks.py::BarrierTests::test_filling_tasks_cancel_one
// asyncio: claims_sync::barrier_cancel_one
FIBER_TEST(LoopBarrierTest, WithoutTheOneThatIsCancelledOneMoreHasToCome) {
  in_each_form([](Form form) {
    Barrier barrier(3);
    Log log;
    with_idle_loop([&](EventLoop& loop) {
      auto tasks = several(loop, form, 2, barrier, log);
      settle(loop);
      EXPECT_EQ(barrier.n_waiting(), 2U);
      tasks[0].cancel();
      settle(loop);
      EXPECT_TRUE(tasks[0].cancelled());
      EXPECT_EQ(barrier.n_waiting(), 1U);
      several(loop, form, 1, barrier, log);
      settle(loop);
      EXPECT_THAT(log, ElementsAre());
      several(loop, form, 1, barrier, log);
      settle(loop);
      EXPECT_EQ(log.size(), 3U);
      EXPECT_EQ(barrier.n_waiting(), 0U);
      EXPECT_FALSE(barrier.broken());
    });
  });
}

// asyncio: test_locks.py::BarrierTests::test_reset_barrier
// asyncio: test_locks.py::BarrierTests::test_abort_barrier
FIBER_TEST(LoopBarrierTest, AnEmptyOneIsResetOrBroken) {
  Barrier barrier(1);
  await(barrier.reset());
  EXPECT_FALSE(barrier.broken());
  await(barrier.abort());
  EXPECT_TRUE(barrier.broken());
  EXPECT_EQ(barrier.n_waiting(), 0U);
  EXPECT_THAT(thrown<BrokenBarrierError>([&] { await(barrier.wait()); }),
              HasSubstr("Barrier aborted"));
  await(barrier.reset());
  EXPECT_FALSE(barrier.broken());
  EXPECT_EQ(await(barrier.wait()), 0U);
}

// asyncio: test_locks.py::BarrierTests::test_reset_barrier_while_tasks_waiting
// asyncio: test_locks.py::BarrierTests::test_reset_barrier_while_tasks_waiting_and_waiting_again
// asyncio: claims_sync::barrier_reset_while_filling
FIBER_TEST(LoopBarrierTest, ResetSendsAwayWhoWaits) {
  in_each_form([](Form form) {
    Barrier barrier(3);
    Log log;
    with_idle_loop([&](EventLoop& loop) {
      several(loop, form, 2, barrier, log);
      settle(loop);
      loop.create_task([&barrier] { return barrier.reset(); });
      run_once(loop);
      EXPECT_EQ(barrier.n_waiting(), 0U);
      // Who comes before they have gone waits for that.
      several(loop, form, 3, barrier, log);
      settle(loop);
      EXPECT_THAT(log, UnorderedElementsAre("broken", "broken", "0", "1", "2"));
      EXPECT_EQ(barrier.n_waiting(), 0U);
      EXPECT_FALSE(barrier.broken());
    });
  });
}

// asyncio: test_locks.py::BarrierTests::test_reset_barrier_when_tasks_half_draining
// asyncio: test_locks.py::BarrierTests::test_reset_barrier_when_tasks_half_draining_half_blocking
// asyncio: claims_sync::barrier_reset_while_draining
FIBER_TEST(LoopBarrierTest, ResetSendsAwayWhoHasNotLeftYet) {
  in_each_form([](Form form) {
    Barrier barrier(5);
    Log log;
    int out = 0;
    with_idle_loop([&](EventLoop& loop) {
      for (int i = 0; i < 5; ++i) {
        start(loop, form, [&]() -> Coro<void> {
          bool broken = false;
          try {
            co_await barrier.wait();
          } catch (const BrokenBarrierError&) {
            broken = true;
          }
          log.emplace_back(broken ? "broken" : "out");
          if (!broken && ++out == 3) co_await barrier.reset();
          co_await barrier.wait();  // All come again, and nobody is sent away.
          log.emplace_back("again");
        });
      }
      for (int i = 0; i < 3; ++i) settle(loop);
    });
    EXPECT_THAT(log, UnorderedElementsAre("out", "out", "out", "broken", "broken", "again", "again",
                                          "again", "again", "again"));
    EXPECT_EQ(barrier.n_waiting(), 0U);
    EXPECT_FALSE(barrier.broken());
  });
}

// asyncio: test_locks.py::BarrierTests::test_reset_barrier_while_tasks_draining
FIBER_TEST(LoopBarrierTest, ResetByTheLastOneOutDisturbsNobody) {
  in_each_form([](Form form) {
    Barrier barrier(3);
    Log log;
    int out = 0;
    with_idle_loop([&](EventLoop& loop) {
      for (int i = 0; i < 3; ++i) {
        start(loop, form, [&]() -> Coro<void> {
          co_await barrier.wait();
          if (++out == 3) co_await barrier.reset();
          for (int round = 0; round < 2; ++round) co_await barrier.wait();
          log.emplace_back("through");
        });
      }
      for (int i = 0; i < 3; ++i) settle(loop);
    });
    EXPECT_THAT(log, ElementsAre("through", "through", "through"));
    EXPECT_FALSE(barrier.broken());
  });
}

// asyncio: test_locks.py::BarrierTests::test_abort_barrier_when_tasks_half_draining_half_blocking
// asyncio: claims_sync::barrier_abort_while_draining
FIBER_TEST(LoopBarrierTest, AbortSendsAwayWhoIsInsideAndWhoWaitsToComeIn) {
  in_each_form([](Form form) {
    Barrier barrier(5);
    Log log;
    int out = 0;
    with_idle_loop([&](EventLoop& loop) {
      for (int i = 0; i < 5; ++i) {
        start(loop, form, [&]() -> Coro<void> {
          std::string where = "inside";
          try {
            co_await barrier.wait();
            if (++out == 3) {
              co_await barrier.abort();
              where = "aborts";
            } else {
              where = "outside";
              co_await barrier.wait();
              where = "never";
            }
          } catch (const BrokenBarrierError&) {
            where += " broken";
          }
          log.push_back(where);
        });
      }
      for (int i = 0; i < 3; ++i) settle(loop);
    });
    EXPECT_TRUE(barrier.broken());
    EXPECT_EQ(barrier.n_waiting(), 0U);
    EXPECT_THAT(log, UnorderedElementsAre("aborts", "inside broken", "inside broken",
                                          "outside broken", "outside broken"));
  });
}

// asyncio: test_locks.py::BarrierTests::test_abort_barrier_when_exception
// asyncio: test_locks.py::BarrierTests::test_abort_barrier_when_exception_then_resetting
// asyncio: claims_sync::barrier_abort_while_filling
FIBER_TEST(LoopBarrierTest, IsWholeAgainAfterAReset) {
  in_each_form([](Form form) {
    Barrier barrier(5);
    Barrier all(5);
    Log log;
    with_idle_loop([&](EventLoop& loop) {
      for (int i = 0; i < 5; ++i) {
        start(loop, form, [&]() -> Coro<void> {
          bool failed = false;
          try {
            const std::size_t index = co_await barrier.wait();
            failed = index == 2;
            if (!failed) co_await barrier.wait();
            if (!failed) log.emplace_back("never");
          } catch (const BrokenBarrierError&) {
            log.emplace_back("broken");
          }
          if (failed) co_await barrier.abort();
          const std::size_t index = co_await all.wait();
          if (index == 2) co_await barrier.reset();
          co_await all.wait();
          co_await barrier.wait();
          log.emplace_back("through");
        });
      }
      for (int i = 0; i < 5; ++i) settle(loop);
    });
    EXPECT_THAT(log, ElementsAre("broken", "broken", "broken", "broken", "through", "through",
                                 "through", "through", "through"));
    EXPECT_FALSE(barrier.broken());
  });
}

FIBER_TEST(LoopBarrierTest, TasksOfFibersMeetTasksOfTheLoop) {
  Log log;
  with_loop([&log](EventLoop& loop) {
    Barrier barrier(loop, 3);
    auto coro = loop.create_task(come(barrier, log));
    EXPECT_FALSE(fibers::move_on_after(1s, [&] { await(barrier.wait()); }));
    fibers::open_nursery([&](fibers::Nursery& own) {
      own.start_soon([&] {
        const auto comes = come(barrier, log);
        await(comes());
      });
      await(barrier.wait());
    });
    await(coro);
  });
  EXPECT_EQ(log.size(), 2U);
}

}  // namespace
}  // namespace weft::loop
