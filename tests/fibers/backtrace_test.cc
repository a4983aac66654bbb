// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/backtrace.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/parked_backtraces.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/inspect.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

using ::testing::Contains;
using ::testing::ContainsRegex;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// The symbolizer keeps the program's file open: before a test counts descriptors.
const std::string kOpened = describe_address(reinterpret_cast<const void*>(&describe_address));

std::vector<std::string> described(const std::vector<const void*>& addresses) {
  std::vector<std::string> lines;
  for (const void* address : addresses) lines.push_back(describe_address(address));
  return lines;
}

// Where in `lines` a function's name first occurs.
std::ptrdiff_t place_of(const std::vector<std::string>& lines, const std::string& name) {
  return std::ranges::find_if(
             lines, [&](const std::string& line) { return line.find(name) != line.npos; }) -
         lines.begin();
}

// Keeps a call from becoming a jump, and a recursion from becoming a loop.
void something_afterwards() {
  asm volatile("" ::: "memory");
}

[[gnu::noinline]] void waits_for_ages() {
  sleep(std::chrono::hours(1));
  something_afterwards();
}

[[gnu::noinline]] void calls_what_waits() {
  waits_for_ages();
  something_afterwards();
}

[[gnu::noinline]] void recurses_and_waits(int depth) {
  if (depth == 0) return waits_for_ages();
  recurses_and_waits(depth - 1);
  something_afterwards();
}

[[gnu::noinline]] void lets_others_run() {
  for (int i = 0; i < 10; ++i) checkpoint();
  something_afterwards();
}

// trio: test_tracing.py::test_task_iter_await_frames
FIBER_TEST(BacktraceTest, OfATaskThatWaitsNamesTheFunctionsItWaitsIn) {
  WEFT_NEEDS_PARKED_BACKTRACES();
  open_nursery([](Nursery& nursery) {
    nursery.start_soon([] { calls_what_waits(); });
    testing::wait_all_tasks_blocked();
    const auto lines = described(backtrace(*nursery.child_tasks().front()));
    EXPECT_THAT(lines, Contains(HasSubstr("weft::fibers::sleep")));
    const auto inner = place_of(lines, "waits_for_ages");
    const auto outer = place_of(lines, "calls_what_waits");
    EXPECT_LT(place_of(lines, "weft::fibers::sleep"), inner);
    EXPECT_LT(inner, outer);
    EXPECT_LT(outer, std::ssize(lines));
    // Nothing of the task that asks.
    EXPECT_EQ(place_of(lines, "wait_all_tasks_blocked"), std::ssize(lines));
    // The task has not noticed, and goes on.
    nursery.cancel_scope().cancel();
  });
}

FIBER_TEST(BacktraceTest, OfTheRunningTaskBeginsWhereItIsAsked) {
  const auto lines = described(backtrace(current_task()));
  ASSERT_THAT(lines, ::testing::Not(IsEmpty()));
  EXPECT_THAT(lines.front(), HasSubstr("OfTheRunningTaskBeginsWhereItIsAsked"));
}

FIBER_TEST(BacktraceTest, OfATaskThatIsOnlyReady) {
  WEFT_NOT_SHUFFLED("the task has to begin during the one checkpoint");
  WEFT_NEEDS_PARKED_BACKTRACES();
  open_nursery([](Nursery& nursery) {
    nursery.start_soon(&lets_others_run);
    const Task& task = *nursery.child_tasks().front();
    EXPECT_THAT(backtrace(task), IsEmpty()) << "it has not begun";
    checkpoint();
    ASSERT_EQ(task.state(), TaskState::kReady);
    EXPECT_THAT(described(backtrace(task)), Contains(HasSubstr("lets_others_run")));
  });
}

FIBER_TEST(BacktraceTest, StopsAtTheNumberAskedFor) {
  WEFT_NEEDS_PARKED_BACKTRACES();
  open_nursery([](Nursery& nursery) {
    nursery.start_soon([] { recurses_and_waits(100); });
    testing::wait_all_tasks_blocked();
    const Task& task = *nursery.child_tasks().front();
    EXPECT_THAT(backtrace(task), SizeIs(64));
    EXPECT_THAT(backtrace(task, 5), SizeIs(5));
    EXPECT_GT(backtrace(task, 1000).size(), 100U);
    nursery.cancel_scope().cancel();
  });
}

