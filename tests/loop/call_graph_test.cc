// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/call_graph.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "tests/loop/loop_testing.h"
#include "weft/loop/async_generator.h"
#include "weft/loop/event_loop.h"
#include "weft/loop/gather.h"
#include "weft/loop/shield.h"
#include "weft/loop/task_group.h"
#include "weft/loop/task_tables.h"
#include "weft/loop/wait.h"
#include "weft/loop/wait_for.h"

namespace weft::loop {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;
using namespace testing;  // NOLINT: the helpers of the folder.

Coro<void> innermost(Future<void> future) {
  co_await future;
}
Coro<void> waits_for_one(std::vector<Future<void>> futures) {
  co_await wait(futures);
}
Coro<void> middle(Future<void> future) {
  co_await innermost(future);
}
// Until every task waits.
void settle(EventLoop& loop) {
  for (int i = 0; i < 5; ++i) loop.synchronize();
}

std::vector<std::string> names_of(const std::vector<FutureCallGraph>& graphs) {
  std::vector<std::string> names;
  for (const FutureCallGraph& graph : graphs) names.push_back(graph.name);
  return names;
}

// As in 3.14's test_graph.py: test_stack_tgroup
FIBER_TEST(CallGraphTest, KnowsWhichTaskAwaitsAndWhereItIs) {
  with_loop([](EventLoop& loop) {
    auto future = loop.create_future<void>();
    auto task = loop.create_task(middle(future), {.name = "waits"});
    settle(loop);
    const FutureCallGraph graph = capture_call_graph(future);
    EXPECT_TRUE(graph.future == future);
    EXPECT_EQ(graph.name, "");
    EXPECT_TRUE(graph.call_stack.empty());
    ASSERT_EQ(names_of(graph.awaited_by), std::vector<std::string>{"waits"});
    const FutureCallGraph& by = graph.awaited_by[0];
    EXPECT_TRUE(by.future == task);
    ASSERT_EQ(by.call_stack.size(), 2U);
    EXPECT_THAT(by.call_stack[0].frame, ContainsRegex("innermost.* at call_graph_test.cc:"));
    EXPECT_THAT(by.call_stack[1].frame, ContainsRegex("middle.* at call_graph_test.cc:"));
    future.set_result();
    await(task);
    EXPECT_TRUE(capture_call_graph(future).awaited_by.empty());
  });
}

FIBER_TEST(CallGraphTest, ATaskWithAStackIsShownWithItsFrames) {
  with_loop([](EventLoop& loop) {
    auto future = loop.create_future<void>();
    auto task = loop.create_task([future] { await(future); }, {.name = "stack"});
    settle(loop);
    const FutureCallGraph graph = capture_call_graph(future);
    ASSERT_EQ(names_of(graph.awaited_by), std::vector<std::string>{"stack"});
    future.set_result();
    await(task);
  });
}

// As in 3.14's test_graph.py: test_stack_gather, test_stack_shield, wait, TaskGroup
FIBER_TEST(CallGraphTest, SeesThroughCombinators) {
  with_loop([](EventLoop& loop) {
    auto future = loop.create_future<void>();
    std::vector<Task<void>> tasks;
    tasks.push_back(loop.create_task([future]() -> Coro<void> { co_await gather(future); },
                                     {.name = "gathers"}));
    tasks.push_back(loop.create_task([future]() -> Coro<void> { co_await shield(future); },
                                     {.name = "shields"}));
    tasks.push_back(loop.create_task(waits_for_one({future}), {.name = "waits"}));
    tasks.push_back(loop.create_task([future]() -> Coro<void> { co_await wait_for(future, 1h); },
                                     {.name = "waits_for"}));
    settle(loop);
    const FutureCallGraph graph = capture_call_graph(future);
    ASSERT_EQ(graph.awaited_by.size(), 4U);
    // The future of a gather is one of its own.
    EXPECT_EQ(graph.awaited_by[0].name, "");
    EXPECT_EQ(names_of(graph.awaited_by[0].awaited_by), std::vector<std::string>{"gathers"});
    EXPECT_EQ(graph.awaited_by[1].name, "shields");
    EXPECT_EQ(graph.awaited_by[2].name, "waits");
    EXPECT_EQ(graph.awaited_by[3].name, "waits_for");
    future.set_result();
    await(gather(tasks));
  });
}

FIBER_TEST(CallGraphTest, AGroupAwaitsItsTasksFromTheBeginning) {
  with_loop([](EventLoop& loop) {
    auto future = loop.create_future<void>();
    Task<void> child;
    auto parent = loop.create_task(
        [&]() -> Coro<void> {
          co_await task_group([&](TaskGroup& group) -> Coro<void> {
            child = group.create_task(innermost(future));
            co_await sleep(1s);
          });
        },
        {.name = "parent"});
    settle(loop);
    EXPECT_EQ(names_of(capture_call_graph(child).awaited_by), std::vector<std::string>{"parent"});
    future.set_result();
    await(parent);
  });
}

FIBER_TEST(CallGraphTest, AGeneratorsTaskIsAwaitedByItsReader) {
  with_loop([](EventLoop& loop) {
    auto future = loop.create_future<void>();
    auto generator = async_generator<int>(loop, [future](Yield<int>& yield) {
      await(future);
      yield(1);
    });
    auto reader =
        loop.create_task([&]() -> Coro<void> { co_await generator.next(); }, {.name = "reader"});
    settle(loop);
    const FutureCallGraph graph = capture_call_graph(future);
    ASSERT_EQ(graph.awaited_by.size(), 1U);
    EXPECT_EQ(names_of(graph.awaited_by[0].awaited_by), std::vector<std::string>{"reader"});
    future.set_result();
    await(reader);
    await(generator.aclose());
  });
}

FIBER_TEST(CallGraphTest, ATaskOfFibersHasItsName) {
  with_loop([](EventLoop& loop, fibers::Nursery& nursery) {
    auto future = loop.create_future<void>();
    nursery.start_soon([future] { await(future); }, {.name = "trio"});
    settle(loop);
    const FutureCallGraph graph = capture_call_graph(future);
    ASSERT_EQ(graph.awaited_by.size(), 1U);
    EXPECT_FALSE(graph.awaited_by[0].future);
    EXPECT_THAT(graph.awaited_by[0].name, HasSubstr("trio #"));
    EXPECT_THAT(format_call_graph(future), HasSubstr("    * Fiber(name='trio #"));
    future.set_result();
  });
}

// As in 3.14's test_graph.py: capture_call_graph() of the current task
FIBER_TEST(CallGraphTest, TheTaskThatRunsIsTheDefault) {
  with_loop([](EventLoop& loop) {
    EXPECT_FALSE(capture_call_graph().has_value());
    EXPECT_EQ(format_call_graph(), "");
    for (const bool eager : {false, true}) {
      auto task = loop.create_task(
          []() -> Coro<void> {
            const auto graph = capture_call_graph();
            EXPECT_EQ(graph.value().name, "asks");
            EXPECT_EQ(graph->call_stack.size(), 1U);
            co_await sleep(0s);
          },
          {.name = "asks", .eager_start = eager});
      await(task);
      EXPECT_TRUE(capture_call_graph(task).call_stack.empty());
    }
  });
}

Coro<void> looks_at_itself(const TaskBase& self) {
  const FutureCallGraph graph = capture_call_graph(self, {.limit = 1});
  EXPECT_EQ(graph.call_stack.size(), 1U);
  if (!graph.call_stack.empty()) {
    EXPECT_THAT(graph.call_stack[0].frame, ContainsRegex("outermost.* at call_graph_test.cc:"));
  }
  co_return;
}
Coro<void> outermost(const TaskBase& self) {
  co_await sleep(0s);
  co_await looks_at_itself(self);
  char* text = nullptr;
  std::size_t size = 0;
  std::FILE* const file = ::open_memstream(&text, &size);
  print_call_graph(self, file, {.limit = 1});
  std::fclose(file);
  EXPECT_THAT(text, ContainsRegex("^\\* Task\\(name='looks', id=0x[0-9a-f]+\\)\n"
                                  "  \\+ Call stack:\n"
                                  "  \\|   [^\n]*outermost[^\n]* at call_graph_test.cc:"));
  std::free(text);  // NOLINT(*-no-malloc,*-owning-memory): open_memstream()'s.
}

// Of a coroutine that runs, one frame is known: the outermost, whatever it is in.
// asyncio: test_tasks.py::BaseTaskTests::test_get_stack
// asyncio: test_pep492.py::CoroutineTests::test_task_print_stack
FIBER_TEST(CallGraphTest, ATaskThatRunsMayLookAtItsOwnStack) {
  TaskBase self;
  with_loop([&](EventLoop& loop) {
    auto task = loop.create_task(outermost(self), {.name = "looks"});
    self = task;
    await(task);
    self = {};
  });
}

// As in 3.14's test_graph.py: format_call_graph()
FIBER_TEST(CallGraphTest, IsWrittenAsAsyncioDoes) {
  with_loop([](EventLoop& loop) {
    auto future = loop.create_future<void>();
    auto task = loop.create_task(middle(future), {.name = "waits"});
    auto outer = loop.create_task([task]() -> Coro<void> { co_await task; }, {.name = "outer"});
    settle(loop);
    const std::string text = format_call_graph(task);
    EXPECT_THAT(text, ContainsRegex("^\\* Task\\(name='waits', id=0x[0-9a-f]+\\)\n"
                                    "  \\+ Call stack:\n"
                                    "  \\|   [^\n]*innermost[^\n]*\n"
                                    "  \\|   [^\n]*middle[^\n]*\n"
                                    "  \\+ Awaited by:\n"
                                    "    \\* Task\\(name='outer', id=0x[0-9a-f]+\\)\n"));
    EXPECT_THAT(format_call_graph(future), HasSubstr("* Future(id=0x"));
    const std::string inner = format_call_graph(task, {.limit = 1});
    EXPECT_THAT(inner, HasSubstr("innermost"));
    EXPECT_THAT(inner, Not(HasSubstr("middle")));
    const std::string outmost = format_call_graph(task, {.limit = -1});
    EXPECT_THAT(outmost, Not(HasSubstr("innermost")));
    EXPECT_THAT(outmost, HasSubstr("middle"));
    EXPECT_THAT(format_call_graph(task, {.limit = 0}), Not(HasSubstr("Call stack")));
    future.set_result();
    await(outer);
  });
}

// As in 3.14's test_graph.py: future_add_to_awaited_by and future_discard_from_awaited_by
FIBER_TEST(CallGraphTest, EdgesAreAddedAndDiscarded) {
  with_loop([](EventLoop& loop) {
    auto future = loop.create_future<void>();
    auto waiter = loop.create_future<void>();
    auto other = loop.create_future<void>();
    future_add_to_awaited_by(future, waiter);
    future_add_to_awaited_by(future, waiter);
    future_add_to_awaited_by(future, other);
    EXPECT_EQ(capture_call_graph(future).awaited_by.size(), 2U);
    future_discard_from_awaited_by(future, waiter);
    future_discard_from_awaited_by(future, waiter);
    const FutureCallGraph graph = capture_call_graph(future);
    ASSERT_EQ(graph.awaited_by.size(), 1U);
    EXPECT_TRUE(graph.awaited_by[0].future == other);
    future.set_result();
    future_add_to_awaited_by(future, waiter);
    EXPECT_TRUE(capture_call_graph(future).awaited_by.empty());
  });
}

FIBER_TEST(CallGraphTest, ACircleIsFollowedOnce) {
  with_loop([](EventLoop& loop) {
    auto one = loop.create_future<void>();
    auto two = loop.create_future<void>();
    // They keep each other, until this goes.
    struct Discard {
      Future<void> from, of;
      ~Discard() { future_discard_from_awaited_by(from, of); }
    } const discard{one, two};
    future_add_to_awaited_by(one, two);
    future_add_to_awaited_by(two, one);
    const FutureCallGraph graph = capture_call_graph(one);
    EXPECT_TRUE(graph.awaited_by.at(0).awaited_by.at(0).cycle);
    EXPECT_THAT(format_call_graph(one), HasSubstr(") again\n"));
  });
}

// --- Tables. ---

// As in 3.14's test_tools.py, TestAsyncioToolsTree
FIBER_TEST(TaskTablesTest, TheTreeHasWhatIsAwaitedBelowWhoeverAwaitsIt) {
  with_loop([](EventLoop& loop, fibers::Nursery& nursery) {
    auto future = loop.create_future<void>();
    auto child = loop.create_task(middle(future), {.name = "child"});
    auto sibling = loop.create_task(innermost(future), {.name = "sibling"});
    auto parent = loop.create_task([&]() -> Coro<void> { co_await gather(child, sibling); },
                                   {.name = "parent"});
    nursery.start_soon([parent] { await(parent); }, {.name = "trio"});
    settle(loop);
    EXPECT_THAT(pstree(loop), ContainsRegex("└── \\(F\\) trio #[0-9]+\n"
                                            "    └── \\(T\\) parent\n"
                                            "        └──  [^\n]+ at call_graph_test.cc:[0-9]+\n"
                                            "            ├── \\(T\\) child\n"
                                            "            │   └──  [^\n]*middle[^\n]*\n"
                                            "            │       └──  [^\n]*innermost[^\n]*\n"
                                            "            └── \\(T\\) sibling\n"
                                            "                └──  [^\n]*innermost[^\n]*\n"));
    future.set_result();
    await(parent);
  });
}

// As in 3.14's test_tools.py: cycles
FIBER_TEST(TaskTablesTest, CirclesAreNamed) {
  with_loop([](EventLoop& loop) {
    auto future = loop.create_future<void>();
    auto one = loop.create_task(innermost(future), {.name = "one"});
    auto two = loop.create_task(innermost(future), {.name = "two"});
    auto alone = loop.create_task(innermost(future), {.name = "alone"});
    future_add_to_awaited_by(one, two);
    future_add_to_awaited_by(two, one);
    settle(loop);
    const std::string text = pstree(loop);
    EXPECT_THAT(text, HasSubstr("ERROR: await-graph contains cycles\n"
                                "cycle: (T) one -> (T) two -> (T) one\n"
                                "└── (T) alone\n"));
    future.set_result();
    await(gather(std::vector{one, two, alone}));
  });
}

// As in 3.14's test_tools.py, TestAsyncioToolsTable
FIBER_TEST(TaskTablesTest, TheTableHasALineForEachTask) {
  with_loop([](EventLoop& loop) {
    auto future = loop.create_future<void>();
    auto child = loop.create_task(middle(future), {.name = "child"});
    auto parent = loop.create_task([child]() -> Coro<void> { co_await child; }, {.name = "parent"});
    auto stack = loop.create_task([] { fibers::sleep(1s); }, {.name = "stack"});
    settle(loop);
    const std::string text = ps(loop);
    EXPECT_THAT(text, ContainsRegex("^task name  state  +coroutine stack +awaited by\n"));
    EXPECT_THAT(text, ContainsRegex("\nchild +awaits a future +[^\n]*innermost[^\n]* <- "
                                    "[^\n]*middle[^\n]* +parent\n"));
    EXPECT_THAT(text, ContainsRegex("\nparent +awaits child "));
    EXPECT_THAT(text, ContainsRegex("\nstack +waits for sleep"));
    EXPECT_THAT(ps(), HasSubstr("loop 1\n" + text));
    auto asks =
        loop.create_task([&loop]() -> Coro<std::string> { co_return ps(loop); }, {.name = "asks"});
    EXPECT_THAT(await(asks), ContainsRegex("\nasks +running "));
    future.set_result();
    await(parent);
    await(stack);
  });
}

FIBER_TEST(TaskTablesTest, EveryLoopOfTheThreadIsThere) {
  with_loop([](EventLoop& loop) {
    auto one = loop.create_task(innermost(loop.create_future<void>()), {.name = "one"});
    with_idle_loop([&](EventLoop& other) {
      auto two = other.create_task([]() -> Coro<void> { co_return; }, {.name = "two"});
      EXPECT_THAT(pstree(), ContainsRegex("loop 1\n└── \\(T\\) one\n[^\n]*\n"
                                          "loop 2\n└── \\(T\\) two\n"));
      EXPECT_THAT(ps(other), ContainsRegex("\ntwo +ready"));
      run_once(other);
    });
    EXPECT_THAT(pstree(), Not(HasSubstr("loop 2")));
    one.cancel();
  });
}

}  // namespace
}  // namespace weft::loop
