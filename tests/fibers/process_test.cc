// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <filesystem>
#include <map>
#include <string>
#include <system_error>
#include <vector>

#include "tests/support/pipe.h"
#include "tests/support/temporary_directory.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/checkpoints.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

using testing::assert_checkpoints;
using testing::assert_no_checkpoints;
using testing::wait_all_tasks_blocked;

std::string read_all(FdStream& stream) {
  std::string all;
  for (std::string data = stream.receive_some(); !data.empty(); data = stream.receive_some()) {
    all += data;
  }
  return all;
}

// What a shell prints under these options.
std::string output_of(const std::string& script, ProcessOptions options = {}) {
  options.stdout = kPipe;
  options.shell = true;
  const auto process = open_process({script}, options);
  std::string output = read_all(*process->stdout);
  process->wait();
  return output;
}

// trio: test_subprocess.py::test_basic
FIBER_TEST(ProcessTest, RunsAndTellsHowItEnded) {
  WEFT_NOT_FAULT_SWEPT("a child that it cannot end runs on");
  const auto good = open_process({"true"});
  EXPECT_GT(good->pid(), 0);
  EXPECT_EQ(good->args(), std::vector<std::string>{"true"});
  assert_checkpoints([&] { EXPECT_EQ(good->wait(), 0); });
  assert_checkpoints([&] { EXPECT_EQ(good->wait(), 0); });
  EXPECT_EQ(good->returncode(), 0);
  EXPECT_NE(good->to_string().find("'true'"), std::string::npos);
  EXPECT_NE(good->to_string().find("exited with 0"), std::string::npos);
  const auto bad = open_process({"sh", "-c", "exit 3"});
  EXPECT_EQ(bad->wait(), 3);
  EXPECT_NE(bad->to_string().find("exited with 3"), std::string::npos);
  const auto killed = open_process({"sleep", "3600"});
  EXPECT_NE(killed->to_string().find("running"), std::string::npos);
  killed->kill();
  EXPECT_EQ(killed->wait(), -SIGKILL);
  EXPECT_NE(killed->to_string().find("ended by signal 9"), std::string::npos);
}

// trio: test_subprocess.py::test_auto_update_returncode
FIBER_TEST(ProcessTest, ReturncodeIsUpToDate) {
  WEFT_NOT_FAULT_SWEPT("a child that it cannot end runs on");
  const auto process = open_process({"sleep", "3600"});
  EXPECT_EQ(process->returncode(), std::nullopt);
  assert_no_checkpoints([&] { EXPECT_EQ(process->poll(), std::nullopt); });
  process->kill();
  siginfo_t info{};  // Waits in the system, and leaves it to be reaped.
  ::waitid(P_PID, static_cast<id_t>(process->pid()), &info, WEXITED | WNOWAIT);
  assert_no_checkpoints([&] { EXPECT_EQ(process->returncode(), -SIGKILL); });
  EXPECT_EQ(process->poll(), -SIGKILL);
}

// trio: test_subprocess.py::test_multi_wait
FIBER_TEST(ProcessTest, SeveralTasksMayWait) {
  WEFT_NOT_SWEPT("a child that nobody ends any more runs on");
  WEFT_NOT_FAULT_SWEPT("a child that it cannot end runs on");
  const auto process = open_process({"sleep", "3600"});
  int ended = 0;
  open_nursery([&](Nursery& nursery) {
    for (int i = 0; i < 3; ++i) {
      nursery.start_soon([&] {
        EXPECT_EQ(process->wait(), -SIGKILL);
        ++ended;
      });
    }
    // Those who stop waiting, be it the first of all, do not disturb the others.
    open_nursery([&](Nursery& impatient) {
      impatient.start_soon([&] { process->wait(); });
      wait_all_tasks_blocked();
      impatient.cancel_scope().cancel();
    });
    EXPECT_EQ(ended, 0);
    process->kill();
  });
  EXPECT_EQ(ended, 3);
}

FIBER_TEST(ProcessTest, CancelledWaiterPassesTheTurnOn) {
  WEFT_NOT_SWEPT("a child that nobody ends any more runs on");
  WEFT_NOT_FAULT_SWEPT("a child that it cannot end runs on");
  const auto process = open_process({"sleep", "3600"});
  CancelScope first;
  bool done = false;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { first.run([&] { process->wait(); }); });
    wait_all_tasks_blocked();
    nursery.start_soon([&] {
      process->wait();
      done = true;
    });
    wait_all_tasks_blocked();
    first.cancel();
    wait_all_tasks_blocked();
    EXPECT_FALSE(done);
    process->kill();
  });
  EXPECT_TRUE(done);
}

