// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A task that runs out of stack ends the process by SIGSEGV, and says which task it was.

#include "fibers/core/overflow.h"

#include <gtest/gtest.h>

#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "fibers/core/context.h"
#include "fibers/core/task.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/run.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

constexpr std::size_t kStack = 64 * 1024;

// The deepest a frame may lie.
const char* lowest_address() {
  const detail::Stack& stack = detail::block_of(current_task()).stack;
  return reinterpret_cast<const char*>(stack.bottom + detail::guard_size(stack.size));
}

[[gnu::noinline]] int recurse(int depth) {
  volatile char frame[200];
  frame[0] = static_cast<char>(depth);
  return depth < 0 ? 0 : recurse(depth + 1) + frame[0];
}

// More than the stack and its guard together: without probing it would step over the guard.
[[gnu::noinline]] int large_frame() {
  volatile char frame[kStack + 40 * 1024];
  frame[0] = 1;
  return frame[0];
}

// Descends until `room` bytes are left, and calls `fn` there.
[[gnu::noinline]] void at_the_bottom(std::ptrdiff_t room, void (*fn)()) {
  volatile char frame[64];
  frame[0] = 0;
  if (const_cast<const char*>(&frame[0]) - lowest_address() > room) {
    at_the_bottom(room, fn);
  } else {
    fn();
  }
  frame[0] = 1;
}

void print_into_a_buffer() {
  static char buffer[1000];
  std::snprintf(buffer, sizeof buffer, "%.200Lf", 1.0L / 3);
}

void run_in_a_task(void (*fn)()) {
  run([fn] {
    open_nursery([fn](Nursery& nursery) {
      nursery.start_soon([] { sleep_forever(); }, {.name = "bystander"});
      nursery.start_soon([fn] { fn(); }, {.name = "deep thinker", .stack_size = kStack});
    });
  });
}

class OverflowDeathTest : public ::testing::Test {
 protected:
  void SetUp() override {
#if defined(WEFT_ASAN) || defined(WEFT_TSAN)
    GTEST_SKIP() << "the sanitizer reports overflows itself";
#endif
    GTEST_FLAG_SET(death_test_style, "threadsafe");
  }
  static auto by_segv() {
    return ::testing::KilledBySignal(SIGSEGV);
  }
  static constexpr const char* kReport =
      "task 'deep thinker' overflowed its stack of 60 KiB \\(started at "
      ".*overflow_test\\.cc:[0-9]+\\).*"
      "TaskOptions::stack_size";
};

TEST_F(OverflowDeathTest, RecursionIsNamed) {
  EXPECT_EXIT(run_in_a_task([] { recurse(0); }), by_segv(), kReport);
}

TEST_F(OverflowDeathTest, AFrameLargerThanTheGuardIsCaught) {
  EXPECT_EXIT(run_in_a_task([] { large_frame(); }), by_segv(), kReport);
}

TEST_F(OverflowDeathTest, AnOverflowInsideALibraryCallIsCaught) {
  EXPECT_EXIT(run_in_a_task([] { at_the_bottom(1500, &print_into_a_buffer); }), by_segv(), kReport);
}

TEST_F(OverflowDeathTest, AnOverflowOnASecondThreadIsCaught) {
  const auto on_another_thread = [] {
    run([] {});
    std::thread([] { run_in_a_task([] { recurse(0); }); }).join();
  };
  EXPECT_EXIT(on_another_thread(), by_segv(), kReport);
}

TEST_F(OverflowDeathTest, TheMainTaskIsNamedToo) {
  EXPECT_EXIT(run([] { recurse(0); }), by_segv(), "task 'main' overflowed its stack of 240 KiB");
}

// Another fault is no overflow: it goes on to whoever had the signal before.
TEST_F(OverflowDeathTest, AnotherFaultIsNotCalledAnOverflow) {
  const auto fault = [] {
    ::signal(SIGSEGV, [](int) {
      std::fputs("the handler before\n", stderr);
      std::_Exit(3);
    });
    run_in_a_task([] { *static_cast<volatile int*>(nullptr) = 1; });
  };
  EXPECT_EXIT(fault(), ::testing::ExitedWithCode(3), "the handler before");
  EXPECT_EXIT(run_in_a_task([] { std::raise(SIGSEGV); }), by_segv(), "");
}

}  // namespace
}  // namespace weft::fibers
