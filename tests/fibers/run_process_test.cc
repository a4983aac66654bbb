// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/run_process.h"

#include <gtest/gtest.h>

#include <csignal>
#include <memory>
#include <stdexcept>
#include <string>

#include "tests/support/captured_log.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/catch.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/run.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

using std::chrono::hours;
using std::chrono::seconds;
using ProcessStatus = TaskStatus<std::shared_ptr<Process>>;

// trio: test_subprocess.py::test_run
FIBER_TEST(RunProcessTest, FeedsAndCaptures) {
  const std::string much(1 << 20, 'm');
  const CompletedProcess result =
      run_process({"cat"}, {.stdin = much, .capture_stdout = true, .capture_stderr = true});
  EXPECT_EQ(result.returncode, 0);
  EXPECT_EQ(result.args, std::vector<std::string>{"cat"});
  EXPECT_EQ(result.stdout, much);
  EXPECT_EQ(result.stderr, "");
  const CompletedProcess plain = run_process({"true"});
  EXPECT_EQ(plain.stdout, std::nullopt);
  EXPECT_EQ(plain.stderr, std::nullopt);
  // Without input it reads nothing, and not this process's stdin.
  EXPECT_EQ(run_process({"cat"}, {.capture_stdout = true}).stdout, "");
  EXPECT_EQ(run_process({"cat"}, {.stdin = kDevNull, .capture_stdout = true}).stdout, "");
  EXPECT_EQ(run_process({"echo hi >&2"}, {.capture_stderr = true, .shell = true}).stderr, "hi\n");
}

// trio: test_subprocess.py::test_run
FIBER_TEST(RunProcessTest, PipesThatNobodyCouldReachAreRefused) {
  EXPECT_THROW(run_process({"true"}, {.stdin = kPipe}), UsageError);
  EXPECT_THROW(run_process({"true"}, {.stdout = kPipe}), UsageError);
  EXPECT_THROW(run_process({"true"}, {.stderr = kPipe}), UsageError);
  EXPECT_THROW(run_process({"true"}, {.stdout = kDevNull, .capture_stdout = true}), UsageError);
  EXPECT_THROW(run_process({"true"}, {.stderr = kStdout, .capture_stderr = true}), UsageError);
}

// trio: test_subprocess.py::test_run_check
FIBER_TEST(RunProcessTest, FailureIsAnErrorWithWhatWasCaptured) {
  const std::string script = "echo hello >&2; exit 7";
  try {
    run_process({script}, {.capture_stderr = true, .shell = true});
    FAIL() << "exit status 7 is fine";
  } catch (const CalledProcessError& error) {
    EXPECT_EQ(error.returncode(), 7);
    EXPECT_EQ(error.cmd(), std::vector<std::string>{script});
    EXPECT_EQ(error.stdout(), std::nullopt);
    EXPECT_EQ(error.stderr(), "hello\n");
    EXPECT_NE(std::string(error.what()).find("exited with 7"), std::string::npos);
  }
  const CompletedProcess unchecked =
      run_process({script}, {.stderr = kDevNull, .check = false, .shell = true});
  EXPECT_EQ(unchecked.returncode, 7);
  try {
    run_process({"kill -KILL $$"}, {.shell = true});
    FAIL() << "a killed process is fine";
  } catch (const CalledProcessError& error) {
    EXPECT_EQ(error.returncode(), -SIGKILL);
    EXPECT_NE(std::string(error.what()).find("SIGKILL"), std::string::npos);
  }
}

FIBER_TEST(RunProcessTest, ProgramThatIsNotThereIsNamed) {
  try {
    run_process({"no-such-program"}, {.stdin = "x", .capture_stdout = true});
    FAIL() << "it is there";
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code(), std::errc::no_such_file_or_directory);
    EXPECT_NE(std::string(error.what()).find("no-such-program"), std::string::npos);
  }
}

// trio: test_subprocess.py::test_run_with_broken_pipe
FIBER_TEST(RunProcessTest, ChildNeedNotReadItsInput) {
  const std::string much(131072, 'x');
  EXPECT_EQ(run_process({"exec <&-; exit 0"}, {.stdin = much, .shell = true}).returncode, 0);
}

// trio: test_subprocess.py::test_stderr_stdout
FIBER_TEST(RunProcessTest, BothOutputsMayBeCapturedTogether) {
  const CompletedProcess result =
      run_process({"cat; echo err >&2"},
                  {.stdin = "out\n", .stderr = kStdout, .capture_stdout = true, .shell = true});
  EXPECT_EQ(result.stdout, "out\nerr\n");
  EXPECT_EQ(result.stderr, std::nullopt);
}

// Real time: a child that ends on SIGTERM does so at its own pace.
//
// trio: test_subprocess.py::test_run
TEST(RunProcessCancelTest, CancellingTerminates) {
  const test::CapturedLog log;
  run([] {
    std::shared_ptr<Process> process;
    open_nursery([&](Nursery& nursery) {
      process = nursery.start<std::shared_ptr<Process>>([](ProcessStatus& status) {
        run_process({"sleep", "3600"}, {}, status);
      });
      EXPECT_EQ(process->returncode(), std::nullopt);
      nursery.cancel_scope().cancel();
    });
    EXPECT_EQ(process->returncode(), -SIGTERM);
  });
  EXPECT_TRUE(log.lines.empty());
}

