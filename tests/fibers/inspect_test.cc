// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/inspect.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <functional>
#include <sstream>
#include <string>

#include "tests/support/pipe.h"
#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/io.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/fibers/timeouts.h"
#include "weft/fibers/token.h"

namespace weft::fibers {
namespace {

using std::chrono::seconds;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using testing::wait_all_tasks_blocked;

// The line that holds `what`.
std::string line_with(const std::string& text, const std::string& what) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.find(what) != std::string::npos) return line;
  }
  return "no line with '" + what + "' in:\n" + text;
}

std::string here(int line) {
  return "inspect_test.cc:" + std::to_string(line);
}

FIBER_TEST(InspectTest, TheTreeBeginsAtTheRootAndHoldsMain) {
  const std::string text = dump_task_tree();
  EXPECT_THAT(text, MatchesRegex("root #[0-9]+  waiting for tasks of a nursery(.|\n)*"));
  EXPECT_THAT(line_with(text, "main"), ContainsRegex("└─ main #[0-9]+  running"));
  EXPECT_EQ(text.back(), '\n');
}

FIBER_TEST(InspectTest, ATasksLineSaysWhatItWaitsForHowLongAndWhereItWasStarted) {
  const test::Pipe pipe;
  open_nursery([&](Nursery& nursery) {
    const int line = __LINE__;
    nursery.start_soon([] { sleep(seconds(90)); }, {.name = "sleeper"});
    nursery.start_soon([&] { wait_readable(pipe[0]); }, {.name = "reader"});
    nursery.start_soon([] { move_on_after(seconds(2), [] { sleep_forever(); }); },
                       {.name = "timed"});
    wait_all_tasks_blocked();
    const int fresh = __LINE__ + 1;
    nursery.start_soon([] {}, {.name = "fresh"});
    const std::string text = dump_task_tree();
    EXPECT_THAT(line_with(text, "nursery at inspect"), HasSubstr(here(line - 1)));
    EXPECT_THAT(line_with(text, "sleeper"),
                HasSubstr("  waiting for sleep, deadline in 90s  started at " + here(line + 1)));
    EXPECT_THAT(line_with(text, "reader"),
                HasSubstr("waiting for readable fd " + std::to_string(pipe[0]) + "  started at"));
    EXPECT_THAT(line_with(text, "timed"), HasSubstr("waiting for sleep_forever, deadline in 2s"));
    EXPECT_THAT(line_with(text, "fresh"), HasSubstr("  ready  started at " + here(fresh)));
    nursery.cancel_scope().cancel();
  });
}

FIBER_TEST(InspectTest, TheTreeShowsTheIdsThatWaitsAndWarningsShow) {
  open_nursery([](Nursery& nursery) {
    nursery.start_soon([] { sleep_forever(); }, {.name = "sleeper"});
    wait_all_tasks_blocked();
    const std::string name = "sleeper #" + std::to_string(nursery.child_tasks().front()->id());
    EXPECT_THAT(dump_task_tree(), HasSubstr("└─ " + name + "  waiting for"));
    EXPECT_THAT(dump_waits(), HasSubstr("  " + name + " waits for"));
    nursery.cancel_scope().cancel();
  });
}

FIBER_TEST(InspectTest, WhoIsCancelledIsMarked) {
  open_nursery([](Nursery& nursery) {
    nursery.start_soon(
        [] {
          CancelScope shield({.shield = true});
          shield.run([] { sleep(seconds(1)); });
        },
        {.name = "shielded"});
    nursery.start_soon(
        [] { wait_task_rescheduled([](const RaiseCancel&) { return Abort::kSucceeded; }); },
        {.name = "open"});
    wait_all_tasks_blocked();
    nursery.cancel_scope().cancel();
    const std::string text = dump_task_tree();
    EXPECT_THAT(line_with(text, "nursery at inspect"), HasSubstr(", cancelled"));
    EXPECT_THAT(line_with(text, "open"), HasSubstr("ready, cancelled"));
    EXPECT_THAT(line_with(text, "shielded"), HasSubstr("deadline in 1s"));
  });
}

// trio: test_run.py::test_task_tree_introspection
FIBER_TEST(InspectTest, NestsAsTheNurseriesDoOldestFirst) {
  std::string text;
  open_nursery([&](Nursery& outer) {
    outer.start_soon([] { sleep_forever(); }, {.name = "first"});
    outer.start_soon([] { sleep_forever(); }, {.name = "second"});
    open_nursery([&](Nursery& inner) {
      inner.start_soon(
          [] {
            open_nursery(
                [](Nursery& deep) { deep.start_soon([] { sleep_forever(); }, {.name = "leaf"}); });
          },
          {.name = "branch"});
      wait_all_tasks_blocked();
      text = dump_task_tree();
      inner.cancel_scope().cancel();
    });
    outer.cancel_scope().cancel();
  });
  std::size_t last = 0;
  for (const char* name : {"main", "first", "second", "branch", "leaf"}) {
    const std::size_t at = text.find(name);
    ASSERT_NE(at, std::string::npos) << text;
    EXPECT_GT(at, last) << text;
    last = at;
  }
  const auto indent = [&text](const char* name) {
    const std::string before = line_with(text, name).substr(0, line_with(text, name).find(name));
    return std::count_if(before.begin(), before.end(), [](char c) { return (c & 0xC0) != 0x80; });
  };
  EXPECT_EQ(indent("first"), indent("second"));
  EXPECT_EQ(indent("second"), indent("branch"));
  EXPECT_GT(indent("leaf"), indent("branch"));
}

FIBER_TEST(InspectTest, ATreeDeeperThanAnyStackIsWritten) {
  constexpr int kDepth = 300;
  int depth = 0;
  const std::function<void()> descend = [&] {
    if (++depth == kDepth) {
      EXPECT_THAT(dump_task_tree(), HasSubstr("level " + std::to_string(kDepth - 1)));
      return;
    }
    const std::string name = "level " + std::to_string(depth);
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon(descend, {.name = name, .stack_size = 64 * 1024});
    });
  };
  descend();
}

FIBER_TEST(InspectTest, CanBeCalledFromACallOutsideAnyTask) {
  std::string text;
  current_token().run_sync_soon([&text] { text = dump_task_tree(); });
  checkpoint();
  EXPECT_THAT(text, ContainsRegex("main #[0-9]+  ready"));
}

TEST(InspectTest, NeedsARun) {
  EXPECT_THROW(dump_task_tree(), UsageError);
}

}  // namespace
}  // namespace weft::fibers
