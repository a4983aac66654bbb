// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What depends on the stack that callbacks run on.

#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <optional>
#include <string>

#include "tests/loop/loop_testing.h"
#include "weft/fibers/greenlet.h"
#include "weft/fibers/testing/mock_clock.h"
#include "weft/loop/sync_loop.h"

namespace weft::loop {
namespace {

using ::testing::HasSubstr;
using testing::thrown;
using namespace std::chrono_literals;  // NOLINT: for the tests only.

TEST(SyncLoopOnATaskTest, ACallbackMayBlock) {
  fibers::testing::MockClock clock(0, 0s);
  SyncLoop loop({.clock = &clock});
  Future<std::string> answer = loop->create_future<std::string>();
  Future<int> question = loop->create_future<int>();
  loop->call_soon([&] {
    const int n = await(question);
    fibers::sleep(1s);
    answer.set_result("answer " + std::to_string(n));
  });
  clock.set_autojump_threshold(fibers::Duration::zero());
  loop->call_later(1s, [&] { question.set_result(42); });
  EXPECT_EQ(loop.run_until_complete(answer), "answer 42");
}

TEST(SyncLoopOnATaskTest, ABlockedCallbackStandsStillBetweenRuns) {
  SyncLoop loop;
  Future<void> gate = loop->create_future<void>();
  bool passed = false;
  loop->call_soon([&] {
    await(gate);
    passed = true;
  });
  loop.run_once();
  gate.set_result();  // From outside: wakes a fiber of the suspended run.
  EXPECT_FALSE(passed);
  loop.run_once();
  EXPECT_TRUE(passed);
}

TEST(SyncLoopOnATaskTest, ABlockedCallbackMayBeCancelledFromOutside) {
  SyncLoop loop;
  bool unwound = false;
  Handle blocked = loop->call_soon([&] {
    struct Unwound {
      bool& flag;
      ~Unwound() { flag = true; }
    } const unwinding{unwound};
    fibers::sleep_forever();
  });
  loop.run_once();
  blocked.cancel();
  EXPECT_FALSE(unwound);
  loop.run_once();
  EXPECT_TRUE(unwound);
}

TEST(SyncLoopOnATaskTest, ClosingUnwindsBlockedCallbacks) {
  bool unwound = false;
  {
    SyncLoop loop;
    loop->call_soon([&] {
      struct Unwound {
        bool& flag;
        ~Unwound() { flag = true; }
      } const unwinding{unwound};
      fibers::sleep_forever();
    });
    loop.run_once();
  }
  EXPECT_TRUE(unwound);
}

TEST(SyncLoopOnTheCallerTest, CallbacksRunOnTheStackOfTheCaller) {
  SyncLoop loop({.callback_stack = CallbackStack::kCaller});
  const fibers::Greenlet here = fibers::getcurrent();
  std::optional<fibers::Greenlet> there;
  char mine = 0;
  std::ptrdiff_t distance = 0;
  loop->call_soon([&] {
    char theirs = 0;
    there = fibers::getcurrent();
    distance = std::abs(&theirs - &mine);
  });
  loop.run_once();
  EXPECT_EQ(there, here);
  EXPECT_LT(distance, 64 * 1024);
}

TEST(SyncLoopOnTheCallerTest, ACallbackThatWaitsGetsAUsageError) {
  SyncLoop loop({.callback_stack = CallbackStack::kCaller});
  std::string error;
  loop->call_soon([&] { error = thrown<fibers::UsageError>([] { fibers::sleep(1s); }); });
  loop.run_once();
  EXPECT_THAT(error, HasSubstr("from a task"));
}

// A task has a stack of its own, and its steps keep their place between the callbacks.
TEST(SyncLoopOnTheCallerTest, TasksMayWaitAllTheSame) {
  SyncLoop loop({.callback_stack = CallbackStack::kCaller});
  std::string order;
  Future<void> gate = loop->create_future<void>();
  loop->call_soon([&] { order += 'a'; });
  Task<int> task = loop->create_task([&] {
    order += 'b';
    await(gate);
    order += 'e';
    return 42;
  });
  loop->call_soon([&] {
    order += 'c';
    gate.set_result();
    loop->call_soon([&] { order += 'd'; });
  });
  EXPECT_EQ(loop.run_until_complete(task), 42);
  EXPECT_EQ(order, "abced");
}

// asyncio: test_unix_events.py::TestFork::test_fork_not_share_event_loop
// asyncio: test_unix_events.py::TestFork::test_fork_asyncio_run
TEST(SyncLoopOnTheCallerTest, AChildForkedByACallbackMayRunALoopOfItsOwn) {
  SyncLoop outer({.callback_stack = CallbackStack::kCaller});
  int status = -1;
  outer->call_soon([&] {
    const pid_t child = ::fork();
    if (child == 0) {
      SyncLoop loop;
      Future<void> done = loop->create_future<void>();
      loop->call_soon([&] { done.set_result(); });
      loop.run_until_complete(done);
      ::_exit(42);
    }
    ::waitpid(child, &status, 0);
  });
  outer.run_once();
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 42) << status;
}

}  // namespace
}  // namespace weft::loop
