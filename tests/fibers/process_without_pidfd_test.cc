// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Children on a system that does not let us have pidfds, or send signals.

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

#include "tests/support/captured_log.h"
#include "tests/support/refused_call.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/process.h"
#include "weft/fibers/run.h"
#include "weft/fibers/run_process.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

using testing::run_fiber_test;
using testing::wait_all_tasks_blocked;

// Not a failure: some sandboxes allow no filters.
void refuse_or_leave(unsigned call, int error, int argument = -1, std::uint32_t value = 0) {
  if (!test::refuse_call(call, error, argument, value)) std::_Exit(0);
}

// trio: test_subprocess.py::test_basic_no_pidfd
TEST(ProcessWithoutPidfdTest, RunsAndTellsHowItEnded) {
  test::in_own_process([] {
    refuse_or_leave(SYS_pidfd_open, ENOSYS);
    run_fiber_test([] {
      EXPECT_EQ(open_process({"true"})->wait(), 0);
      EXPECT_EQ(open_process({"sh", "-c", "exit 3"})->wait(), 3);
      const auto process = open_process({"sleep", "3600"});
      EXPECT_EQ(process->poll(), std::nullopt);
      process->terminate();
      EXPECT_EQ(process->wait(), -SIGTERM);
      process->terminate();
      EXPECT_EQ(process->poll(), -SIGTERM);
    });
  });
}

// trio: test_subprocess.py::test_multi_wait_no_pidfd
TEST(ProcessWithoutPidfdTest, SeveralTasksMayWait) {
  test::in_own_process([] {
    refuse_or_leave(SYS_pidfd_open, EPERM);
    run_fiber_test([] {
      const auto process = open_process({"sleep", "3600"});
      int ended = 0;
      open_nursery([&](Nursery& nursery) {
        // The first is the one for whom a thread was started.
        open_nursery([&](Nursery& impatient) {
          impatient.start_soon([&] { process->wait(); });
          wait_all_tasks_blocked();
          impatient.cancel_scope().cancel();
        });
        for (int i = 0; i < 3; ++i) {
          nursery.start_soon([&] {
            EXPECT_EQ(process->wait(), -SIGKILL);
            ++ended;
          });
        }
        wait_all_tasks_blocked();
        EXPECT_EQ(ended, 0);
        process->kill();
      });
      EXPECT_EQ(ended, 3);
    });
  });
}

// trio: test_subprocess.py::test_wait_reapable_fails_no_pidfd
TEST(ProcessWithoutPidfdTest, IgnoredSigchldLosesTheStatusOnly) {
  test::in_own_process([] {
    refuse_or_leave(SYS_pidfd_open, ENOSYS);
    std::signal(SIGCHLD, SIG_IGN);
    run_fiber_test([] { EXPECT_EQ(open_process({"sh", "-c", "exit 3"})->wait(), 0); });
  });
}

void interrupt_all_other_threads() {
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task")) {
    const int thread = std::stoi(entry.path().filename());
    if (thread != ::getpid()) ::syscall(SYS_tgkill, ::getpid(), thread, SIGUSR1);
  }
}

// trio: test_subprocess.py::test_waitid_eintr
TEST(ProcessWithoutPidfdTest, SignalDoesNotEndTheWait) {
  test::in_own_process([] {
    refuse_or_leave(SYS_pidfd_open, ENOSYS);
    struct sigaction interrupting {};
    interrupting.sa_handler = [](int) {};
    ::sigaction(SIGUSR1, &interrupting, nullptr);
    run_fiber_test([] {
      const auto process = open_process({"sleep", "3600"});
      open_nursery([&](Nursery& nursery) {
        nursery.start_soon([&] { EXPECT_EQ(process->wait(), -SIGKILL); });
        wait_all_tasks_blocked();
        interrupt_all_other_threads();
        wait_all_tasks_blocked();
        EXPECT_EQ(process->poll(), std::nullopt);
        process->kill();
      });
    });
  });
}

// trio: test_subprocess.py::test_warn_on_failed_cancel_terminate
TEST(RunProcessWithoutSignalsTest, ChildThatCannotBeEndedIsWaitedFor) {
  test::in_own_process([] {
    for (const unsigned call : {SYS_pidfd_send_signal, SYS_kill})
      refuse_or_leave(call, EPERM, 1, SIGTERM);
    run_fiber_test([] {
      const test::CapturedLog log;
      std::shared_ptr<Process> process;
      open_nursery([&](Nursery& nursery) {
        process = nursery.start<std::shared_ptr<Process>>(
            [](TaskStatus<std::shared_ptr<Process>>& status) {
              run_process({"cat"}, {.stdin = kPipe}, status);
            });
        nursery.cancel_scope().cancel();
        CancelScope shield({.shield = true});
        shield.run([&] {
          wait_all_tasks_blocked();
          EXPECT_EQ(process->poll(), std::nullopt);
          process->stdin->close();  // Now it ends by itself.
        });
      });
      EXPECT_EQ(process->returncode(), 0);
      ASSERT_EQ(log.lines.size(), 1U);
      EXPECT_NE(log.lines[0].find("'cat'"), std::string::npos) << log.lines[0];
    });
  });
}

// The one idle thread waits for the first child: for the second there is none.
TEST(ProcessWithoutPidfdTest, WaitsAlsoWhereNoThreadCanBeStarted) {
  test::in_own_process([] {
    refuse_or_leave(SYS_pidfd_open, ENOSYS);
    run([] {
      const auto first = open_process({"cat"}, {.stdin = kPipe});
      const auto second = open_process({"cat; exit 4"}, {.stdin = kPipe, .shell = true});
      refuse_or_leave(SYS_clone3, EAGAIN);
      open_nursery([&](Nursery& nursery) {
        nursery.start_soon([&] { EXPECT_EQ(first->wait(), 0); });
        wait_all_tasks_blocked();
        nursery.start_soon([&] { EXPECT_EQ(second->wait(), 4); });
        wait_all_tasks_blocked();
        second->stdin->close();
        first->stdin->close();
      });
    });
  });
}

}  // namespace
}  // namespace weft::fibers
