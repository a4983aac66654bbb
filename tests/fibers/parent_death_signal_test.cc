// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// ProcessOptions::parent_death_signal: children that are not started by posix_spawn(). That they
// end with a program that is killed is in programs_test.

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstddef>
#include <filesystem>
#include <iterator>
#include <string>
#include <system_error>
#include <thread>

#include "tests/support/pipe.h"
#include "tests/support/temporary_directory.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/process.h"
#include "weft/fibers/run_process.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/thread_cache.h"

namespace weft::fibers {
namespace {

// What a program can see of how it was started.
constexpr const char* kLook =
    "pwd; echo $X; ls /proc/self/fd; grep ^Sig.*[kn]: /proc/self/status; "
    "set -- $(cat /proc/$$/stat); test $5 = $$ && echo leader; test $6 = $$ && echo session";

FIBER_TEST(ParentDeathSignalTest, AChildIsOtherwiseStartedAsAllAre) {
  const test::TemporaryDirectory folder;
  for (const bool session : {false, true}) {
    for (const bool restore : {false, true}) {
      RunProcessOptions options{.capture_stdout = true,
                                .capture_stderr = true,
                                .check = false,
                                .cwd = folder.path(),
                                .env = {{{"X", "y"}, {"PATH", "/bin:/usr/bin"}}},
                                .shell = true,
                                .restore_signals = restore};
      session ? options.start_new_session = true : (options.process_group = 0, false);
      const CompletedProcess plain = run_process({kLook}, options);
      options.parent_death_signal = SIGTERM;
      const CompletedProcess tied = run_process({kLook}, options);
      EXPECT_EQ(*tied.stdout, *plain.stdout);
      EXPECT_EQ(*tied.stderr, *plain.stderr);
      EXPECT_EQ(tied.returncode, plain.returncode);
      EXPECT_NE(tied.stdout->find("\ny\n"), std::string::npos);
    }
  }
}

FIBER_TEST(ParentDeathSignalTest, AProgramThatCannotBeStartedIsAnError) {
  const auto error_of = [](const std::string& program, const std::string& cwd) {
    try {
      run_process({program}, {.cwd = cwd, .parent_death_signal = SIGTERM});
    } catch (const std::system_error& error) {
      return error.code().value();
    }
    return 0;
  };
  EXPECT_EQ(error_of("weft-no-such-program", ""), ENOENT);
  EXPECT_EQ(error_of("/etc/passwd", ""), EACCES);
  EXPECT_EQ(error_of("true", "/weft-no-such-folder"), ENOENT);
  EXPECT_EQ(error_of("true", ""), 0);
  EXPECT_THROW(run_process({"true"}, {.parent_death_signal = 0}), UsageError);
  EXPECT_THROW(run_process({"true"}, {.parent_death_signal = 1000}), UsageError);
}

std::ptrdiff_t threads() {
  const std::filesystem::directory_iterator entries("/proc/self/task");
  return std::distance(begin(entries), end(entries));
}

// To the system, the thread that has started it is its parent; the one that open_process() was
// made in goes when it is idle.
FIBER_TEST(ParentDeathSignalTest, AChildOutlivesTheWorkerThatHasStartedIt) {
  WEFT_NOT_ALLOCATION_SWEPT("a child that it cannot end runs on");
  run_process({"true"}, {.parent_death_signal = SIGKILL});  // Starts the thread that stays.
  struct NoPatience {
    NoPatience() { detail::set_thread_idle_timeout(std::chrono::nanoseconds(0)); }
    ~NoPatience() { detail::set_thread_idle_timeout(kThreadIdleTimeout); }
  };
  const std::ptrdiff_t before = threads();
  const NoPatience no_patience;
  const auto process =
      open_process({"cat"}, {.stdin = kPipe, .stdout = kPipe, .parent_death_signal = SIGKILL});
  while (threads() >= before) std::this_thread::yield();
  process->stdin->send_all("x");
  EXPECT_EQ(process->stdout->receive_some(), "x");
  process->stdin->close();
  EXPECT_EQ(process->wait(), 0);
}

}  // namespace
}  // namespace weft::fibers
