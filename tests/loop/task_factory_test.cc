// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/loop/loop_testing.h"
#include "weft/fibers/context_var.h"
#include "weft/fibers/to_thread.h"
#include "weft/loop/errors.h"
#include "weft/loop/event_loop.h"
#include "weft/loop/gather.h"
#include "weft/loop/run_coroutine_threadsafe.h"
#include "weft/loop/task.h"
#include "weft/loop/task_group.h"

namespace weft::loop {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using namespace testing;  // NOLINT: the helpers of the folder.

// asyncio: test_base_events.py::BaseEventLoopTests::test_set_task_factory
// asyncio: test_base_events.py::BaseEventLoopTests::test_create_named_task_with_custom_factory
// asyncio: test_base_events.py::BaseEventLoopTests::test_create_named_task_with_default_factory
FIBER_TEST(TaskFactoryTest, SeesEachTaskAndMayChangeItsOptions) {
  with_loop([](EventLoop& loop) {
    EXPECT_FALSE(loop.get_task_factory());
    EXPECT_EQ(loop.create_task(answer(), {.name = "plain"}).get_name(), "plain");
    std::vector<TaskBase> seen;
    std::vector<std::string> names;
    loop.set_task_factory([&](EventLoop& of, const TaskBase& task, TaskOptions& options) {
      EXPECT_EQ(&of, &loop);
      EXPECT_FALSE(task.done());
      seen.push_back(task);
      names.emplace_back(options.name);
      options.name = "renamed";
    });
    EXPECT_TRUE(loop.get_task_factory());
    Task<int> coroutine = loop.create_task(answer(), {.name = "given"});
    Task<int> function = loop.create_task([] { return 1; });
    EXPECT_THAT(names, ElementsAre("given", ""));
    EXPECT_EQ(coroutine.get_name(), "renamed");
    EXPECT_EQ(await(coroutine), 42);
    EXPECT_EQ(await(function), 1);
    EXPECT_TRUE(seen.at(0) == coroutine && seen.at(1) == function);
    loop.set_task_factory(nullptr);
    EXPECT_EQ(await(loop.create_task(answer())), 42);
    EXPECT_EQ(seen.size(), 2U);
  });
}

template <class F>
concept IsTaskFactory = requires(EventLoop& loop, F factory) {
  loop.set_task_factory(factory);
};
// asyncio: test_base_events.py::BaseEventLoopTests::test_set_task_factory_invalid
static_assert(IsTaskFactory<TaskFactory> && !IsTaskFactory<int>);

// asyncio: test_base_events.py::BaseEventLoopTests::test_create_task_error_closes_coro
FIBER_TEST(TaskFactoryTest, WhatItThrowsDropsTheTaskAndIsAllThereIs) {
  with_loop([](EventLoop& loop) {
    CapturedLog log;
    loop.set_task_factory(
        [](EventLoop&, const TaskBase&, TaskOptions&) { throw std::runtime_error("no task"); });
    const auto held = std::make_shared<int>(0);
    EXPECT_EQ(thrown<std::runtime_error>([&] { loop.create_task(answer()); }), "no task");
    EXPECT_EQ(thrown<std::runtime_error>([&] { loop.create_task([held] {}); }), "no task");
    EXPECT_EQ(held.use_count(), 1);
    EXPECT_THAT(all_tasks(loop), IsEmpty());
    EXPECT_THAT(log.lines, IsEmpty());
  });
}

// asyncio: test_tasks.py::test_run_coroutine_threadsafe_task_factory_exception
FIBER_TEST(TaskFactoryTest, WhatItThrowsComesOutOfAThreadsafeFutureToo) {
  WEFT_NOT_ALLOCATION_SWEPT("a loop without memory ends, and its thread waits for it");
  with_loop([](EventLoop& loop) {
    std::vector<std::string> reported;
    loop.set_exception_handler([&](EventLoop&, const ExceptionContext& context) {
      reported.push_back(fibers::describe_exception(context.exception));
    });
    loop.set_task_factory(
        [](EventLoop&, const TaskBase&, TaskOptions&) { throw std::runtime_error("no task"); });
    // Outlives the thread: TSan does not see how the library counts exceptions.
    ConcurrentFuture<int> failed;
    const std::string text = fibers::to_thread::run_sync([&] {
      failed = run_coroutine_threadsafe(answer(), loop);
      return thrown<std::runtime_error>([&] { static_cast<void>(failed.result()); });
    });
    EXPECT_EQ(text, "no task");
    loop.synchronize();
    EXPECT_EQ(reported.size(), 1U);
  });
}

// asyncio: test_eager_task_factory.py::EagerTaskFactoryLoopTests::test_eager_task_factory_set
// asyncio: test_eager_task_factory.py::EagerTaskFactoryLoopTests::test_all_tasks_with_eager_completion
FIBER_TEST(EagerTaskFactoryTest, MakesEveryTaskBeginAtOnce) {
  with_loop([](EventLoop& loop) {
    loop.set_task_factory(eager_task_factory);
    await(loop.create_task([&]() -> Coro<void> {
      Task<int> done = loop.create_task([]() -> Coro<int> { co_return 1; });
      EXPECT_TRUE(done.done());
      EXPECT_EQ(all_tasks(loop).size(), 1U);
      Task<int> waits = loop.create_task(answer());
      EXPECT_FALSE(waits.done());
      EXPECT_EQ(co_await waits, 42);
    }));
  });
}

// asyncio: test_eager_task_factory.py::EagerTaskFactoryLoopTests::test_await_future_during_eager_step
// asyncio: test_eager_task_factory.py::EagerTaskFactoryLoopTests::test_all_tasks_with_blocking
FIBER_TEST(EagerTaskFactoryTest, ATaskThatWaitsIsAnOrdinaryOne) {
  with_loop([](EventLoop& loop) {
    loop.set_task_factory(eager_task_factory);
    await(loop.create_task([&]() -> Coro<void> {
      Future<int> future = loop.create_future<int>();
      Task<int> waits = loop.create_task([&]() -> Coro<int> { co_return co_await future; });
      EXPECT_EQ(all_tasks(loop).size(), 2U);
      future.set_result(7);
      EXPECT_EQ(co_await waits, 7);
    }));
  });
}

// asyncio: test_eager_task_factory.py::EagerTaskFactoryLoopTests::test_context_vars
FIBER_TEST(EagerTaskFactoryTest, AnEagerStepHasItsOwnContext) {
  static fibers::ContextVar<int> cvar("cvar");
  with_loop([](EventLoop& loop) {
    loop.set_task_factory(eager_task_factory);
    await(loop.create_task([&]() -> Coro<void> {
      cvar.set(1);
      Task<int> inner = loop.create_task([]() -> Coro<int> {
        const int before = cvar.get_or(0);
        cvar.set(2);
        co_await sleep(0s);
        co_return before * 10 + cvar.get_or(0);
      });
      EXPECT_EQ(cvar.get_or(0), 1);
      EXPECT_EQ(co_await inner, 12);
      EXPECT_EQ(cvar.get_or(0), 1);
    }));
  });
}

FIBER_TEST(EagerTaskFactoryTest, MayFollowAnotherFactory) {
  with_loop([](EventLoop& loop) {
    int seen = 0;
    loop.set_task_factory(
        create_eager_task_factory([&seen](EventLoop&, const TaskBase&, TaskOptions&) { ++seen; }));
    await(loop.create_task([&]() -> Coro<void> {
      EXPECT_TRUE(loop.create_task([]() -> Coro<void> { co_return; }).done());
      co_return;
    }));
    EXPECT_EQ(seen, 2);
  });
}

// The sum of both halves, each in a task of its own.
Coro<int> sum_by_gather(EventLoop& loop, int depth) {
  if (depth == 0) co_return 1;
  auto [left, right] = co_await gather(loop.create_task(sum_by_gather(loop, depth - 1)),
                                       loop.create_task(sum_by_gather(loop, depth - 1)));
  co_return left + right;
}
// One task in the other.
Coro<int> chain(EventLoop& loop, int depth) {
  if (depth == 0) co_return 0;
  co_return 1 + co_await loop.create_task(chain(loop, depth - 1));
}

// What can go on at once ends before its creator has it: none of them ever waits in the loop.
// asyncio: test_eager_task_factory.py::BaseTaskCountingTests::test_awaitables_chain
// asyncio: test_eager_task_factory.py::BaseTaskCountingTests::test_recursive_gather
FIBER_TEST(EagerTaskFactoryTest, TasksInTasksEndAsTheyBegin) {
  with_loop([](EventLoop& loop) {
    std::size_t made = 0;
    loop.set_task_factory(
        create_eager_task_factory([&made](EventLoop&, const TaskBase&, TaskOptions&) { ++made; }));
    await(loop.create_task([&]() -> Coro<void> {
      made = 0;
      Task<int> chained = loop.create_task(chain(loop, 20));
      EXPECT_TRUE(chained.done());
      EXPECT_EQ(co_await chained, 20);
      EXPECT_EQ(made, 21U);
      EXPECT_EQ(all_tasks(loop).size(), 1U);
      made = 0;
      EXPECT_EQ(co_await loop.create_task(sum_by_gather(loop, 6)), 64);
      EXPECT_EQ(made, 127U);
      EXPECT_EQ(all_tasks(loop).size(), 1U);
    }));
  });
}

Coro<void> groups(EventLoop& loop, int width, int depth) {
  if (depth == 0) co_return;
  co_await task_group([&](TaskGroup& tg) -> Coro<void> {
    for (int i = 0; i < width; ++i) {
      const Task<void> task = tg.create_task(groups(loop, width, depth - 1));
      EXPECT_EQ(task.done(), depth == 1) << "what has nothing to wait for ends as it begins";
    }
    co_return;
  });
}

// A group hears of each of its tasks by a callback, so that a failure cannot cancel the body in the
// middle of create_task(): whoever has a group waits for one turn.
// asyncio: test_eager_task_factory.py::BaseTaskCountingTests::test_recursive_taskgroups
FIBER_TEST(EagerTaskFactoryTest, OfGroupsInGroupsOnlyThoseWithTasksWait) {
  with_loop([](EventLoop& loop) {
    std::size_t made = 0;
    loop.set_task_factory(
        create_eager_task_factory([&made](EventLoop&, const TaskBase&, TaskOptions&) { ++made; }));
    await(loop.create_task([&]() -> Coro<void> {
      made = 0;
      Task<void> outermost = loop.create_task(groups(loop, 5, 4));
      EXPECT_EQ(made, 1U + 5U + 25U + 125U + 625U);
      EXPECT_EQ(all_tasks(loop).size(), 1U + 1U + 5U + 25U + 125U);
      co_await outermost;
      EXPECT_EQ(all_tasks(loop).size(), 1U);
    }));
  });
}

}  // namespace
}  // namespace weft::loop