FIBER_TEST(BacktraceTest, OfATaskThatWaitsInsideACatchBlock) {
  WEFT_NEEDS_PARKED_BACKTRACES();
  open_nursery([](Nursery& nursery) {
    nursery.start_soon([] {
      try {
        throw 1;
      } catch (int) {
        calls_what_waits();
      }
    });
    testing::wait_all_tasks_blocked();
    EXPECT_THAT(described(backtrace(*nursery.child_tasks().front())),
                Contains(HasSubstr("calls_what_waits")));
    nursery.cancel_scope().cancel();
  });
}

FIBER_TEST(BacktraceTest, TheTaskTreeShowsThemOnRequest) {
  WEFT_NEEDS_PARKED_BACKTRACES();
  open_nursery([](Nursery& nursery) {
    nursery.start_soon([] { calls_what_waits(); }, {.name = "waiter"});
    testing::wait_all_tasks_blocked();
    const std::string tree = dump_task_tree({.backtraces = true});
    EXPECT_THAT(tree, HasSubstr("calls_what_waits"));
    EXPECT_LT(tree.find("waiter"), tree.find("calls_what_waits"));
    EXPECT_EQ(dump_task_tree().find("calls_what_waits"), std::string::npos);
    nursery.cancel_scope().cancel();
  });
}

FIBER_TEST(BacktraceTest, OfAnotherRunsTaskIsRefused) {
  WEFT_NOT_FAULT_SWEPT("what its other run throws ends the process");
  Task& mine = current_task();
  bool refused = false;
  std::thread other([&] {
    run([&] {
      try {
        backtrace(mine);
      } catch (const UsageError&) {
        refused = true;
      }
    });
  });
  other.join();
  EXPECT_TRUE(refused);
}

TEST(BacktraceTest, AnAddressWithoutASymbolIsShownAsItIs) {
  EXPECT_EQ(describe_address(reinterpret_cast<const void*>(0x10)), "0x10");
}

TEST(BacktraceTest, AFrameWithoutASymbolIsShownByItsAddress) {
  EXPECT_THAT(describe_frame(reinterpret_cast<const void*>(0x10)), ElementsAre("?? [0xf]"));
}

// Where weft was built without libdw's headers a frame is one line, without a place.
#if __has_include(<elfutils/libdwfl.h>)

constexpr int kLineOfTheSleep = __LINE__ + 3;
template <class T>
[[gnu::always_inline]] inline void sleeps_inlined(T time) {
  sleep(time);
  something_afterwards();
}

[[gnu::noinline]] void calls_what_is_inlined() {
  sleeps_inlined(std::chrono::hours(1));
  something_afterwards();
}
constexpr int kLineOfTheCall = __LINE__ - 3;

std::string here(int line) {
  return " at backtrace_test.cc:" + std::to_string(line);
}

FIBER_TEST(BacktraceTest, FramesHaveTheirPlacesAndTheFunctionsInlinedThere) {
  WEFT_NEEDS_PARKED_BACKTRACES();
  open_nursery([](Nursery& nursery) {
    nursery.start_soon([] { calls_what_is_inlined(); });
    testing::wait_all_tasks_blocked();
    const std::string tree = dump_task_tree({.backtraces = true});
    const std::string number = "fibers_test\\+0x[0-9a-f]+\\]\n";
    EXPECT_THAT(tree, ContainsRegex("sleeps_inlined<>.*" + here(kLineOfTheSleep) + ", inlined \\[" +
                                    number + ".*calls_what_is_inlined\\(\\)" +
                                    here(kLineOfTheCall) + " \\[" + number));
    // The task's own function, which the compiler is free to inline: by its place.
    EXPECT_THAT(tree, ContainsRegex("lambda.*" + here(__LINE__ - 9)));
    nursery.cancel_scope().cancel();
  });
}

FIBER_TEST(BacktraceTest, ASmallStackIsEnoughToDescribeFrames) {
  std::vector<std::string> lines;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon(
        [&lines] {
          for (const void* address : backtrace(current_task())) {
            for (const std::string& line : describe_frame(address)) lines.push_back(line);
          }
        },
        {.stack_size = 64 * 1024});
  });
  EXPECT_THAT(lines, Contains(HasSubstr(" at backtrace_test.cc:")));
}

TEST(BacktraceTest, LibrariesWithoutDebugInformationHaveTheirNamesAndOffsets) {
  EXPECT_THAT(describe_frame(reinterpret_cast<const char*>(&std::terminate) + 1),
              ElementsAre(ContainsRegex("\\[libstdc\\+\\+.so.6.*\\+0x[0-9a-f]+\\]")));
}

#endif

}  // namespace
}  // namespace weft::fibers
