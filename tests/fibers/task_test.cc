// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/task.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "weft/fibers/errors.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/fibers/timeouts.h"
#include "weft/fibers/token.h"

namespace weft::fibers {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::wait_all_tasks_blocked;

// trio: test_run.py::test_spawn_name
FIBER_TEST(TaskTest, HasTheNameItWasGivenOrThatOfItsStarter) {
  open_nursery([](Nursery& nursery) {
    std::string name = "temporary";
    nursery.start_soon([] { EXPECT_EQ(current_task().name(), "temporary"); }, {.name = name});
    name = "overwritten";
    nursery.start_soon(
        [] { EXPECT_THAT(std::string(current_task().name()), HasSubstr("TaskTest")); });
    nursery.start_soon([] { EXPECT_EQ(current_task().name().size(), 256U); },
                       {.name = std::string(10'000, 'x')});
  });
  EXPECT_EQ(current_task().name(), "main");
}

FIBER_TEST(TaskTest, KnowsWhereItWasStarted) {
  open_nursery([](Nursery& nursery) {
    static constexpr unsigned kLine = __LINE__;
    nursery.start_soon([] {
      EXPECT_EQ(current_task().spawn_site().line(), kLine + 1);
      EXPECT_THAT(current_task().spawn_site().file_name(), HasSubstr("task_test.cc"));
    });
  });
}

// trio: test_run.py::test_current_task
// trio: test_run.py::test_root_task
FIBER_TEST(TaskTest, TheRootTaskHasNoNurseryAndHoldsMain) {
  Task& root = current_root_task();
  EXPECT_EQ(root.parent_nursery(), nullptr);
  EXPECT_NE(&root, &current_task());
  const Nursery* nursery = current_task().parent_nursery();
  ASSERT_NE(nursery, nullptr);
  EXPECT_EQ(&nursery->parent_task(), &root);
}

// trio: test_run.py::test_task_nursery_stack
// trio: test_run.py::test_task_tree_introspection
FIBER_TEST(TaskTest, ShowsItsNurseriesOldestFirst) {
  const Task& me = current_task();
  EXPECT_THAT(me.child_nurseries(), IsEmpty());
  open_nursery([&me](Nursery& outer) {
    EXPECT_THAT(me.child_nurseries(), ElementsAre(&outer));
    open_nursery(
        [&](Nursery& inner) { EXPECT_THAT(me.child_nurseries(), ElementsAre(&outer, &inner)); });
    EXPECT_THAT(me.child_nurseries(), ElementsAre(&outer));
  });
  EXPECT_THAT(me.child_nurseries(), IsEmpty());
}

FIBER_TEST(TaskTest, ItsStateFollowsWhatItDoes) {
  open_nursery([](Nursery& nursery) {
    nursery.start_soon([] { sleep_forever(); });
    const Task& task = *nursery.child_tasks().front();
    EXPECT_EQ(task.state(), TaskState::kReady);
    EXPECT_EQ(task.waiting_for(), "");
    wait_all_tasks_blocked();
    EXPECT_EQ(task.state(), TaskState::kWaiting);
    EXPECT_EQ(task.waiting_for(), "sleep_forever");
    EXPECT_EQ(current_task().state(), TaskState::kRunning);
    nursery.cancel_scope().cancel();
    EXPECT_EQ(task.state(), TaskState::kReady);
  });
}

TEST(TaskTest, NumbersAreUniqueInTheProcess) {
  constexpr int kTasks = 200;
  std::vector<std::vector<std::uint64_t>> ids(3);
  std::vector<std::thread> threads;
  for (auto& mine : ids) {
    threads.emplace_back([&mine] {
      run([&mine] {
        open_nursery([&mine](Nursery& nursery) {
          for (int i = 0; i < kTasks; ++i) {
            nursery.start_soon([&mine] { mine.push_back(current_task().id()); });
          }
        });
      });
    });
  }
  for (auto& thread : threads) thread.join();
  std::set<std::uint64_t> all;
  for (const auto& mine : ids) all.insert(mine.begin(), mine.end());
  EXPECT_EQ(all.size(), 3U * kTasks);
}

// trio: test_run.py::test_trio_context_detection
// Trio: docs, the table of in_trio_run and in_trio_task
FIBER_TEST(TaskTest, TheTruthAboutRunAndTaskIsToldEverywhere) {
  EXPECT_TRUE(in_trio_run());
  EXPECT_TRUE(in_trio_task());
  bool in_call = true;
  current_token().run_sync_soon([&in_call] {
    in_call = in_trio_task();
    EXPECT_TRUE(in_trio_run());
    EXPECT_THROW(current_task(), UsageError);
    EXPECT_EQ(current_root_task().name(), "root");
  });
  checkpoint();
  EXPECT_FALSE(in_call);
  std::thread([] {
    EXPECT_FALSE(in_trio_run());
    EXPECT_FALSE(in_trio_task());
  }).join();
}

}  // namespace
}  // namespace weft::fibers