// Looked at while another task waits for it.
//
// trio: test_subprocess.py::test_subprocess_pidfd_unnotified
FIBER_TEST(ProcessTest, PollDoesNotTakeTheEndAwayFromWaiters) {
  WEFT_NOT_SWEPT("a child that nobody ends any more runs on");
  WEFT_NOT_FAULT_SWEPT("a child that it cannot end runs on");
  const auto process = open_process({"sleep", "3600"});
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { EXPECT_EQ(process->wait(), -SIGKILL); });
    wait_all_tasks_blocked();
    process->kill();
    siginfo_t info{};
    ::waitid(P_PID, static_cast<id_t>(process->pid()), &info, WEXITED | WNOWAIT);
    EXPECT_EQ(process->poll(), -SIGKILL);
  });
}

// trio: test_subprocess.py::test_pipes
FIBER_TEST(ProcessTest, PipesLeadToIt) {
  const auto process = open_process(
      {"cat; echo problem >&2"}, {.stdin = kPipe, .stdout = kPipe, .stderr = kPipe, .shell = true});
  const std::string much(1 << 18, 'x');
  std::string output;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      process->stdin->send_all(much);
      process->stdin->aclose();
    });
    nursery.start_soon([&] { output = read_all(*process->stdout); });
    EXPECT_EQ(read_all(*process->stderr), "problem\n");
  });
  EXPECT_EQ(output, much);
  EXPECT_EQ(process->wait(), 0);
}

// trio: test_subprocess.py::test_interactive
FIBER_TEST(ProcessTest, TalksBackAndForth) {
  // Doubles numbers; one line on stderr for each.
  const auto process =
      open_process({"while read n; do echo $((n * 2)); echo \"got $n\" >&2; done"},
                   {.stdin = kPipe, .stdout = kPipe, .stderr = kPipe, .shell = true});
  for (const int n : {10, 35, 7}) {
    process->stdin->send_all(std::to_string(n) + '\n');
    EXPECT_EQ(process->stdout->receive_some(), std::to_string(2 * n) + '\n');
    EXPECT_EQ(process->stderr->receive_some(), "got " + std::to_string(n) + '\n');
  }
  ASSERT_TRUE(process->stdio.has_value());
  process->stdio->send_all("1\n");
  EXPECT_EQ(process->stdio->receive_some(), "2\n");
  process->stdio->send_eof();
  EXPECT_EQ(process->stdio->receive_some(), "");
  EXPECT_EQ(process->wait(), 0);
}

FIBER_TEST(ProcessTest, StdioIsThereIfBothArePipes) {
  const auto one = open_process({"true"}, {.stdin = kPipe});
  EXPECT_TRUE(one->stdin.has_value());
  EXPECT_FALSE(one->stdout.has_value());
  EXPECT_FALSE(one->stderr.has_value());
  EXPECT_FALSE(one->stdio.has_value());
  one->wait();
}

// trio: test_subprocess.py::test_stderr_stdout
FIBER_TEST(ProcessTest, StderrMayGoWhereStdoutGoes) {
  const std::string script = "echo out; echo err >&2";
  EXPECT_EQ(output_of(script, {.stderr = kStdout}), "out\nerr\n");
  // To a descriptor, which stays the caller's.
  test::Pipe pipe;
  const auto to_fd =
      open_process({script}, {.stdout = Stdio::fd(pipe[1]), .stderr = kStdout, .shell = true});
  EXPECT_FALSE(to_fd->stdout.has_value());
  to_fd->wait();
  EXPECT_EQ(pipe.drain(0), 8U);
  EXPECT_THROW(open_process({"true"}, {.stdout = kStdout}), UsageError);
  EXPECT_EQ(output_of(script, {.stderr = kDevNull}), "out\n");
  EXPECT_EQ(output_of("cat", {.stdin = kDevNull}), "");
}

