// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Children with streams.

#include "weft/loop/subprocess.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <map>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "tests/loop/subprocess_testing.h"
#include "tests/loop/sync_testing.h"
#include "weft/fibers/errors.h"
#include "weft/loop/detail/stream_access.h"

namespace weft::loop {
namespace {

using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using namespace testing;  // NOLINT: the helpers of the folder.
using Output = std::pair<std::string, std::string>;

constexpr SubprocessOptions kInAndOut{.stdin = kPipe, .stdout = kPipe};
constexpr SubprocessOptions kAllPipes{.stdin = kPipe, .stdout = kPipe, .stderr = kPipe};

Process shell(EventLoop& loop, std::string_view script, const SubprocessOptions& options = {}) {
  return await(create_subprocess_shell(loop, script, options));
}

// Of a child that was left behind the reaper may be faster.
void wait_for_end(int pid) {
  siginfo_t info{};
  const int ended = ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT);
  EXPECT_TRUE(ended == 0 || errno == ECHILD) << errno;
}

// --- Streams. ---

// What the three flavours of code share.
Coro<std::string> through_cat(EventLoop& loop) {
  Process process = co_await create_subprocess_exec(loop, {"cat"}, kInAndOut);
  process.stdin->write("some data");
  co_await process.stdin->drain();
  process.stdin->close();
  std::string data = co_await process.stdout->read();
  data += " " + std::to_string(co_await process.wait());
  co_return data;
}

// asyncio: test_subprocess.py::SubprocessMixin::test_stdin_stdout
FIBER_TEST(ProcessTest, StreamsInATaskOfFibersAndInBothKindsOfTheLoops) {
  with_loop([](EventLoop& loop) {
    EXPECT_EQ(await(through_cat(loop)), "some data 0");
    for (const Form form : kForms) {
      EXPECT_EQ(await(start(loop, form, [&] { return through_cat(loop); })), "some data 0");
    }
  });
}

FIBER_TEST(ProcessTest, InTheLoopsTasksTheLoopIsTheRunningOne) {
  with_loop([](EventLoop& loop) {
    EXPECT_THROW(static_cast<void>(create_subprocess_exec({"true"})), fibers::UsageError);
    EXPECT_THROW(static_cast<void>(create_subprocess_shell("true")), fibers::UsageError);
    const auto both = loop.create_task([]() -> Coro<int> {
      const Process program = co_await create_subprocess_exec({"sh", "-c", "exit 3"});
      const Process line = co_await create_subprocess_shell("exit 4");
      const int first = co_await program.wait();
      co_return first * 10 + co_await line.wait();
    });
    EXPECT_EQ(await(both), 34);
  });
}

// asyncio: test_subprocess.py::SubprocessMixin::test_read_stdout_after_process_exit
FIBER_TEST(ProcessTest, OutputCanBeReadAfterTheExit) {
  with_loop([](EventLoop& loop) {
    const Process process = shell(loop, "echo one; echo two", {.stdout = kPipe});
    EXPECT_EQ(await(process.wait()), 0);
    StreamReader out = *process.stdout;
    EXPECT_EQ(await(out.readline()), "one\n");
    EXPECT_EQ(await(out.readline()), "two\n");
    EXPECT_EQ(await(out.readline()), "");
    EXPECT_TRUE(out.at_eof());
  });
}

// asyncio: test_subprocess.py::SubprocessMixin::test_pause_reading
FIBER_TEST(ProcessTest, AFullReaderHoldsTheChildUp) {
  with_loop([](EventLoop& loop) {
    constexpr std::size_t kSize = 1 << 20;
    const std::string script = "head -c " + std::to_string(kSize) + " /dev/zero";
    const Process process = await(create_subprocess_shell(loop, script, {.stdout = kPipe}, 1000));
    const detail::StreamReaderCore& reader = *StreamAccess::core(*process.stdout);
    while (!reader.paused() && reader.exception() == nullptr) fibers::checkpoint();
    const std::size_t held = reader.data().size();
    EXPECT_GT(held, 2000u);
    for (int i = 0; i < 5; ++i) loop.synchronize();
    EXPECT_EQ(reader.data().size(), held);
    EXPECT_EQ(await(process.communicate()).first.size(), kSize);
  });
}

// asyncio: test_subprocess.py::SubprocessMixin::test_stdin_broken_pipe
FIBER_TEST(ProcessTest, AStdinThatNobodyReadsBreaksAtTheDrain) {
  with_loop([](EventLoop& loop) {
    const Process process = shell(loop, "exec <&-; exit 0", {.stdin = kPipe});
    StreamWriter in = *process.stdin;
    try {
      for (;;) {
        in.write(std::string(1 << 20, 'x'));
        await(in.drain());
      }
    } catch (const std::system_error& error) {
      EXPECT_THAT(error.code().value(), AnyOf(EPIPE, ECONNRESET));
    }
    try {
      await(in.wait_closed());
    } catch (const std::system_error& error) {
      EXPECT_EQ(error.code().value(), EPIPE);
    }
    EXPECT_EQ(await(process.wait()), 0);
  });
}

struct NoLayer final : TransportLayer {
  MadeLayer make(LayerRequest) override { return {}; }
};

FIBER_TEST(ProcessTest, StdinTakesNoTLS) {
  with_loop([](EventLoop& loop) {
    const Process process = await(create_subprocess_exec(loop, {"cat"}, kInAndOut));
    NoLayer layer;
    StreamWriter in = *process.stdin;
    EXPECT_THAT(thrown<fibers::UsageError>([&] { await(in.start_tls(layer)); }),
                HasSubstr("is for connections"));
    await(process.communicate());
  });
}

// asyncio: test_subprocess.py::SubprocessMixin::test_stdin_not_inheritable
FIBER_TEST(ProcessTest, OneChildDoesNotHoldTheStdinOfAnother) {
  with_loop([](EventLoop& loop) {
    const Process first = await(create_subprocess_exec(loop, {"cat"}, kInAndOut));
    const Process second = await(create_subprocess_exec(loop, {"cat"}, kInAndOut));
    EXPECT_EQ(await(first.communicate("one")), Output("one", ""));
    EXPECT_EQ(second.returncode(), std::nullopt);
    EXPECT_EQ(await(second.communicate("two")), Output("two", ""));
  });
}

// --- Starting. ---

// asyncio: test_subprocess.py::SubprocessMixin::test_shell
FIBER_TEST(ProcessTest, AShellRunsACommandLine) {
  with_loop([](EventLoop& loop) {
    const Process process = shell(loop, "exit 7");
    EXPECT_GT(process.pid(), 0);
    EXPECT_FALSE(process.stdin);
    EXPECT_FALSE(process.stdout);
    EXPECT_FALSE(process.stderr);
    EXPECT_EQ(await(process.wait()), 7);
    EXPECT_EQ(process.returncode(), 7);
    EXPECT_EQ(await(process.wait()), 7);
  });
}

// asyncio: test_subprocess.py::SubprocessMixin::test_create_subprocess_exec_with_path
FIBER_TEST(ProcessTest, AProgramIsFoundByPathOrByName) {
  with_loop([](EventLoop& loop) {
    for (const char* const program : {"/bin/sh", "sh"}) {
      const Process process =
          await(create_subprocess_exec(loop, {program, "-c", "echo $0"}, {.stdout = kPipe}));
      EXPECT_EQ(await(process.communicate()), Output(std::string(program) + "\n", ""));
    }
  });
}

// asyncio: test_subprocess.py::SubprocessMixin::test_popen_error
// asyncio: test_subprocess.py::SubprocessMixin::test_popen_error_with_stdin_pipe
FIBER_TEST(ProcessTest, AProgramThatIsNotThereLeavesNothing) {
  with_loop([](EventLoop& loop) {
    for (const SubprocessOptions& options : {SubprocessOptions{}, kAllPipes}) {
      try {
        await(create_subprocess_exec(loop, {"/no/such/program"}, options));
        ADD_FAILURE() << "it has been started";
      } catch (const std::system_error& error) {
        EXPECT_EQ(error.code().value(), ENOENT);
        EXPECT_THAT(error.what(), HasSubstr("/no/such/program"));
      }
    }
  });
  // The fixture finds descriptors that are left.
}

FIBER_TEST(ProcessTest, WhatCannotBeACommandIsRefusedWhenCalled) {
  with_loop([](EventLoop& loop) {
    EXPECT_THROW(static_cast<void>(create_subprocess_exec(loop, std::vector<std::string>{})),
                 fibers::UsageError);
    EXPECT_THROW(static_cast<void>(create_subprocess_exec(loop, {"cat"}, {.stdin = kStdout})),
                 fibers::UsageError);
    EXPECT_THROW(
        static_cast<void>(create_subprocess_exec(loop, {"cat"}, {.stdout = kPipe}, /*limit=*/0)),
        fibers::UsageError);
  });
}

// asyncio: test_subprocess.py::SubprocessMixin::test_create_subprocess_env_shell
// asyncio: test_subprocess.py::SubprocessMixin::test_create_subprocess_env_exec
FIBER_TEST(ProcessTest, TheEnvironmentIsTheOneThatIsGiven) {
  with_loop([](EventLoop& loop) {
    const std::map<std::string, std::string> env{{"FOO", "bar"}};
    const SubprocessOptions options{.stdout = kPipe, .env = &env};
    const Process line = shell(loop, "echo $FOO $HOME", options);
    EXPECT_EQ(await(line.communicate()).first, "bar\n");
    const Process program =
        await(create_subprocess_exec(loop, {"/bin/sh", "-c", "echo $FOO $HOME"}, options));
    EXPECT_EQ(await(program.communicate()).first, "bar\n");
  });
}

FIBER_TEST(ProcessTest, ACancelledStartLeavesNoChild) {
  with_loop([](EventLoop& loop) {
    for (const Form form : kForms) {
      auto starting =
          start(loop, form, [&] { return create_subprocess_exec(loop, {"cat"}, kAllPipes); });
      fibers::checkpoint();
      starting.cancel();
      wait(starting);
      EXPECT_TRUE(starting.cancelled());
    }
  });
  // The fixture finds a child that is left.
}

// --- Waiting, and signals. ---

// asyncio: test_subprocess.py::SubprocessMixin::test_kill
// asyncio: test_subprocess.py::SubprocessMixin::test_terminate
// asyncio: test_subprocess.py::SubprocessMixin::test_send_signal
FIBER_TEST(ProcessTest, SignalsEndIt) {
  with_loop([](EventLoop& loop) {
    Process process = await(create_subprocess_exec(loop, {"cat"}, kInAndOut));
    process.kill();
    EXPECT_EQ(await(process.wait()), -SIGKILL);
    process = await(create_subprocess_exec(loop, {"cat"}, kInAndOut));
    process.terminate();
    EXPECT_EQ(await(process.wait()), -SIGTERM);
    process = await(create_subprocess_exec(loop, {"cat"}, kInAndOut));
    process.send_signal(SIGHUP);
    EXPECT_EQ(await(process.wait()), -SIGHUP);
  });
}

// The shell has put itself in the place of the program, or waits for it.
// asyncio: test_subprocess.py::SubprocessMixin::test_kill_issue43884
FIBER_TEST(ProcessTest, AKilledShellIsWaitedForOnce) {
  with_loop([](EventLoop& loop) {
    Process process = shell(loop, "cat", kInAndOut);
    process.kill();
    wait_for_end(process.pid());
    process.kill();  // It has ended, and the loop has not heard of that.
    EXPECT_EQ(await(process.wait()), -SIGKILL);
  });
}

// asyncio: test_subprocess.py::SubprocessMixin::test_subprocess_send_signal_race
FIBER_TEST(ProcessTest, ASignalThatComesTooLateChangesNothing) {
  WEFT_NOT_FAULT_SWEPT("a fault may keep the line that its child waits for");
  with_loop([](EventLoop& loop) {
    Process process = shell(loop, "read line; exit 5", {.stdin = kPipe});
    process.stdin->write("go\n");
    wait_for_end(process.pid());
    EXPECT_NO_THROW(process.send_signal(SIGTERM));
    EXPECT_EQ(await(process.wait()), 5);
    while (process.transport().get_protocol() != nullptr) fibers::checkpoint();
    EXPECT_THROW(process.terminate(), ProcessLookupError);
    EXPECT_EQ(process.returncode(), 5);
  });
}

// Its last callback, connection_lost(), comes before whoever waits goes on.
Coro<int> kill_and_wait(EventLoop& loop) {
  Process process = co_await create_subprocess_shell(loop, "exec sleep 3600");
  process.kill();
  const int code = co_await process.wait();
  EXPECT_THROW(process.kill(), ProcessLookupError);
  co_return code;
}

FIBER_TEST(ProcessTest, WhoHasWaitedForAChildWithoutPipesFindsItGone) {
  with_loop([](EventLoop& loop) {
    for (const Form form : kForms) {
      EXPECT_EQ(await(start(loop, form, [&] { return kill_and_wait(loop); })), -SIGKILL);
    }
  });
}

// asyncio: test_subprocess.py::SubprocessMixin::test_cancel_process_wait
FIBER_TEST(ProcessTest, ACancelledWaitLeavesTheChildAlone) {
  with_loop([](EventLoop& loop) {
    for (const Form form : kForms) {
      const Process process = await(create_subprocess_exec(loop, {"cat"}, kInAndOut));
      auto waiting = start(loop, form, [&] { return process.wait(); });
      loop.synchronize();
      waiting.cancel();
      wait(waiting);
      EXPECT_TRUE(waiting.cancelled());
      EXPECT_EQ(process.returncode(), std::nullopt);
      EXPECT_EQ(await(process.communicate("still here")).first, "still here");
      EXPECT_EQ(await(process.wait()), 0);
    }
  });
}

// asyncio: test_subprocess.py::SubprocessMixin::test_subprocess_concurrent_wait
FIBER_TEST(ProcessTest, SeveralTasksWaitForOneChild) {
  with_loop([](EventLoop& loop) {
    const Process process = shell(loop, "read line; exit 3", {.stdin = kPipe});
    const auto first = loop.create_task(process.wait());
    const auto second = loop.create_task([&] { return await(process.wait()); });
    loop.synchronize();
    StreamWriter(*process.stdin).write("go\n");
    EXPECT_EQ(await(process.wait()), 3);
    EXPECT_EQ(await(first), 3);
    EXPECT_EQ(await(second), 3);
  });
}

// asyncio: test_subprocess.py::SubprocessMixin::test_close_dont_kill_finished
FIBER_TEST(ProcessTest, ClosingItsTransportDoesNotKillAChildThatHasEnded) {
  with_loop([](EventLoop& loop) {
    const Process process = shell(loop, "exit 6");
    EXPECT_EQ(await(process.wait()), 6);
    SubprocessTransport transport = process.transport();
    transport.close();
    EXPECT_TRUE(transport.is_closing());
    EXPECT_EQ(process.returncode(), 6);
  });
}

// asyncio: test_subprocess.py::SubprocessMixin::test_subprocess_protocol_events
FIBER_TEST(ProcessTest, WhatAProtocolIsToldComesInOrder) {
  struct Noting final : NotingChild {
    using NotingChild::NotingChild;
    void pipe_data_received(int fd, std::string_view data) override {
      NotingChild::pipe_data_received(fd, data);
      log.push_back("data " + std::to_string(fd));
    }
  };
  with_loop([](EventLoop& loop) {
    const auto child = await(loop.subprocess_shell([&] { return std::make_shared<Noting>(loop); },
                                                   "echo out; echo err >&2", {.stdin = kDevNull}))
                           .second;
    await(child->lost);
    EXPECT_EQ(child->out, "out\n");
    EXPECT_EQ(child->err, "err\n");
    EXPECT_THAT(child->log,
                ::testing::UnorderedElementsAre("made", "data 1", "data 2", "pipe 1 lost",
                                                "pipe 2 lost", "exited", "lost"));
    EXPECT_EQ(child->log.front(), "made");
    EXPECT_LT(child->place_of("data 1"), child->place_of("pipe 1 lost"));
    EXPECT_LT(child->place_of("data 2"), child->place_of("pipe 2 lost"));
    EXPECT_EQ(child->log.back(), "lost");
  });
}

// --- Nobody holds it, and the loop's end. ---

FIBER_TEST(ProcessTest, AChildThatIsDroppedGetsNoMoreInputAndTheLogSaysSo) {
  with_loop([](EventLoop& loop) {
    const CapturedLog capture;
    Process process = await(create_subprocess_exec(loop, {"cat"}, {.stdin = kPipe}));
    auto waiting = loop.create_task(process.wait());
    loop.synchronize();
    process = {};
    EXPECT_THAT(capture.lines, ElementsAre(HasSubstr("unclosed StreamWriter")));
    EXPECT_EQ(await(waiting), 0);
  });
}

// The child's own child still has the other end.
FIBER_TEST(ProcessTest, TheEndOfTheChildAndOfItsOutputClosesItsStdin) {
  with_loop([](EventLoop& loop) {
    const Process process =
        shell(loop, "exec 3<&0; cat <&3 >/dev/null 3<&- &", {.stdin = kPipe, .stdout = kPipe});
    StreamReader out = *process.stdout;
    EXPECT_EQ(await(out.read()), "");
    EXPECT_EQ(await(process.wait()), 0);
    EXPECT_TRUE(process.stdin->is_closing());
  });
}

FIBER_TEST(ProcessTest, AnOpenStdinOfAChildThatHasEndedIsNoMistake) {
  with_loop([](EventLoop& loop) {
    const CapturedLog capture;
    Pipe gate;
    const std::array<int, 1> passed{gate.reader()};
    // A grandchild has both pipes, so that neither closes. (The shell gives it no stdin by itself.)
    const std::string script =
        "exec 3<&0; head -c 1 </proc/self/fd/" + std::to_string(gate.reader()) + " & exit 0";
    Process process = shell(loop, script, {.stdin = kPipe, .stdout = kPipe, .pass_fds = passed});
    EXPECT_EQ(await(process.wait()), 0);
    EXPECT_FALSE(process.stdin->is_closing());
    StreamReader out = *process.stdout;
    process = {};
    EXPECT_THAT(capture.lines, IsEmpty());
    gate.put('!');
    EXPECT_EQ(await(out.read()), "!");
  });
}

FIBER_TEST(ProcessTest, TheEndOfTheLoopKillsAndTheHandleOutlivesIt) {
  Process process;
  int pid = -1;
  with_loop([&](EventLoop& loop) {
    process = await(create_subprocess_exec(loop, {"cat"}, kAllPipes));
    pid = process.pid();
  });
  wait_for_end(pid);
  EXPECT_EQ(process.pid(), pid);
  EXPECT_EQ(process.returncode(), std::nullopt);
  EXPECT_THROW(process.kill(), ProcessLookupError);
  EXPECT_TRUE(process.stdin->is_closing());
}

}  // namespace
}  // namespace weft::loop
