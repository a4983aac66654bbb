// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Tasks, of either kind: coroutines and functions with a stack.

#include "weft/loop/task.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tests/loop/loop_testing.h"
#include "weft/fibers/context_var.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/event.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/loop/event_loop.h"

namespace weft::loop {
namespace {

using fibers::testing::wait_all_tasks_blocked;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using namespace testing;  // NOLINT: the helpers of the folder.

using Log = std::vector<std::string>;

// The same code as a coroutine and as a function with a stack.
Coro<void> await_in_coro(Future<void> future, Log& log, std::string name) {
  log.push_back(name + " begins");
  co_await future;
  log.push_back(name + " ends");
}
void await_on_stack(const Future<void>& future, Log& log, const std::string& name) {
  log.push_back(name + " begins");
  await(future);
  log.push_back(name + " ends");
}

FIBER_TEST(TaskTest, ItsStepsAreCallbacksOfTheLoopInTheirOrder) {
  Log log;
  with_idle_loop([&](EventLoop& loop) {
    auto future = loop.create_future<void>();
    loop.call_soon([&log] { log.emplace_back("a"); });
    auto one = loop.create_task(await_in_coro(future, log, "coro"));
    loop.call_soon([&log] { log.emplace_back("b"); });
    auto two = loop.create_task([&log, future] { await_on_stack(future, log, "stack"); });
    loop.call_soon([&log] { log.emplace_back("c"); });
    EXPECT_TRUE(log.empty());
    run_once(loop);
    EXPECT_THAT(log, ElementsAre("a", "coro begins", "b", "stack begins", "c"));
    log.clear();
    future.add_done_callback([&log] { log.emplace_back("callback"); });
    loop.call_soon([&log] { log.emplace_back("before"); });
    future.set_result();
    loop.call_soon([&log] { log.emplace_back("after"); });
    run_once(loop);
    EXPECT_THAT(log, ElementsAre("before", "coro ends", "stack ends", "callback", "after"));
    EXPECT_TRUE(one.done());
    EXPECT_TRUE(two.done());
  });
}

FIBER_TEST(TaskTest, NoStepRunsWhileTheLoopIsStopped) {
  Log log;
  with_idle_loop([&](EventLoop& loop) {
    auto future = loop.create_future<void>();
    fibers::Event event;
    auto coro = loop.create_task(await_in_coro(future, log, "coro"));
    auto stack = loop.create_task([&log, future] { await_on_stack(future, log, "stack"); });
    auto waits = loop.create_task([&] {
      event.wait();
      log.emplace_back("event");
    });
    auto coro_waits = loop.create_task([](fibers::Event& e, Log& l) -> Coro<void> {
      e.wait();
      l.emplace_back("event in a coroutine");
      co_return;
    }(event, log));
    run_once(loop);
    run_once(loop);
    log.clear();
    future.set_result();
    event.set();
    wait_all_tasks_blocked();
    EXPECT_THAT(log, ElementsAre());
    run_once(loop);
    EXPECT_THAT(log, ElementsAre("coro ends", "stack ends", "event", "event in a coroutine"));
  });
}

FIBER_TEST(TaskTest, EndsWithItsValue) {
  with_loop([](EventLoop& loop) {
    auto coro = loop.create_task([]() -> Coro<int> { co_return 6; }());
    auto stack = loop.create_task([] { return std::make_unique<int>(7); });
    EXPECT_EQ(await(coro) * *await(stack), 42);
  });
}

FIBER_TEST(TaskTest, EndsWithItsError) {
  with_loop([](EventLoop& loop) {
    auto coro = loop.create_task([]() -> Coro<int> {
      throw std::runtime_error("coro");
      co_return 1;
    }());
    auto stack = loop.create_task([]() -> int { throw std::runtime_error("stack"); });
    EXPECT_EQ(thrown<std::runtime_error>([&] { await(coro); }), "coro");
    EXPECT_EQ(thrown<std::runtime_error>([&] { await(stack); }), "stack");
  });
}

FIBER_TEST(TaskTest, AllThreeFormsWaitForEachOther) {
  WEFT_NOT_ALLOCATION_SWEPT("nobody else ends its future");
  with_loop([](EventLoop& loop) {
    auto stack = loop.create_task([&loop] {
      auto inner = loop.create_task([]() -> Coro<int> {
        co_await sleep(1s);
        co_return 1;
      }());
      return await(inner) + 1;
    });
    auto coro =
        loop.create_task([](Task<int> task) -> Coro<int> { co_return co_await task + 1; }(stack));
    auto callback = loop.create_future<int>();
    loop.call_soon([&] { callback.set_result(await(coro) + 1); });
    EXPECT_EQ(await(callback), 4);
  });
}

// --- Names, contexts, lists. ---

FIBER_TEST(TaskTest, IsNamedByCountUnlessItIsGivenAName) {
  with_loop([](EventLoop& loop) {
    auto one = loop.create_task([]() -> Coro<void> { co_return; }());
    auto two = loop.create_task([] {}, {.name = "mine"});
    auto three = loop.create_task([] {});
    EXPECT_EQ(one.get_name(), "Task-1");
    EXPECT_EQ(two.get_name(), "mine");
    EXPECT_EQ(three.get_name(), "Task-3");
    three.set_name("other");
    EXPECT_EQ(three.get_name(), "other");
    loop.synchronize();
  });
}

FIBER_TEST(TaskTest, CurrentTaskIsTheOneThatRuns) {
  with_loop([](EventLoop& loop) {
    EXPECT_FALSE(current_task());
    bool in_callback = true;
    loop.call_soon([&] { in_callback = static_cast<bool>(current_task()); });
    auto coro = loop.create_task(
        []() -> Coro<std::string> {
          co_await sleep(1s);
          EXPECT_NE(running_loop(), nullptr);
          co_return current_task().get_name();
        }(),
        {.name = "coro"});
    auto stack = loop.create_task(
        [] {
          await(sleep(1s));
          fibers::sleep(1s);
          EXPECT_NE(running_loop(), nullptr);
          return current_task().get_name();
        },
        {.name = "stack"});
    EXPECT_EQ(await(coro), "coro");
    EXPECT_EQ(await(stack), "stack");
    EXPECT_FALSE(in_callback);
  });
}

FIBER_TEST(TaskTest, AllTasksAreThoseThatAreNotDone) {
  with_loop([](EventLoop& loop) {
    auto stop = loop.create_future<void>();
    auto one = loop.create_task([stop] { await(stop); }, {.name = "one"});
    auto two =
        loop.create_task([](Future<void> f) -> Coro<void> { co_await f; }(stop), {.name = "two"});
    auto gone = loop.create_task([] {});
    loop.synchronize();
    Log names;
    for (const TaskBase& task : all_tasks(loop)) names.push_back(task.get_name());
    EXPECT_THAT(names, ElementsAre("one", "two"));
    stop.set_result();
    await(one);
    await(two);
    EXPECT_TRUE(all_tasks(loop).empty());
  });
}

fibers::ContextVar<std::string> var("task_test");

FIBER_TEST(TaskTest, KeepsItsContextFromStepToStep) {
  var.set("outside");
  with_loop([](EventLoop& loop) {
    auto coro = loop.create_task([]() -> Coro<std::string> {
      std::string seen = var.get_or("none");
      var.set("inside");
      co_await sleep(1s);
      co_return seen + ", " + var.get_or("none");
    }());
    auto stack = loop.create_task([] {
      std::string seen = var.get_or("none");
      var.set("inside");
      await(sleep(1s));
      return seen + ", " + var.get_or("none");
    });
    var.set("changed");
    EXPECT_EQ(await(coro), "outside, inside");
    EXPECT_EQ(await(stack), "outside, inside");
    EXPECT_EQ(var.get_or("none"), "changed");
  });
}

FIBER_TEST(TaskTest, BeginsWithTheContextThatItIsGiven) {
  var.set("outside");
  fibers::Context context = fibers::copy_context();
  context.run([] { var.set("given"); });
  with_loop([&](EventLoop& loop) {
    auto coro = loop.create_task([]() -> Coro<std::string> { co_return var.get_or("none"); }(),
                                 {.context = &context});
    auto stack = loop.create_task([] { return var.get_or("none"); }, {.context = &context});
    EXPECT_EQ(await(coro), "given");
    EXPECT_EQ(await(stack), "given");
  });
}

// --- Eager tasks. ---

FIBER_TEST(TaskTest, AnEagerTaskRunsItsFirstStepAtOnce) {
  Log log;
  with_loop([&](EventLoop& loop) {
    auto outer = loop.create_task(
        [&] {
          auto coro = loop.create_task(
              [](Log& l) -> Coro<void> {
                l.push_back(current_task().get_name());
                co_await sleep(1s);
                l.emplace_back("end");
              }(log),
              {.name = "eager", .eager_start = true});
          auto stack = loop.create_task(
              [&log] {
                log.push_back(current_task().get_name());
                return 3;
              },
              {.name = "eager stack", .eager_start = true});
          log.push_back(current_task().get_name());
          EXPECT_TRUE(stack.done());
          EXPECT_EQ(stack.result(), 3);
          EXPECT_FALSE(coro.done());
          await(coro);
        },
        {.name = "outer"});
    await(outer);
  });
  EXPECT_THAT(log, ElementsAre("eager", "eager stack", "outer", "end"));
}

// --- What is wrong. ---

FIBER_TEST(TaskTest, OnlyItsCodeEndsIt) {
  with_loop([](EventLoop& loop) {
    auto task = loop.create_task([] { return 1; });
    EXPECT_THAT(thrown<fibers::UsageError>([&] { task.set_result(2); }),
                HasSubstr("Task does not support set_result"));
    EXPECT_THAT(thrown<fibers::UsageError>([&] { task.set_exception(std::runtime_error("x")); }),
                HasSubstr("Task does not support"));
    EXPECT_EQ(await(task), 1);
  });
}

FIBER_TEST(TaskTest, CannotAwaitItself) {
  with_loop([](EventLoop& loop) {
    Task<void> coro;
    coro = loop.create_task([](Task<void>& me) -> Coro<void> {
      const Task<void> self = std::move(me);
      co_await self;
    }(coro));
    Task<void> coro_handle = coro;
    EXPECT_THAT(thrown<fibers::UsageError>([&] { await(coro_handle); }),
                HasSubstr("cannot await on itself"));
    Task<void> stack;
    stack = loop.create_task([&stack] { await(stack); });
    EXPECT_THAT(thrown<fibers::UsageError>([&] { await(stack); }),
                HasSubstr("cannot await on itself"));
  });
}

FIBER_TEST(TaskTest, CannotAwaitAFutureOfAnotherLoop) {
  with_loop([](EventLoop& loop) {
    with_idle_loop([&](EventLoop& other) {
      auto foreign = other.create_future<void>();
      auto coro = loop.create_task([](Future<void> f) -> Coro<void> { co_await f; }(foreign));
      auto stack = loop.create_task([foreign] { await(foreign); });
      EXPECT_THAT(thrown<fibers::UsageError>([&] { await(coro); }),
                  HasSubstr("attached to a different loop"));
      EXPECT_THAT(thrown<fibers::UsageError>([&] { await(stack); }),
                  HasSubstr("attached to a different loop"));
    });
  });
}

FIBER_TEST(TaskTest, IsRefusedByAClosedLoop) {
  with_idle_loop([](EventLoop& loop) {
    loop.close();
    EXPECT_THROW(loop.create_task([] {}), fibers::UsageError);
    LogCapture log;
    EXPECT_THROW(loop.create_task([]() -> Coro<void> { co_return; }()), fibers::UsageError);
  });
}

// --- The end of a loop. ---

FIBER_TEST(TaskTest, OnThatIsDestroyedWhilePendingIsReported) {
  std::vector<std::string> reports;
  with_idle_loop([&](EventLoop& loop) {
    loop.set_exception_handler([&](EventLoop&, const ExceptionContext& context) {
      reports.push_back(context.message + " " + context.task_name);
    });
    auto future = loop.create_future<void>();
    loop.create_task([](Future<void> f) -> Coro<void> { co_await f; }(future), {.name = "mine"});
    run_once(loop);
    future = {};
    EXPECT_THAT(reports, ElementsAre());  // The coroutine holds the future, which holds the task.
    loop.close();
  });
  EXPECT_THAT(reports, ElementsAre("Task was destroyed but it is pending! mine"));
}

FIBER_TEST(TaskTest, CloseCancelsThoseWithAStackAndTheNurseryWaitsForThem) {
  Log log;
  fibers::open_nursery([&log](fibers::Nursery& nursery) {
    EventLoop loop(nursery);
    auto never = loop.create_future<void>();
    loop.create_task([&log, never] {
      try {
        await(never);
      } catch (const CancelledError&) {
        log.emplace_back("future");
        fibers::sleep(1s);
        log.emplace_back("cleaned up");
      }
    });
    loop.create_task([&log] {
      try {
        fibers::sleep_forever();
      } catch (const fibers::Cancelled&) {
        log.emplace_back("fibers");
        throw;
      }
    });
    auto done = loop.create_future<void>();
    loop.create_task([&log, done] {
      await(done);
      log.emplace_back("done");
      fibers::checkpoint();
      log.emplace_back("not reached");
    });
    loop.create_task([&log] {
      try {
        await(sleep(0s));
      } catch (...) {
        log.emplace_back("yield");
        throw;
      }
    });
    run_once(loop);
    done.set_result();
    loop.close();
  });
  EXPECT_THAT(log, ::testing::UnorderedElementsAre("future", "cleaned up", "fibers", "done"));
}

}  // namespace
}  // namespace weft::loop