// trio: test_subprocess.py::test_signals
FIBER_TEST(ProcessTest, SignalsReachIt) {
  WEFT_NOT_FAULT_SWEPT("a child that it cannot end runs on");
  const auto terminated = open_process({"sleep", "3600"});
  terminated->terminate();
  EXPECT_EQ(terminated->wait(), -SIGTERM);
  terminated->terminate();  // Nobody is there any more.
  const auto interrupted = open_process({"sleep", "3600"});
  interrupted->send_signal(SIGINT);
  EXPECT_EQ(interrupted->wait(), -SIGINT);
  const auto running = open_process({"sleep", "3600"});
  EXPECT_THROW(running->send_signal(1000), std::system_error);
  running->kill();
  running->wait();
}

// trio: test_subprocess.py::test_wait_reapable_fails
FIBER_TEST(ProcessTest, IgnoredSigchldLosesTheStatusOnly) {
  struct Ignored {
    ~Ignored() { std::signal(SIGCHLD, before); }
    decltype(std::signal(SIGCHLD, SIG_IGN)) before = std::signal(SIGCHLD, SIG_IGN);
  } const ignored;
  const auto process = open_process({"sh", "-c", "exit 3"});
  EXPECT_EQ(process->wait(), 0);
}

FIBER_TEST(ProcessTest, StatusThatSomebodyElseTookIsZero) {
  const auto process = open_process({"sh", "-c", "exit 3"});
  EXPECT_EQ(::waitpid(process->pid(), nullptr, 0), process->pid());
  EXPECT_EQ(process->wait(), 0);
}

// trio: test_subprocess.py::test_errors
FIBER_TEST(ProcessTest, WrongCommandsAreRefused) {
  EXPECT_THROW(open_process({}), UsageError);
  EXPECT_THROW(open_process({"echo", "two words"}, {.shell = true}), UsageError);
  const std::string zero("zero\0byte", 9);
  EXPECT_THROW(open_process({zero}), UsageError);
  EXPECT_THROW(open_process({"true"}, {.cwd = zero}), UsageError);
  EXPECT_THROW(open_process({"true"}, {.executable = zero}), UsageError);
  using Environment = std::map<std::string, std::string>;
  for (const Environment& env :
       {Environment{{"A", zero}}, {{zero, "a"}}, {{"A=B", "c"}}, {{"", ""}}}) {
    EXPECT_THROW(open_process({"true"}, {.env = env}), UsageError);
  }
  EXPECT_THROW(open_process({"true"}, {.stdin = Stdio::fd(12345)}), std::system_error);
}

void expect_start_fails(const std::vector<std::string>& command, const ProcessOptions& options,
                        std::errc code, const std::string& named) {
  try {
    open_process(command, options);
    FAIL() << command.front() << " started";
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code(), code);
    EXPECT_NE(std::string(error.what()).find(named), std::string::npos) << error.what();
  }
}

// trio: test_subprocess.py::test_for_leaking_fds
FIBER_TEST(ProcessTest, FailureToStartNamesTheProgramAndLeavesNothingOpen) {
  const test::TemporaryDirectory directory;
  const ProcessOptions pipes{.stdin = kPipe, .stdout = kPipe, .stderr = kPipe};
  expect_start_fails({"no-such-program", "x"}, pipes, std::errc::no_such_file_or_directory,
                     "'no-such-program'");
  expect_start_fails({directory / "."}, {}, std::errc::permission_denied, directory / ".");
  expect_start_fails({"true"}, {.cwd = directory / "nowhere"}, std::errc::no_such_file_or_directory,
                     directory / "nowhere");
}

FIBER_TEST(ProcessTest, DirectoryAndEnvironmentCanBeChosen) {
  const test::TemporaryDirectory directory;
  EXPECT_EQ(output_of("pwd", {.cwd = directory.path()}),
            std::filesystem::canonical(directory.path()).string() + '\n');
  EXPECT_EQ(output_of("echo $A-$HOME", {.env = {{{"A", "b"}}}}), "b-\n");
  ::setenv("WEFT_TEST_INHERITED", "yes", 1);
  EXPECT_EQ(output_of("echo $WEFT_TEST_INHERITED"), "yes\n");
  ::unsetenv("WEFT_TEST_INHERITED");
  const auto renamed =
      open_process({"my name", "-c", "echo $0"}, {.stdout = kPipe, .executable = "sh"});
  EXPECT_EQ(read_all(*renamed->stdout), "my name\n");
  renamed->wait();
}

