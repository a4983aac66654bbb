// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Children as transports.

#include "weft/loop/subprocess_transport.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include "tests/loop/subprocess_testing.h"
#include "weft/fibers/errors.h"
#include "weft/loop/coro.h"

namespace weft::loop {
namespace {

using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using namespace testing;  // NOLINT: the helpers of the folder.

using Child = std::shared_ptr<NotingChild>;

// Starts `script` in a shell, with pipes unless `options` say otherwise.
Child start(EventLoop& loop, std::string_view script, const SubprocessOptions& options = {}) {
  return await(loop.subprocess_shell([&] { return std::make_shared<NotingChild>(loop); }, script,
                                     options))
      .second;
}
Child start_program(EventLoop& loop, const Command& command,
                    const SubprocessOptions& options = {}) {
  return await(loop.subprocess_exec([&] { return std::make_shared<NotingChild>(loop); }, command,
                                    options))
      .second;
}

// asyncio: test_events.py::SubprocessTestsMixin::test_subprocess_exec
// trio-asyncio: test_aio_subprocess.py::test_subprocess_exec
FIBER_TEST(SubprocessTransportTest, FeedsAProgramAndHearsOfItsOutput) {
  with_loop([](EventLoop& loop) {
    const Child child = start_program(loop, {"cat"});
    EXPECT_GT(child->transport.get_pid(), 0);
    EXPECT_EQ(child->transport.get_returncode(), std::nullopt);
    EXPECT_THAT(child->log, ElementsAre("made"));
    child->transport.get_pipe_transport(0).write("Python The Winner");
    child->transport.get_pipe_transport(0).write_eof();
    await(child->lost);
    EXPECT_EQ(child->out, "Python The Winner");
    EXPECT_EQ(child->transport.get_returncode(), 0);
    EXPECT_EQ(child->log.back(), "lost");
  });
}

// asyncio: test_events.py::SubprocessTestsMixin::test_subprocess_interactive
// trio-asyncio: test_aio_subprocess.py::test_subprocess_interactive
FIBER_TEST(SubprocessTransportTest, TalksToAProgram) {
  WEFT_NOT_FAULT_SWEPT("it waits for words that a fault may have cut off");
  with_loop([](EventLoop& loop) {
    const Child child = start(loop, "while read line; do echo \"<$line>\"; done");
    Transport stdin = child->transport.get_pipe_transport(0);
    stdin.write("Python \n");
    while (child->out.empty()) fibers::checkpoint();
    EXPECT_EQ(child->out, "<Python>\n");
    stdin.write("The Winner\n");
    while (child->out.size() < 22) fibers::checkpoint();
    EXPECT_EQ(child->out, "<Python>\n<The Winner>\n");
    child->transport.close();
    await(child->lost);
  });
}

// asyncio: test_events.py::SubprocessTestsMixin::test_subprocess_shell
// trio-asyncio: test_aio_subprocess.py::test_subprocess_shell
FIBER_TEST(SubprocessTransportTest, ShellRunsACommandLine) {
  with_loop([](EventLoop& loop) {
    const Child child = start(loop, "echo Python");
    child->transport.get_pipe_transport(0).close();
    await(child->lost);
    EXPECT_EQ(child->transport.get_returncode(), 0);
    EXPECT_EQ(child->out, "Python\n");
    EXPECT_EQ(child->err, "");
    EXPECT_THAT(child->log, ::testing::UnorderedElementsAre("made", "pipe 0 lost", "pipe 1 lost",
                                                            "pipe 2 lost", "exited", "lost"));
    EXPECT_EQ(child->log.front(), "made");
    EXPECT_EQ(child->log.back(), "lost");
  });
}

// asyncio: test_events.py::SubprocessTestsMixin::test_subprocess_exitcode
// trio-asyncio: test_aio_subprocess.py::test_subprocess_exitcode
// asyncio: claims_subprocesses::the_sign_of_an_exit_code
FIBER_TEST(SubprocessTransportTest, ReturncodeIsTheStatusOrMinusTheSignal) {
  with_loop([](EventLoop& loop) {
    const SubprocessOptions none{.stdin = kInherit, .stdout = kInherit, .stderr = kInherit};
    const Child exits = start(loop, "exit 7", none);
    await(exits->exited);
    EXPECT_EQ(exits->transport.get_returncode(), 7);
    const Child dies = start(loop, "kill -USR1 $$", none);
    await(dies->lost);
    EXPECT_EQ(dies->transport.get_returncode(), -SIGUSR1);
    EXPECT_THAT(dies->log, ElementsAre("made", "exited", "lost"));
    EXPECT_FALSE(dies->transport.get_pipe_transport(0));
    EXPECT_FALSE(dies->transport.get_pipe_transport(7));
  });
}

// asyncio: test_events.py::SubprocessTestsMixin::test_subprocess_close_after_finish
// trio-asyncio: test_aio_subprocess.py::test_subprocess_close_after_finish
FIBER_TEST(SubprocessTransportTest, CloseAfterTheEndDoesNothing) {
  with_loop([](EventLoop& loop) {
    const Child child =
        start(loop, "exit 7", {.stdin = kInherit, .stdout = kInherit, .stderr = kInherit});
    await(child->lost);
    EXPECT_EQ(child->transport.get_returncode(), 7);
    child->transport.close();
    child->transport.close();
    EXPECT_TRUE(child->transport.is_closing());
  });
}

// asyncio: test_events.py::SubprocessTestsMixin::test_subprocess_kill
// trio-asyncio: test_aio_subprocess.py::test_subprocess_kill
// asyncio: test_events.py::SubprocessTestsMixin::test_subprocess_terminate
// trio-asyncio: test_aio_subprocess.py::test_subprocess_terminate
// asyncio: test_events.py::SubprocessTestsMixin::test_subprocess_send_signal
// trio-asyncio: test_aio_subprocess.py::test_subprocess_send_signal
FIBER_TEST(SubprocessTransportTest, SignalsEndAChild) {
  with_loop([](EventLoop& loop) {
    const Child killed = start_program(loop, {"cat"});
    killed->transport.kill();
    await(killed->lost);
    EXPECT_EQ(killed->transport.get_returncode(), -SIGKILL);
    const Child terminated = start_program(loop, {"cat"});
    terminated->transport.terminate();
    await(terminated->lost);
    EXPECT_EQ(terminated->transport.get_returncode(), -SIGTERM);
    const Child told = start_program(loop, {"cat"});
    told->transport.send_signal(SIGHUP);
    await(told->lost);
    EXPECT_EQ(told->transport.get_returncode(), -SIGHUP);
  });
}

// asyncio: claims_subprocesses::kill_after_exit_is_no_error
// asyncio: test_subprocess.py::SubprocessTransportTests::test_proc_exited
FIBER_TEST(SubprocessTransportTest, ASignalIsNoErrorBeforeConnectionLostAndOneAfterIt) {
  with_loop([](EventLoop& loop) {
    const Child child = start(loop, "exit 0");
    siginfo_t info{};
    // It has ended, and the loop has not been told.
    ::waitid(P_PID, static_cast<id_t>(child->transport.get_pid()), &info, WEXITED | WNOWAIT);
    EXPECT_NO_THROW(child->transport.kill());
    await(child->exited);
    child->transport.get_pipe_transport(0).close();
    await(child->lost);
    EXPECT_EQ(child->transport.get_returncode(), 0);
    EXPECT_THROW(child->transport.kill(), ProcessLookupError);
    EXPECT_THROW(child->transport.send_signal(0), ProcessLookupError);
    EXPECT_THROW(child->transport.terminate(), ProcessLookupError);
  });
}

// asyncio: test_events.py::SubprocessTestsMixin::test_subprocess_stderr
// trio-asyncio: test_aio_subprocess.py::test_subprocess_stderr
// asyncio: test_events.py::SubprocessTestsMixin::test_subprocess_stderr_redirect_to_stdout
// trio-asyncio: test_aio_subprocess.py::test_subprocess_stderr_redirect_to_stdout
FIBER_TEST(SubprocessTransportTest, StderrIsAPipeOfItsOwnOrGoesWhereStdoutGoes) {
  with_loop([](EventLoop& loop) {
    const Child apart = start(loop, "echo out; echo err >&2");
    apart->transport.get_pipe_transport(0).close();
    await(apart->lost);
    EXPECT_EQ(apart->out, "out\n");
    EXPECT_EQ(apart->err, "err\n");
    const Child joined = start(loop, "echo out; echo err >&2", {.stderr = kStdout});
    EXPECT_FALSE(joined->transport.get_pipe_transport(2));
    joined->transport.get_pipe_transport(0).close();
    await(joined->lost);
    EXPECT_EQ(joined->out, "out\nerr\n");
  });
}

// asyncio: test_events.py::SubprocessTestsMixin::test_subprocess_close_client_stream
// trio-asyncio: test_aio_subprocess.py::test_subprocess_close_client_stream
FIBER_TEST(SubprocessTransportTest, AClosedOutputIsABrokenPipeForTheChild) {
  WEFT_NOT_FAULT_SWEPT("it waits for an end of which a fault may keep its protocol");
  with_loop([](EventLoop& loop) {
    const Child child = start(loop, "trap '' PIPE; read line; echo $line || echo broken >&2");
    child->transport.get_pipe_transport(1).close();
    while (child->place_of("pipe 1 lost") == child->log.size()) fibers::checkpoint();
    child->transport.get_pipe_transport(0).write("more\n");
    await(child->lost);
    EXPECT_THAT(child->err, HasSubstr("broken"));
    EXPECT_EQ(child->out, "");
  });
}

// asyncio: test_events.py::SubprocessTestsMixin::test_subprocess_wait_no_same_group
// trio-asyncio: test_aio_subprocess.py::test_subprocess_wait_no_same_group
// asyncio: test_subprocess.py::SubprocessMixin::test_start_new_session
FIBER_TEST(SubprocessTransportTest, ASessionOfItsOwn) {
  with_loop([](EventLoop& loop) {
    // The sixth field is the session.
    const std::string script = "read a b c d e session rest </proc/$$/stat; echo $session; exit 7";
    for (const bool own : {true, false}) {
      const Child child =
          start(loop, script, {.stdin = kDevNull, .stderr = kInherit, .start_new_session = own});
      await(child->lost);
      EXPECT_EQ(child->transport.get_returncode(), 7);
      const pid_t session = own ? child->transport.get_pid() : ::getsid(0);
      EXPECT_EQ(child->out, std::to_string(session) + "\n");
    }
  });
}

// asyncio: claims_subprocesses::exit_before_and_after_the_end_of_its_pipes
FIBER_TEST(SubprocessTransportTest, ExitAfterTheEndOfItsPipes) {
  WEFT_NOT_FAULT_SWEPT("it waits for ends of which a fault may keep its protocol");
  with_loop([](EventLoop& loop) {
    const Pipe gate;
    const std::array<int, 1> passed{gate.reader()};
    const std::string script = "exec >&- 2>&- <&-; head -c 1 </proc/self/fd/" +
                               std::to_string(gate.reader()) + " 2>/dev/null; exit 3";
    const Child child = start(loop, script, {.pass_fds = passed});
    for (int fd = 0; fd < 3; ++fd) {
      while (child->place_of("pipe " + std::to_string(fd) + " lost") == child->log.size()) {
        fibers::checkpoint();
      }
    }
    EXPECT_EQ(child->place_of("exited"), child->log.size());
    EXPECT_EQ(child->transport.get_returncode(), std::nullopt);
    gate.put();
    await(child->lost);
    EXPECT_EQ(child->transport.get_returncode(), 3);
    EXPECT_THAT(child->log,
                ElementsAre("made", AnyOf("pipe 0 lost", "pipe 1 lost", "pipe 2 lost"),
                            AnyOf("pipe 0 lost", "pipe 1 lost", "pipe 2 lost"),
                            AnyOf("pipe 0 lost", "pipe 1 lost", "pipe 2 lost"), "exited", "lost"));
  });
}

// asyncio: claims_subprocesses::exit_before_and_after_the_end_of_its_pipes
FIBER_TEST(SubprocessTransportTest, ExitBeforeTheEndOfItsPipes) {
  with_loop([](EventLoop& loop) {
    Pipe gate;
    const std::array<int, 1> passed{gate.reader()};
    // A grandchild has the pipe to the end.
    const std::string script =
        "(head -c 1 </proc/self/fd/" + std::to_string(gate.reader()) + "; echo late) & exit 3";
    const Child child =
        start(loop, script, {.stdin = kDevNull, .stderr = kInherit, .pass_fds = passed});
    await(child->exited);
    EXPECT_EQ(child->transport.get_returncode(), 3);
    EXPECT_THAT(child->log, ElementsAre("made", "exited"));
    // Its end has been told, but the transport is still there.
    EXPECT_NO_THROW(child->transport.kill());
    gate.put('x');
    await(child->lost);
    EXPECT_EQ(child->out, "xlate\n");
    EXPECT_THAT(child->log, ElementsAre("made", "exited", "pipe 1 lost", "lost"));
  });
}

// It does not go on before its child has ended and the loop has heard of that.
struct Late final : NotingChild {
  using NotingChild::NotingChild;
  void connection_made(SubprocessTransport made) override {
    // The loop reaps it in the callback that hears of the end, and without pidfds a thread tells.
    siginfo_t ended{};
    const auto pid = static_cast<id_t>(made.get_pid());
    while (::waitid(P_PID, pid, &ended, WEXITED | WNOWAIT | WNOHANG) == 0) {
      made.get_loop().synchronize();
    }
    NotingChild::connection_made(std::move(made));
  }
};

FIBER_TEST(SubprocessTransportTest, AnExitDuringConnectionMadeIsToldAfterIt) {
  with_loop([](EventLoop& loop) {
    const SubprocessOptions options{.stdin = kDevNull, .stdout = kDevNull, .stderr = kDevNull};
    std::shared_ptr<Late> child;
    const auto begin = [&]() -> Coro<bool> {
      const auto make = [&] { return std::make_shared<Late>(loop); };
      child = (co_await loop.subprocess_exec(make, Command{"true"}, options)).second;
      co_return child->lost.done();
    };
    EXPECT_TRUE(await(loop.create_task(begin))) << "whoever starts it goes on after that";
    EXPECT_EQ(child->place_of("made"), 0u);
    EXPECT_LT(child->place_of("exited"), child->place_of("lost"));
  });
}

// asyncio: test_subprocess.py::SubprocessMixin::test_close_kill_running
FIBER_TEST(SubprocessTransportTest, CloseKillsAndConnectionLostComesAllTheSame) {
  with_loop([](EventLoop& loop) {
    const Child child = start_program(loop, {"cat"});
    child->transport.close();
    EXPECT_TRUE(child->transport.is_closing());
    EXPECT_THAT(child->log, ElementsAre("made"));
    await(child->lost);
    EXPECT_EQ(child->transport.get_returncode(), -SIGKILL);
    EXPECT_EQ(child->log.back(), "lost");
  });
}

// Before its pipes have begun.
struct Leaves final : NotingChild {
  using NotingChild::NotingChild;
  void connection_made(SubprocessTransport made) override {
    made.close();  // First: the log may have no memory.
    NotingChild::connection_made(std::move(made));
  }
};

FIBER_TEST(SubprocessTransportTest, CloseInsideConnectionMadeTellsOfEverythingElse) {
  with_loop([](EventLoop& loop) {
    const auto child =
        await(loop.subprocess_exec([&] { return std::make_shared<Leaves>(loop); }, Command("cat")))
            .second;
    await(child->lost);
    EXPECT_EQ(child->transport.get_returncode(), -SIGKILL);
    EXPECT_THAT(child->log, ::testing::UnorderedElementsAre("made", "pipe 0 lost", "pipe 1 lost",
                                                            "pipe 2 lost", "exited", "lost"));
    EXPECT_EQ(child->log.front(), "made");
    EXPECT_EQ(child->log.back(), "lost");
  });
}

// asyncio: claims_subprocesses::cancel_during_spawn_kills_the_child
// asyncio: test_subprocess.py::SubprocessMixin::test_cancel_make_subprocess_transport_exec
FIBER_TEST(SubprocessTransportTest, CancelDuringSpawnKillsTheChild) {
  WEFT_NOT_FAULT_SWEPT("it waits for a protocol that a fault may keep from being made");
  with_loop([](EventLoop& loop) {
    Child child;
    auto starting = loop.create_task(loop.subprocess_exec(
        [&] { return child = std::make_shared<NotingChild>(loop); }, Command("cat")));
    while (child == nullptr) fibers::checkpoint();
    starting.cancel();
    wait(starting);
    EXPECT_TRUE(starting.cancelled());
    EXPECT_FALSE(child->transport);
  });
  // The fixture finds a child that is left.
}

// asyncio: test_subprocess.py::SubprocessMixin::test_cancel_post_init
FIBER_TEST(SubprocessTransportTest, CancelAfterSpawnKillsTheChild) {
  WEFT_NOT_FAULT_SWEPT("it needs the protocol that a fault may keep from being made");
  with_loop([](EventLoop& loop) {
    struct Cancels : NotingChild {
      using NotingChild::NotingChild;
      void connection_made(SubprocessTransport made) override {
        NotingChild::connection_made(std::move(made));
        asked->cancel();
      }
      Task<void>* asked = nullptr;
    };
    Task<void> starting;
    std::shared_ptr<Cancels> child;
    starting = loop.create_task([&]() -> Coro<void> {
      co_await loop.subprocess_exec(
          [&] {
            child = std::make_shared<Cancels>(loop);
            child->asked = &starting;
            return child;
          },
          Command("cat"));
    });
    wait(starting);
    EXPECT_TRUE(starting.cancelled());
    await(child->lost);
    EXPECT_EQ(child->transport.get_returncode(), -SIGKILL);
  });
}

// asyncio: claims_subprocesses::no_descriptor_is_inherited
FIBER_TEST(SubprocessTransportTest, InheritsNoDescriptor) {
  const Pipe open;
  ASSERT_EQ(::fcntl(open.reader(), F_SETFD, 0), 0);
  with_loop([](EventLoop& loop) {
    // The shell's own, and that of the listing.
    const Child child = start(loop, "for fd in /proc/$$/fd/*; do echo ${fd##*/}; done");
    child->transport.get_pipe_transport(0).close();
    await(child->lost);
    EXPECT_THAT(child->out, AnyOf("0\n1\n2\n", "0\n1\n2\n3\n", "0\n1\n10\n2\n"));
  });
}

// asyncio: test_base_events.py::BaseEventLoopTests::test_subprocess_exec_invalid_args
// trio-asyncio: test_aio_subprocess.py::test_subprocess_exec_invalid_args
// asyncio: test_base_events.py::BaseEventLoopTests::test_subprocess_shell_invalid_args
// trio-asyncio: test_aio_subprocess.py::test_subprocess_shell_invalid_args
FIBER_TEST(SubprocessTransportTest, RefusesWhatCannotBeACommand) {
  with_loop([](EventLoop& loop) {
    const auto factory = [&] { return std::make_shared<NotingChild>(loop); };
    EXPECT_THROW(static_cast<void>(loop.subprocess_exec(factory, std::vector<std::string>{})),
                 fibers::UsageError);
    EXPECT_THROW(static_cast<void>(loop.subprocess_exec(factory, Command(std::string("a\0b", 3)))),
                 fibers::UsageError);
    EXPECT_THROW(
        static_cast<void>(loop.subprocess_exec(factory, Command("true"), {.stdout = kStdout})),
        fibers::UsageError);
    EXPECT_THROW(start_program(loop, {"./no such program"}), std::system_error);
    EXPECT_THROW(start_program(loop, {"true"}, {.cwd = "/no such directory"}), std::system_error);
  });
}

FIBER_TEST(SubprocessTransportTest, OptionsReachTheChild) {
  with_loop([](EventLoop& loop) {
    const std::map<std::string, std::string> env{{"COLOUR", "blue"}};
    const Child child =
        start_program(loop, {"a name", "-c", "echo $0 $COLOUR $PWD; cat"},
                      {.stdin = kDevNull, .cwd = "/", .env = &env, .executable = "/bin/sh"});
    await(child->lost);
    EXPECT_EQ(child->out, "a name blue /\n");
  });
}

// A megabyte is more than the pipes and the marks of flow control hold.
FIBER_TEST(SubprocessTransportTest, AMegabyteThereAndBack) {
  with_loop([](EventLoop& loop) {
    const Child child = start_program(loop, {"cat"});
    std::string data(1 << 20, 'x');
    for (std::size_t i = 0; i < data.size(); i += 61) data[i] = static_cast<char>('a' + i % 26);
    Transport stdin = child->transport.get_pipe_transport(0);
    stdin.write(data);
    stdin.write_eof();
    await(child->lost);
    EXPECT_EQ(child->out, data);
  });
}

FIBER_TEST(SubprocessTransportTest, TheLoopsCloseKillsWhatRuns) {
  int pid = -1;
  with_loop([&](EventLoop& loop) {
    const Child child = start_program(loop, {"cat"});
    pid = child->transport.get_pid();
    loop.stop();
    loop.wait_stopped();
    loop.close();
    EXPECT_TRUE(child->transport.is_closing());
    EXPECT_THROW(child->transport.kill(), ProcessLookupError);
    EXPECT_THAT(child->log, ElementsAre("made"));
  });
  // The fixture finds it if it is left.
  EXPECT_GT(pid, 0);
}

// The protocol's errors are nobody's.
FIBER_TEST(SubprocessTransportTest, ErrorsOfTheProtocolAreReported) {
  with_loop([](EventLoop& loop) {
    struct Throws : NotingChild {
      using NotingChild::NotingChild;
      void process_exited() override {
        NotingChild::process_exited();
        throw std::runtime_error("exited");
      }
    };
    std::vector<std::string> reports;
    loop.set_exception_handler([&](EventLoop&, const ExceptionContext& context) {
      reports.push_back(context.message);
      EXPECT_NE(context.transport, nullptr);
      EXPECT_NE(context.protocol, nullptr);
    });
    const auto child =
        await(loop.subprocess_exec([&] { return std::make_shared<Throws>(loop); }, Command("true"),
                                   {.stdin = kInherit, .stdout = kInherit, .stderr = kInherit}))
            .second;
    await(child->lost);
    EXPECT_THAT(reports, ElementsAre("protocol.process_exited() failed"));
  });
}

FIBER_TEST(SubprocessTransportTest, ACoroutineReadsAsItsOriginal) {
  with_loop([](EventLoop& loop) {
    const std::string out = await(loop.create_task([&]() -> Coro<std::string> {
      auto [transport, protocol] = co_await loop.subprocess_exec(
          [&] { return std::make_shared<NotingChild>(loop); }, {"sh", "-c", "echo $0 here", "name"},
          {.stdin = kDevNull, .stderr = kInherit});
      co_await protocol->lost;
      EXPECT_EQ(transport.get_returncode(), 0);
      co_return protocol->out;
    }));
    EXPECT_EQ(out, "name here\n");
  });
}

}  // namespace
}  // namespace weft::loop
