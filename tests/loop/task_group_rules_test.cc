// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// How a TaskGroup may be used, and TaskGroup::cancel().

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/loop/loop_testing.h"
#include "tests/loop/task_group_testing.h"
#include "weft/fibers/context_var.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/exception_group.h"
#include "weft/loop/event_loop.h"
#include "weft/loop/task_group.h"
#include "weft/loop/timeout.h"

namespace weft::loop {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;
using namespace testing;  // NOLINT: the helpers of the folder.

// asyncio: test_taskgroups.py::TestTaskGroup::test_taskgroup_21a
// asyncio: test_taskgroups.py::TestTaskGroup::test_coro_closed_when_tg_closed
// asyncio: test_taskgroups.py::TestTaskGroup::test_taskgroup_not_entered
// asyncio: test_taskgroups.py::TestTaskGroup::test_taskgroup_without_parent_task
// asyncio: test_taskgroups.py::TestTaskGroup::test_taskgroup_finished
// asyncio: test_taskgroups.py::TestTaskGroup::test_taskgroup_double_enter
FIBER_TEST(TaskGroupRulesTest, WrongUseIsRefusedAndTheCodeNeverRuns) {
  bool begun = false;
  CapturedLog log;
  with_loop([&](EventLoop& loop) {
    const auto code = [&begun]() -> Coro<void> {
      begun = true;
      co_return;
    };
    TaskGroup early;
    EXPECT_THAT(thrown<fibers::UsageError>([&] { early.create_task(code()); }),
                HasSubstr("TaskGroup has not been entered"));
    EXPECT_THAT(thrown<fibers::UsageError>([&] { early.run([](TaskGroup&) {}); }),
                HasSubstr("cannot determine the parent task"));
    auto task = loop.create_task([&] {
      TaskGroup group;
      group.run([](TaskGroup&) {});
      EXPECT_THAT(thrown<fibers::UsageError>([&] { group.create_task(code()); }),
                  HasSubstr("TaskGroup is finished"));
      EXPECT_THAT(thrown<fibers::UsageError>([&] { group.run([](TaskGroup&) {}); }),
                  HasSubstr("TaskGroup has already been entered"));
    });
    await(task);
  });
  EXPECT_FALSE(begun);
  EXPECT_TRUE(log.lines.empty());
}

// asyncio: test_taskgroups.py::TestTaskGroup::test_taskgroup_already_entered
FIBER_TEST(TaskGroupRulesTest, IsNotEnteredAgainInItsOwnBody) {
  with_loop([](EventLoop& loop) {
    auto coroutine = loop.create_task([]() -> Coro<void> {
      TaskGroup group;
      co_await group.run([](TaskGroup& same) -> Coro<void> {
        std::string refusal;
        try {
          co_await same.run([](TaskGroup&) -> Coro<void> { co_return; });
        } catch (const fibers::UsageError& error) {
          refusal = error.what();
        }
        EXPECT_THAT(refusal, HasSubstr("has already been entered"));
      });
    });
    await(coroutine);
    auto stack = loop.create_task([] {
      task_group([](TaskGroup& same) {
        EXPECT_THAT(thrown<fibers::UsageError>([&] { same.run([](TaskGroup&) {}); }),
                    HasSubstr("has already been entered"));
        same.create_task([] {});  // It is none the worse for it.
      });
    });
    await(stack);
  });
}

// An eager task's first step runs before its group has it.
FIBER_TEST(TaskGroupRulesTest, AnEagerTaskMayMakeAnotherOfItsOwnGroupAtOnce) {
  with_loop([](EventLoop& loop) {
    Log log;
    auto task = loop.create_task([&]() -> Coro<void> {
      const auto body = [&](TaskGroup& tg) -> Coro<void> {
        const auto inner = [&log]() -> Coro<void> {
          co_await sleep(1s);
          log.emplace_back("inner");
        };
        const auto outer = [&]() -> Coro<void> {
          for (int i = 0; i < 3; ++i) tg.create_task(inner, {.eager_start = true});
          co_await sleep(2s);
          log.emplace_back("outer");
        };
        tg.create_task(outer, {.eager_start = true});
        co_await sleep(0s);
      };
      co_await task_group(body);
      log.emplace_back("end");
    });
    await(task);
    EXPECT_THAT(log, ElementsAre("inner", "inner", "inner", "outer", "end"));
  });
}

FIBER_TEST(TaskGroupRulesTest, AnEagerTaskMayCancelItsGroupInItsFirstStep) {
  with_loop([](EventLoop& loop) {
    bool went_on = false;
    const auto body = [&](TaskGroup& tg) {
      const auto cancels = [&]() -> Coro<void> {
        tg.cancel();
        co_await sleep(1000s);
        went_on = true;
      };
      tg.create_task(cancels, {.eager_start = true});
    };
    const fibers::Instant begun = loop.time();
    await(loop.create_task([&] { task_group(body); }));
    const auto in_coroutine = [&](TaskGroup& tg) -> Coro<void> {
      body(tg);
      co_return;
    };
    await(loop.create_task([&]() -> Coro<void> { co_await task_group(in_coroutine); }));
    EXPECT_EQ(loop.time(), begun);
    EXPECT_FALSE(went_on);
  });
}

FIBER_TEST(TaskGroupRulesTest, AnEagerTaskIsCancelledByTheErrorOfOneThatItHasMade) {
  with_loop([](EventLoop& loop) {
    const auto body = [](TaskGroup& tg) {
      const auto third = []() -> Coro<void> {
        throw std::runtime_error("third");
        co_return;
      };
      const auto second = [&]() -> Coro<void> {
        tg.create_task(third, {.eager_start = true});
        co_await sleep(1000s);
      };
      tg.create_task(second, {.eager_start = true});
    };
    const fibers::Instant begun = loop.time();
    auto task = loop.create_task([&] { task_group(body); });
    EXPECT_THAT(errors_of(error_of([&] { await(task); })), ElementsAre("third"));
    EXPECT_EQ(loop.time(), begun);
  });
}

// What the body holds on to fails in its turn, when the group cancels it.
// asyncio: test_taskgroups.py::TestTaskGroup::test_taskgroup_context_manager_exit_raises
FIBER_TEST(TaskGroupRulesTest, AnErrorOfWhatTheBodyClosesIsInTheGroupToo) {
  with_loop([](EventLoop& loop) {
    const auto with_database = [](TaskGroup& tg) -> Coro<void> {
      tg.create_task(fails_after(0s, "child"));
      try {
        co_await sleep(1s);
      } catch (...) {
        EXPECT_EQ(current_task().cancelling(), 1U);
      }
      throw std::runtime_error("cannot close");
    };
    auto task = loop.create_task([&]() -> Coro<void> {
      std::exception_ptr error;
      try {
        co_await task_group(with_database);
      } catch (const fibers::BaseExceptionGroup&) {
        error = std::current_exception();
      }
      EXPECT_THAT(errors_of(error), UnorderedElementsAre("child", "cannot close"));
      EXPECT_EQ(current_task().cancelling(), 0U);
    });
    await(task);
  });
}

// asyncio: test_taskgroups.py::TestTaskGroup::test_taskgroup_no_create_task_after_failure
// asyncio: claims_task_group::create_task_after_failure_is_refused_and_closes_the_coroutine
FIBER_TEST(TaskGroupRulesTest, TakesNoTasksAfterAnError) {
  CapturedLog log;
  with_loop([](EventLoop& loop) {
    auto task = loop.create_task([] {
      task_group([](TaskGroup& tg) {
        tg.create_task(fails_after(1s));
        try {
          await(sleep(10s));
        } catch (const CancelledError&) {
          EXPECT_THAT(thrown<fibers::UsageError>([&] { tg.create_task(sleep(1s)); }),
                      HasSubstr("TaskGroup is shutting down"));
        }
      });
    });
    EXPECT_THAT(errors_of(error_of([&] { await(task); })), ElementsAre("failed"));
  });
  EXPECT_TRUE(log.lines.empty());
}

// asyncio: test_taskgroups.py::TestTaskGroup::test_taskgroup_13
FIBER_TEST(TaskGroupRulesTest, ItsTasksMayMakeOthersWhileItWaits) {
  int ended = 0;
  with_loop([&](EventLoop& loop) {
    auto task = loop.create_task([&] {
      task_group([&](TaskGroup& tg) {
        tg.create_task([&] {
          await(sleep(1s));
          tg.create_task([&] {
            await(sleep(1s));
            ++ended;
          });
        });
      });
      EXPECT_EQ(ended, 1);
    });
    await(task);
  });
}

fibers::ContextVar<int> number("task_group_test");

// asyncio: test_taskgroups.py::TestTaskGroup::test_taskgroup_task_name
// asyncio: test_taskgroups.py::TestTaskGroup::test_taskgroup_task_context
FIBER_TEST(TaskGroupRulesTest, ItsTasksMayHaveNamesAndContexts) {
  with_loop([](EventLoop& loop) {
    auto task = loop.create_task([] {
      number.set(1);
      const fibers::Context context = fibers::copy_context();
      number.set(2);
      task_group([&](TaskGroup& tg) {
        auto named = tg.create_task([] { return number.get(); }, {.name = "mine"});
        auto other = tg.create_task([] { return number.get(); }, {.context = &context});
        EXPECT_EQ(named.get_name(), "mine");
        EXPECT_EQ(await(named), 2);
        EXPECT_EQ(await(other), 1);
      });
    });
    await(task);
  });
}

// asyncio: test_taskgroups.py::TestTaskGroup::test_taskgroup_15
FIBER_TEST(TaskGroupRulesTest, ATimeoutAroundItCancelsItAndBecomesATimeoutError) {
  with_loop([](EventLoop& loop) {
    auto coro = loop.create_task([]() -> Coro<void> {
      co_await timeout(1s).run([]() -> Coro<void> {
        co_await task_group([](TaskGroup& tg) -> Coro<void> {
          tg.create_task(sleep(10s));
          co_return;
        });
      });
    });
    EXPECT_THROW(await(coro), TimeoutError);
    auto stack = loop.create_task([] {
      timeout(1s).run([] { task_group([](TaskGroup& tg) { tg.create_task(sleep(10s)); }); });
    });
    EXPECT_THROW(await(stack), TimeoutError);
  });
}

// --- cancel(). ---

FIBER_TEST(TaskGroupRulesTest, CancelEndsItWithoutAnError) {
  with_loop([](EventLoop& loop) {
    const auto start = loop.time();
    in_both(
        loop,
        [](TaskGroup& tg) -> Coro<void> {
          tg.create_task(sleep(10s));
          tg.create_task([&tg] {
            await(sleep(1s));
            tg.cancel();
            tg.cancel();
          });
          co_await sleep(20s);
          ADD_FAILURE() << "the body goes on";
        },
        [](TaskGroup& tg) {
          tg.create_task(sleep(10s));
          tg.cancel();
          await(sleep(20s));
          ADD_FAILURE() << "the body goes on";
        },
        [](const std::exception_ptr& error) { EXPECT_EQ(error, nullptr); });
    EXPECT_EQ(loop.time() - start, 1s);
    auto task = loop.create_task([] {
      task_group([](TaskGroup& tg) {
        tg.create_task([&tg] {
          await(sleep(1s));
          tg.cancel();
        });
        fibers::sleep(20s);
      });
      EXPECT_EQ(current_task().cancelling(), 0U);
      fibers::sleep(1s);
    });
    await(task);
    EXPECT_EQ(loop.time() - start, 3s);
  });
}

FIBER_TEST(TaskGroupRulesTest, CancelBeforeItBeginsEndsItAtItsFirstWait) {
  Log log;
  with_loop([&](EventLoop& loop) {
    auto task = loop.create_task([&log] {
      TaskGroup group;
      group.cancel();
      group.run([&log](TaskGroup&) {
        log.emplace_back("begins");
        await(sleep(10s));
        log.emplace_back("not here");
      });
      group.cancel();
      await(sleep(1s));
    });
    await(task);
  });
  EXPECT_THAT(log, ElementsAre("begins"));
}

FIBER_TEST(TaskGroupRulesTest, CancelWhileItWaitsEndsItWithoutAnError) {
  with_loop([](EventLoop& loop) {
    auto task = loop.create_task([&loop] {
      TaskGroup group;
      loop.call_later(1s, [&group] { group.cancel(); });
      group.run([](TaskGroup& tg) { tg.create_task(sleep(10s)); });
      EXPECT_EQ(current_task().cancelling(), 0U);
    });
    await(task);
  });
}

}  // namespace
}  // namespace weft::loop
