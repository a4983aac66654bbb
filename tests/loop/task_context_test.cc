// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What get_context() of a task shows while the task has not ended: what its code would see.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/loop/loop_testing.h"
#include "weft/fibers/context_var.h"
#include "weft/loop/coro.h"
#include "weft/loop/event_loop.h"

namespace weft::loop {
namespace {

using ::testing::ElementsAre;
using namespace testing;  // NOLINT: the helpers of the folder.

fibers::ContextVar<std::string> var("task_context_test");

std::string seen_in(const TaskBase& task) {
  return task.get_context().run([] { return var.get_or("none"); });
}

// asyncio: test_tasks.py::BaseTaskTests::test_get_context
FIBER_TEST(TaskContextTest, OfATaskWithAStackThatWaitsItIsThePresentOne) {
  with_loop([](EventLoop& loop) {
    var.set("outside");
    auto future = loop.create_future<void>();
    const auto task = loop.create_task([&future] {
      var.set("awaits");
      await(future);
      var.set("sleeps");
      fibers::sleep(2s);
      var.set("waits for a timer of the loop");
      await(sleep(2s));
    });
    EXPECT_EQ(seen_in(task), "outside");  // It has not begun.
    fibers::sleep(1s);
    EXPECT_EQ(seen_in(task), "awaits");
    future.set_result();
    fibers::sleep(1s);
    EXPECT_EQ(seen_in(task), "sleeps");
    fibers::sleep(2s);
    EXPECT_EQ(seen_in(task), "waits for a timer of the loop");
    await(task);
    EXPECT_EQ(seen_in(task), "waits for a timer of the loop");
    EXPECT_EQ(var.get_or("none"), "outside");
  });
}

FIBER_TEST(TaskContextTest, OfATaskWithAStackThatYieldsItIsThePresentOne) {
  with_loop([](EventLoop& loop) {
    bool go_on = true;
    const auto task = loop.create_task([&go_on] {
      var.set("yields");
      while (go_on) await(sleep(0s));
    });
    std::string seen;
    loop.call_soon([&] {
      seen = seen_in(task);
      go_on = false;
    });
    await(task);
    EXPECT_EQ(seen, "yields");
  });
}

FIBER_TEST(TaskContextTest, ATaskSeesItsOwnPresentOne) {
  std::vector<std::string> seen;
  with_loop([&](EventLoop& loop) {
    await(loop.create_task([&] {
      var.set("stack");
      seen.push_back(seen_in(current_task()));
    }));
    await(loop.create_task([](std::vector<std::string>& into) -> Coro<void> {
      var.set("coroutine");
      into.push_back(seen_in(current_task()));
      co_return;
    }(seen)));
  });
  EXPECT_THAT(seen, ElementsAre("stack", "coroutine"));
}

// The step of a coroutine that waits as fibers do has not ended.
FIBER_TEST(TaskContextTest, OfAStepThatIsBlockedItIsThePresentOne) {
  with_loop([](EventLoop& loop) {
    const auto task = loop.create_task([]() -> Coro<void> {
      var.set("blocked");
      fibers::sleep(2s);
      co_return;
    });
    fibers::sleep(1s);
    EXPECT_EQ(seen_in(task), "blocked");
    await(task);
  });
}

// The step of one that has started another at once goes on after that one's.
FIBER_TEST(TaskContextTest, WhoeverIsStartedAtOnceDoesNotStandForTheOtherTask) {
  std::vector<std::string> seen;
  with_loop([&](EventLoop& loop) {
    const auto start_another = [&](const TaskBase& outer) {
      return loop.create_task(
          [](std::vector<std::string>& into, TaskBase other) -> Coro<void> {
            var.set("inner");
            into.push_back(seen_in(other));
            into.push_back(seen_in(current_task()));
            co_return;
          }(seen, outer),
          {.eager_start = true});
    };
    await(loop.create_task([&] {
      var.set("stack");
      await(start_another(current_task()));
    }));
    await(loop.create_task([](const auto& start) -> Coro<void> {
      var.set("coroutine");
      co_await start(current_task());
    }(start_another)));
  });
  EXPECT_THAT(seen, ElementsAre("stack", "inner", "coroutine", "inner"));
}

}  // namespace
}  // namespace weft::loop
