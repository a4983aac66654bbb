// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Processes that a program with a loop has forked by itself.

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "tests/loop/loop_testing.h"
#include "weft/fibers/detail/sanitizers.h"
#include "weft/loop/runner.h"
#include "weft/loop/subprocess.h"
#include "weft/loop/sync_loop.h"

namespace weft::loop {
namespace {

using testing::answer;
using testing::Pipe;
using namespace std::chrono_literals;  // NOLINT: for the tests only.

constexpr int kHandled = 7;

int status_of(pid_t child) {
  int status = -1;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return status;
}

// Neither the child's own handler nor the one that it has inherited, whose loop is not there, tells
// the parent of a signal of the child's.
// asyncio: test_unix_events.py::TestFork::test_fork_signal_handling
TEST(ForkTest, ASignalOfAChildIsNotTheParents) {
  SyncLoop loop;
  int heard = 0;
  loop->add_signal_handler(SIGTERM, [&heard] { ++heard; });
  for (const bool own_handler : {true, false}) {
    const Pipe ready;
    const pid_t child = ::fork();
    if (child == 0) {
      sigset_t blocked;
      sigset_t before;
      ::sigemptyset(&blocked);
      ::sigaddset(&blocked, SIGTERM);
      ::sigprocmask(SIG_BLOCK, &blocked, &before);
      if (own_handler) std::signal(SIGTERM, [](int) { ::_exit(kHandled); });
      ready.put();
      ::sigsuspend(&before);
      ::_exit(kHandled);  // The handler that it has inherited has returned.
    }
    ready.take();
    EXPECT_EQ(::kill(child, SIGTERM), 0);
    const int status = status_of(child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == kHandled) << status;
    EXPECT_EQ(loop.run_until_complete(answer()), 42);
    EXPECT_EQ(heard, 0);
  }
  ::raise(SIGTERM);
  while (heard == 0) loop.run_once();
  EXPECT_EQ(heard, 1);
}

// asyncio: test_unix_events.py::TestFork::test_fork_asyncio_subprocess
TEST(ForkTest, AChildMayRunALoopThatStartsPrograms) {
#ifdef WEFT_TSAN
  GTEST_SKIP() << "under TSan the child of a process with threads cannot start any";
#endif
  const pid_t child = ::fork();
  if (child == 0) {
    int status = -1;
    try {
      status = run([]() -> Coro<int> {
        Process process = co_await create_subprocess_shell("exit 7");
        co_return co_await process.wait();
      });
    } catch (...) {
      ::_exit(1);
    }
    ::_exit(status);
  }
  const int status = status_of(child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == kHandled) << status;
}

}  // namespace
}  // namespace weft::loop