// Also of those that somebody made without close-on-exec.
FIBER_TEST(ProcessTest, OnlyDescriptorsThatArePassedReachIt) {
  WEFT_NOT_SWEPT("it plays with descriptors that nobody owns");
  WEFT_NOT_FAULT_SWEPT("it plays with descriptors that nobody owns");
  std::array<int, 2> careless{};
  ASSERT_EQ(::pipe(careless.data()), 0);  // NOLINT(android-cloexec-pipe): that is the point.
  test::Pipe passed;
  const std::string list = "for fd in /proc/self/fd/*; do test -p $fd && echo ${fd##*/}; done";
  // The shell's stdout is a pipe itself; the others may be.
  ProcessOptions options{.stdin = kDevNull, .stderr = kDevNull};
  EXPECT_EQ(output_of(list, options), "1\n");
  const std::string number = std::to_string(passed[1]);
  options.pass_fds = {passed[1]};
  EXPECT_EQ(output_of(list, options), "1\n" + number + '\n');
  EXPECT_EQ(output_of("echo hi > /proc/self/fd/" + number, {.pass_fds = {passed[1], careless[0]}}),
            "");
  EXPECT_EQ(passed.drain(0), 3U);
  ::close(careless[0]);
  ::close(careless[1]);
}

FIBER_TEST(ProcessTest, GroupAndSessionCanBeItsOwn) {
  WEFT_NOT_SWEPT("a child that nobody ends any more runs on");
  WEFT_NOT_FAULT_SWEPT("a child that it cannot end runs on");
  const auto grouped = open_process({"sleep", "3600"}, {.process_group = 0});
  EXPECT_EQ(::getpgid(grouped->pid()), grouped->pid());
  EXPECT_NE(::getsid(grouped->pid()), grouped->pid());
  const auto session = open_process({"sleep", "3600"}, {.start_new_session = true});
  EXPECT_EQ(::getsid(session->pid()), session->pid());
  grouped->kill();
  session->kill();
  grouped->wait();
  session->wait();
}

// The thread that starts it blocks signals of its own; the child must not inherit that.
FIBER_TEST(ProcessTest, DescriptorThatIsNotThereIsNamed) {
  for (const int missing : {12345, -1}) {
    try {
      open_process({"true"}, {.pass_fds = {missing}});
      FAIL() << "passed on fd " << missing;
    } catch (const std::system_error& error) {
      EXPECT_NE(std::string(error.what()).find(std::to_string(missing)), std::string::npos)
          << error.what();
    }
  }
}

// A server that ignores SIGPIPE, as most do, would have children that never notice that nobody
// reads what they write.
FIBER_TEST(ProcessTest, SignalsThatThisProcessIgnoresEndTheChild) {
  const auto before = ::signal(SIGPIPE, SIG_IGN);
  const std::string endless = "kill -PIPE $$; echo ignored";
  EXPECT_EQ(output_of(endless), "");
  EXPECT_EQ(output_of(endless, {.restore_signals = false}), "ignored\n");
  ::signal(SIGPIPE, before);
}

FIBER_TEST(ProcessTest, SignalMaskIsTheCallers) {
  EXPECT_EQ(output_of("grep SigBlk /proc/self/status"), "SigBlk:\t0000000000000000\n");
}

// This process may have closed its own stdin, and then gets 0 for the next descriptor it opens.
FIBER_TEST(ProcessTest, WorksWithoutAStdinOfItsOwn) {
  WEFT_NOT_SWEPT("a child that nobody ends any more runs on");
  WEFT_NOT_FAULT_SWEPT("it plays with descriptors that nobody owns");
  const int saved = ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 10);
  ::close(STDIN_FILENO);
  {
    const auto process = open_process({"cat"}, {.stdin = kPipe, .stdout = kPipe});
    process->stdin->send_all("x");
    process->stdin->close();
    EXPECT_EQ(read_all(*process->stdout), "x");
    process->wait();
  }
  if (saved >= 0) {
    ::dup2(saved, STDIN_FILENO);
    ::close(saved);
  }
}

FIBER_TEST(ProcessTest, LeftAloneItIsReapedByTheNext) {
  int pid = 0;
  {
    const auto process = open_process({"sleep", "3600"});
    pid = process->pid();
  }
  EXPECT_EQ(::kill(pid, SIGKILL), 0);  // It goes on without its Process.
  siginfo_t info{};
  ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT);
  open_process({"true"})->wait();
  EXPECT_EQ(::waitpid(pid, nullptr, WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
}

}  // namespace
}  // namespace weft::fibers
