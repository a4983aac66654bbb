// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What a run does when something in it fails: run_crash_test.cc.

#include "weft/fibers/run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "weft/fibers/cancelled.h"
#include "weft/fibers/context_var.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/mock_clock.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/fibers/timeouts.h"
#include "weft/fibers/token.h"

namespace weft::fibers {
namespace {

using std::chrono::seconds;
using ::testing::ContainsRegex;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::wait_all_tasks_blocked;

// trio: test_run.py::test_basic
TEST(RunTest, ReturnsWhatMainReturns) {
  EXPECT_EQ(run([] { return 7; }), 7);
  EXPECT_EQ(*run([] { return std::make_unique<int>(3); }), 3);
  bool ran = false;
  run([&ran] {
    checkpoint();
    ran = true;
  });
  EXPECT_TRUE(ran);
}

// trio: test_run.py::test_initial_task_error
TEST(RunTest, WhatMainThrowsComesOutUnchanged) {
  try {
    run([] {
      checkpoint();
      throw std::runtime_error("main's own");
    });
    ADD_FAILURE() << "the error was lost";
  } catch (const std::runtime_error& e) {
    EXPECT_STREQ(e.what(), "main's own");
  }
  EXPECT_THROW(run([]() -> int { throw 42; }), int);
}

// trio: test_run.py::test_run_nesting
TEST(RunTest, ARunInsideARunIsRefused) {
  EXPECT_THROW(run([] { run([] {}); }), UsageError);
  run([] {
    bool refused = false;
    current_token().run_sync_soon([&refused] {
      try {
        run([] {});
      } catch (const UsageError&) {
        refused = true;
      }
    });
    wait_all_tasks_blocked();
    EXPECT_TRUE(refused);
  });
}

TEST(RunTest, RunsMayFollowEachOther) {
  int sum = 0;
  for (int i = 0; i < 10; ++i) {
    try {
      run([&] {
        sum += i;
        if (i % 2 == 1) throw std::runtime_error("x");
      });
    } catch (const std::runtime_error&) {
    }
  }
  EXPECT_EQ(sum, 45);
  EXPECT_FALSE(in_trio_run());
}

TEST(RunTest, ARunMayBeginInsideACatchBlockOfItsThread) {
  try {
    throw std::runtime_error("the thread's");
  } catch (const std::runtime_error& e) {
    run([] {
      EXPECT_EQ(std::current_exception(), nullptr);
      checkpoint();
    });
    EXPECT_STREQ(e.what(), "the thread's");
    EXPECT_TRUE(holds<std::runtime_error>(std::current_exception()));
  }
}

// trio: test_run.py::test_spawn_system_task
TEST(RunTest, SystemTasksAreCancelledWhenMainEnds) {
  std::vector<std::string> happened;
  run([&] {
    spawn_system_task([&] {
      EXPECT_NE(current_task().parent_nursery(), nullptr);
      try {
        sleep_forever();
      } catch (const Cancelled&) {
        happened.emplace_back("system task cancelled");
        throw;
      }
    });
    wait_all_tasks_blocked();
    happened.emplace_back("main ends");
  });
  EXPECT_THAT(happened, ElementsAre("main ends", "system task cancelled"));
}

// trio: test_run.py::test_system_task_contexts
TEST(RunTest, ASystemTaskDoesNotInheritTheVariablesOfWhoStartsIt) {
  ContextVar<int> var("var");
  std::optional<int> of_system_task = 1;
  std::optional<int> of_task;
  run([&] {
    var.set(2);
    spawn_system_task([&] { of_system_task = var.get(); });
    open_nursery([&](Nursery& nursery) { nursery.start_soon([&] { of_task = var.get(); }); });
    wait_all_tasks_blocked();
    EXPECT_EQ(var.get(), 2);
  });
  EXPECT_EQ(of_system_task, std::nullopt);
  EXPECT_EQ(of_task, 2);
}

// trio: test_run.py::test_out_of_context
TEST(RunTest, WhatNeedsARunSaysSoOutside) {
  EXPECT_THROW(current_time(), UsageError);
  EXPECT_THROW(current_statistics(), UsageError);
  EXPECT_THROW(current_token(), UsageError);
  EXPECT_THROW(current_task(), UsageError);
  EXPECT_THROW(current_root_task(), UsageError);
  EXPECT_THROW(checkpoint(), UsageError);
  EXPECT_THROW(sleep(seconds(1)), UsageError);
  EXPECT_THROW(system_nursery(), UsageError);
  EXPECT_THROW(open_nursery([](Nursery&) {}), UsageError);
  EXPECT_FALSE(in_trio_run());
  EXPECT_FALSE(in_trio_task());
}

// trio: test_run.py::test_current_time
// The clock starts at a random point.
TEST(RunTest, EachRunsClockStartsElsewhere) {
  std::set<Instant> starts;
  for (int i = 0; i < 5; ++i) starts.insert(run([] { return current_time(); }));
  EXPECT_EQ(starts.size(), 5U);
  const Duration between = *starts.rbegin() - *starts.begin();
  EXPECT_GT(between, std::chrono::milliseconds(1));
  run([] {
    const Instant first = RunClock::now();
    EXPECT_LE(first, current_time());
  });
}

// trio: test_run.py::test_current_time_with_mock_clock
TEST(RunTest, TheTimeIsThatOfTheRunsClock) {
  testing::MockClock clock;
  run(
      [&clock] {
        const Instant start = clock.current_time();
        EXPECT_EQ(current_time(), start);
        EXPECT_EQ(current_time(), start);
        clock.jump(std::chrono::milliseconds(3150));
        EXPECT_EQ(current_time(), start + std::chrono::milliseconds(3150));
        EXPECT_EQ(current_time(), clock.current_time());
      },
      {.clock = &clock});
}

// trio: test_run.py::test_timekeeping
TEST(RunTest, ADeadlineTakesItsTimeInTheRealWorldToo) {
  run([] {
    constexpr std::chrono::milliseconds kLength(20);
    const auto start = std::chrono::steady_clock::now();
    CancelScope scope({.deadline = current_time() + kLength});
    EXPECT_FALSE(scope.run([] { sleep_forever(); }));
    EXPECT_GE(std::chrono::steady_clock::now() - start, kLength);
  });
}

// trio: test_timeouts.py::test_sleep
// Never early.
TEST(RunTest, TheRealClockIsNeverEarly) {
  run([] {
    for (int i = 0; i < 20; ++i) {
      const Instant deadline = current_time() + std::chrono::microseconds(50 * i);
      sleep_until(deadline);
      EXPECT_GE(current_time(), deadline);
    }
  });
}

// trio: test_run.py::test_yield_briefly_checks_for_timeout
TEST(RunTest, ATaskThatOnlyPassesCheckpointsIsCutShortByItsDeadline) {
  run([] {
    EXPECT_FALSE(move_on_after(std::chrono::milliseconds(1), [] {
      for (;;) checkpoint();
    }));
  });
}

// The order in which five tasks take fifty steps.
std::vector<int> trace(const RunOptions& options) {
  std::vector<int> order;
  run(
      [&order] {
        open_nursery([&order](Nursery& nursery) {
          for (int i = 0; i < 5; ++i) {
            nursery.start_soon([&order, i] {
              for (int step = 0; step < 50; ++step) {
                order.push_back(i);
                checkpoint();
              }
            });
          }
        });
      },
      options);
  return order;
}

// trio: test_scheduler_determinism.py::test_the_trio_scheduler_is_deterministic_if_seeded
TEST(RunTest, TheSameSeedGivesTheSameOrder) {
  const std::vector<int> first = trace({.schedule_seed = 1});
  for (int i = 0; i < 3; ++i) EXPECT_EQ(trace({.schedule_seed = 1}), first);
  std::set<std::vector<int>> different{first};
  for (std::uint64_t seed = 2; seed <= 10; ++seed) {
    different.insert(trace({.schedule_seed = seed}));
  }
  EXPECT_EQ(different.size(), 10U);
  EXPECT_NE(trace({}), first);
}

// trio: test_scheduler_determinism.py::test_the_trio_scheduler_is_not_deterministic
TEST(RunTest, NoTwoRunsTakeTheSameOrderUnlessAskedTo) {
  std::set<std::vector<int>> different;
  std::set<std::vector<int>> in_order;
  for (int i = 0; i < 10; ++i) {
    testing::MockClock clock;  // With it each step of all five is a batch.
    different.insert(trace({.clock = &clock}));
    testing::MockClock another;
    in_order.insert(trace({.clock = &another, .in_order = true}));
  }
  EXPECT_EQ(different.size(), 10U);
  EXPECT_EQ(in_order.size(), 1U);
}

// Whichever end a batch begins at, everybody takes one step before anybody takes another.
TEST(RunTest, EveryBatchIsFair) {
  testing::MockClock clock;
  const std::vector<int> order = trace({.clock = &clock});
  for (std::size_t batch = 0; batch < order.size(); batch += 5) {
    EXPECT_EQ((std::set<int>{order.begin() + static_cast<std::ptrdiff_t>(batch),
                             order.begin() + static_cast<std::ptrdiff_t>(batch) + 5})
                  .size(),
              5U);
  }
}

// trio: test_run.py::test_current_statistics
FIBER_TEST(RunTest, StatisticsTellTheTruth) {
  const RunStatistics at_rest = current_statistics();
  EXPECT_EQ(at_rest.tasks_living, 2U);  // The root task and this one.
  EXPECT_EQ(at_rest.tasks_runnable, 0U);
  EXPECT_EQ(at_rest.deadlines, 0U);
  EXPECT_EQ(at_rest.fds_watched, 0U);
  EXPECT_EQ(at_rest.until_next_deadline, Duration::max());
  EXPECT_EQ(at_rest.run_sync_soon_queue_size, 0U);
  for (int i = 0; i < 3; ++i) current_token().run_sync_soon([] {});
  EXPECT_EQ(current_statistics().run_sync_soon_queue_size, 3U);
  open_nursery([&](Nursery& nursery) {
    for (int i = 0; i < 3; ++i) nursery.start_soon([] { sleep_forever(); });
    EXPECT_EQ(current_statistics().tasks_living, 5U);
    EXPECT_EQ(current_statistics().tasks_runnable, 3U);
    wait_all_tasks_blocked();
    EXPECT_EQ(current_statistics().tasks_runnable, 0U);
    CancelScope scope({.deadline = current_time() + seconds(5)});
    scope.run([] {
      EXPECT_EQ(current_statistics().deadlines, 1U);
      EXPECT_EQ(current_statistics().until_next_deadline, Duration(seconds(5)));
    });
    nursery.cancel_scope().cancel();
  });
  const RunStatistics after = current_statistics();
  EXPECT_EQ(after.tasks_living, 2U);
  EXPECT_EQ(after.tasks_peak, 5U);
  EXPECT_GT(after.ticks, at_rest.ticks);
}

TEST(RunTest, SeveralThreadsMayEachHaveARun) {
  std::vector<int> sums(4);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < sums.size(); ++t) {
    threads.emplace_back([&sum = sums[t]] {
      testing::MockClock clock(0.0, Duration::zero());
      run(
          [&sum] {
            open_nursery([&sum](Nursery& nursery) {
              for (int i = 1; i <= 100; ++i) {
                nursery.start_soon([&sum, i] {
                  sleep(seconds(i));
                  sum += i;
                });
              }
            });
          },
          {.clock = &clock});
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_THAT(sums, ElementsAre(5050, 5050, 5050, 5050));
}

// Trio's own: a run in which nothing can happen any more. Here it fails with the tree.
TEST(RunTest, ADeadlockIsRaisedInMainWithTheTaskTree) {
  testing::MockClock clock(0.0, Duration::zero());
  try {
    run(
        [] {
          open_nursery([](Nursery& nursery) {
            nursery.start_soon([] { sleep_forever(); }, {.name = "stuck"});
            sleep_forever();
          });
        },
        {.clock = &clock});
    ADD_FAILURE() << "the deadlock was not seen";
  } catch (const BaseExceptionGroup& group) {
    EXPECT_THAT(group.describe(), HasSubstr("nothing in this run can ever happen again"));
    EXPECT_THAT(group.describe(), ContainsRegex("stuck #[0-9]+  waiting for sleep_forever"));
    EXPECT_TRUE(holds<DeadlockError>(group.exceptions().front()));
  }
}

TEST(RunTest, TheStackSizeOfARunAndOfATaskAreRespected) {
  run(
      [] {
        EXPECT_EQ(current_task().stack_size(), 128U * 1024);
        open_nursery([](Nursery& nursery) {
          nursery.start_soon([] { EXPECT_EQ(current_task().stack_size(), 1024U * 1024); },
                             {.stack_size = 1000 * 1000});
        });
      },
      {.stack_size = 128 * 1024});
  EXPECT_THROW(run([] {}, {.stack_size = std::size_t{4} << 30}), UsageError);
}

TEST(RunTest, AFailedStartLeavesTheThreadUsable) {
  EXPECT_THROW(run([] {}, {.stack_size = std::size_t{4} << 30}), UsageError);
  EXPECT_FALSE(in_trio_run());
  EXPECT_EQ(run([] { return 1; }), 1);
}

}  // namespace
}  // namespace weft::fibers
