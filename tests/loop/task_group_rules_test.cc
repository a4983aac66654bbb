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
using namespace testing;  // NOLINT: the helpers of the folder.

// asyncio: test_taskgroups.py::TestTaskGroup::test_taskgroup_21a
// asyncio: test_taskgroups.py::TestTaskGroup::test_coro_closed_when_tg_closed
// asyncio: test_taskgroups.py::TestTaskGroup::test_taskgroup_not_entered
// asyncio: test_taskgroups.py::TestTaskGroup::test_taskgroup_without_parent_task
// asyncio: test_taskgroups.py::TestTaskGroup::test_taskgroup_finished
// asyncio: test_taskgroups.py::TestTaskGroup::test_taskgroup_double_enter
FIBER_TEST(TaskGroupRulesTest, WrongUseIsRefusedAndTheCodeNeverRuns) {
  bool begun = false;
  LogCapture log;
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

// asyncio: test_taskgroups.py::TestTaskGroup::test_taskgroup_no_create_task_after_failure
// asyncio: claims_task_group::create_task_after_failure_is_refused_and_closes_the_coroutine
FIBER_TEST(TaskGroupRulesTest, TakesNoTasksAfterAnError) {
  LogCapture log;
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