// trio: test_subprocess.py::test_warn_on_cancel_SIGKILL_escalation
FIBER_TEST(RunProcessTest, ChildThatIgnoresSigtermIsKilledAfterFiveSeconds) {
  WEFT_NOT_FAULT_SWEPT("a child that nobody can end is waited for");
  const test::CapturedLog log;
  const Instant start = current_time();
  std::shared_ptr<Process> process;
  open_nursery([&](Nursery& nursery) {
    process = nursery.start<std::shared_ptr<Process>>([](ProcessStatus& status) {
      run_process({"trap '' TERM; echo ready; exec sleep infinity"},
                  {.stdout = kPipe, .shell = true}, status);
    });
    EXPECT_EQ(process->stdout->receive_some(), "ready\n");
    nursery.cancel_scope().cancel();
  });
  EXPECT_EQ(process->returncode(), -SIGKILL);
  EXPECT_EQ(current_time() - start, seconds(5));
  ASSERT_EQ(log.lines.size(), 1U);
  EXPECT_EQ(log.levels.at(0), LogLevel::kWarning);
  EXPECT_NE(log.lines[0].find("SIGKILL"), std::string::npos);
}

// trio: test_subprocess.py::test_custom_deliver_cancel
FIBER_TEST(RunProcessTest, WayToCancelCanBeChosen) {
  WEFT_NOT_ALLOCATION_SWEPT("a child that nobody can end is waited for");
  bool called = false;
  bool cut_short = false;
  EXPECT_FALSE(move_on_after(hours(1), [&] {
    run_process({"sleep", "3600"}, {.deliver_cancel = [&](Process& process) {
                  called = true;
                  process.send_signal(SIGINT);
                  try {
                    sleep_forever();
                  } catch (const Cancelled&) {  // As soon as it has ended.
                    cut_short = true;
                    throw;
                  }
                }});
  }));
  EXPECT_TRUE(called);
  EXPECT_TRUE(cut_short);
}

// trio: test_subprocess.py::test_bad_deliver_cancel
FIBER_TEST(RunProcessTest, FailureToCancelIsNotLostAndTheChildNotEither) {
  WEFT_NOT_FAULT_SWEPT("a child that nobody can end is waited for");
  std::shared_ptr<Process> process;
  bool matched = false;
  catch_(
      [&] {
        open_nursery([&](Nursery& nursery) {
          process = nursery.start<std::shared_ptr<Process>>([](ProcessStatus& status) {
            run_process({"sleep", "3600"},
                        {.deliver_cancel = [](Process&) { throw std::domain_error("deliver"); }},
                        status);
          });
          nursery.cancel_scope().cancel();
        });
      },
      on<std::domain_error>([&](const std::exception_ptr&) { matched = true; }));
  EXPECT_TRUE(matched);
  EXPECT_EQ(process->returncode(), -SIGKILL);
}

// trio: test_subprocess.py::test_run_process_background_fail
FIBER_TEST(RunProcessTest, FailureInTheBackgroundComesOutOfTheNursery) {
  WEFT_NOT_ALLOCATION_SWEPT("a child that nobody can end is waited for");
  bool matched = false;
  catch_(
      [&] {
        open_nursery([&](Nursery& nursery) {
          const auto process = nursery.start<std::shared_ptr<Process>>([](ProcessStatus& status) {
            run_process({"sleep", "3600"}, {}, status);
          });
          process->kill();
          sleep_forever();
        });
      },
      on<CalledProcessError>([&](const std::exception_ptr&) { matched = true; }));
  EXPECT_TRUE(matched);
}

// trio: test_subprocess.py::test_run_process_background_fail
FIBER_TEST(RunProcessTest, FailureToStartComesOutOfStart) {
  open_nursery([](Nursery& nursery) {
    EXPECT_THROW(nursery.start<std::shared_ptr<Process>>(
                     [](ProcessStatus& status) { run_process({"no-such-program"}, {}, status); }),
                 std::system_error);
  });
}

// trio: test_subprocess.py::test_interactive
FIBER_TEST(RunProcessTest, BackgroundProcessCanBeTalkedTo) {
  open_nursery([](Nursery& nursery) {
    const auto process = nursery.start<std::shared_ptr<Process>>([](ProcessStatus& status) {
      run_process({"cat"}, {.stdin = kPipe, .stdout = kPipe}, status);
    });
    process->stdin->send_all("hello");
    EXPECT_EQ(process->stdout->receive_some(), "hello");
    process->stdin->close();
    EXPECT_EQ(process->stdout->receive_some(), "");
    EXPECT_EQ(process->wait(), 0);
  });
}

}  // namespace
}  // namespace weft::fibers
