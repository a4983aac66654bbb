// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Process::communicate().

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <string>
#include <utility>

#include "tests/loop/subprocess_testing.h"
#include "tests/loop/sync_testing.h"
#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/errors.h"
#include "weft/loop/detail/stream_access.h"
#include "weft/loop/subprocess.h"

namespace weft::loop {
namespace {

using ::testing::HasSubstr;
using namespace testing;  // NOLINT: the helpers of the folder.
using Output = std::pair<std::string, std::string>;

// More than the pipes, the readers' limit and the marks of flow control hold.
constexpr std::size_t kMuch = 1 << 20;

constexpr SubprocessOptions kInAndOut{.stdin = kPipe, .stdout = kPipe};

Process shell(EventLoop& loop, std::string_view script, const SubprocessOptions& options = {}) {
  return await(create_subprocess_shell(loop, script, options));
}

// asyncio: test_subprocess.py::SubprocessMixin::test_communicate
// asyncio: test_subprocess.py::SubprocessMixin::test_subprocess_communicate_stdout
FIBER_TEST(CommunicateTest, FeedsTheChildAndGivesItsOutput) {
  with_loop([](EventLoop& loop) {
    const SubprocessOptions all{.stdin = kPipe, .stdout = kPipe, .stderr = kPipe};
    const Process here = shell(loop, "cat; echo oops >&2; exit 2", all);
    EXPECT_EQ(await(here.communicate("some data")), Output("some data", "oops\n"));
    EXPECT_EQ(here.returncode(), 2);
    for (const Form form : kForms) {
      const Process process = shell(loop, "cat; echo oops >&2", all);
      EXPECT_EQ(await(start(loop, form, [&] { return process.communicate("some data"); })),
                Output("some data", "oops\n"));
    }
  });
}

FIBER_TEST(CommunicateTest, WritesAndReadsBothAtOnce) {
  with_loop([](EventLoop& loop) {
    const Process process =
        shell(loop, "head -c 1048576 /dev/zero >&2; tee /dev/stderr; head -c 1048576 /dev/zero >&2",
              {.stdin = kPipe, .stdout = kPipe, .stderr = kPipe});
    const std::string input(kMuch, 'x');
    const Output got = await(process.communicate(input));
    EXPECT_EQ(got.first, input);
    EXPECT_EQ(got.second, std::string(kMuch, '\0') + input + std::string(kMuch, '\0'));
  });
}

// asyncio: test_subprocess.py::SubprocessMixin::test_communicate_ignore_broken_pipe
// asyncio: claims_subprocesses::a_broken_stdin_is_ignored
FIBER_TEST(CommunicateTest, AChildThatDoesNotReadItsInputIsNoError) {
  with_loop([](EventLoop& loop) {
    const Process process = shell(loop, "exec <&-; echo done; exit 4", kInAndOut);
    EXPECT_EQ(await(process.communicate(std::string(kMuch, 'x'))), Output("done\n", ""));
    EXPECT_EQ(process.returncode(), 4);
  });
}

// asyncio: test_subprocess.py::SubprocessMixin::test_empty_input
// asyncio: test_subprocess.py::SubprocessMixin::test_communicate_none_input
FIBER_TEST(CommunicateTest, ClosesStdinAlsoWithoutInput) {
  with_loop([](EventLoop& loop) {
    const Process empty = await(create_subprocess_exec(loop, {"cat"}, kInAndOut));
    EXPECT_EQ(await(empty.communicate("")), Output());
    EXPECT_EQ(empty.returncode(), 0);
    const Process none = await(create_subprocess_exec(loop, {"cat"}, kInAndOut));
    EXPECT_EQ(await(none.communicate()), Output());
    EXPECT_EQ(none.returncode(), 0);
  });
}

// asyncio: test_subprocess.py::SubprocessMixin::test_devnull_input
// asyncio: test_subprocess.py::SubprocessMixin::test_devnull_output
// asyncio: test_subprocess.py::SubprocessMixin::test_devnull_error
// asyncio: test_subprocess.py::SubprocessMixin::test_devstdin_input
FIBER_TEST(CommunicateTest, StreamsThatAreNoPipes) {
  with_loop([](EventLoop& loop) {
    const Process no_input = shell(loop, "cat; echo end", {.stdin = kDevNull, .stdout = kPipe});
    EXPECT_FALSE(no_input.stdin);
    EXPECT_EQ(await(no_input.communicate()), Output("end\n", ""));
    const Process no_output = shell(loop, "cat", {.stdin = kPipe, .stdout = kDevNull});
    EXPECT_FALSE(no_output.stdout);
    EXPECT_EQ(await(no_output.communicate("abc")), Output());
    const Process no_error =
        shell(loop, "echo oops >&2; cat", {.stdin = kPipe, .stdout = kPipe, .stderr = kDevNull});
    EXPECT_FALSE(no_error.stderr);
    EXPECT_EQ(await(no_error.communicate("abc")), Output("abc", ""));
    const Process joined =
        shell(loop, "echo oops >&2; cat", {.stdin = kPipe, .stdout = kPipe, .stderr = kStdout});
    EXPECT_EQ(await(joined.communicate("abc")), Output("oops\nabc", ""));
    Pipe given;
    const Process descriptor =
        shell(loop, "cat", {.stdin = Stdio::fd(given.reader()), .stdout = kPipe});
    given.put('!');
    given.close_writer();
    EXPECT_EQ(await(descriptor.communicate()), Output("!", ""));
  });
}

FIBER_TEST(CommunicateTest, GivesWhatNobodyHasReadBefore) {
  with_loop([](EventLoop& loop) {
    const Process process = shell(loop, "echo first; cat", kInAndOut);
    StreamReader out = *process.stdout;
    EXPECT_EQ(await(out.readline()), "first\n");
    StreamWriter(*process.stdin).write("second\n");
    EXPECT_EQ(await(process.communicate("third\n")), Output("second\nthird\n", ""));
  });
}

FIBER_TEST(CommunicateTest, CancelledItLosesNoInputAndNoOutput) {
  with_loop([](EventLoop& loop) {
    const std::string input(kMuch, 'x');
    for (const Form form : kForms) {
      Pipe gate;
      const std::array<int, 1> passed{gate.reader()};
      const std::string script =
          "cat; head -c 1 </proc/self/fd/" + std::to_string(gate.reader()) + "; echo end";
      const Process process =
          shell(loop, script, {.stdin = kPipe, .stdout = kPipe, .pass_fds = passed});
      auto first = start(loop, form, [&] { return process.communicate(input); });
      for (int i = 0; i < 3; ++i) loop.synchronize();
      first.cancel();
      wait(first);
      ASSERT_TRUE(first.cancelled());
      const detail::StreamReaderCore& reader = *StreamAccess::core(*process.stdout);
      // Without its input (a write has failed, say) the child has nothing to tell yet.
      while (reader.data().empty() && reader.exception() == nullptr &&
             !StreamWriter(*process.stdin).is_closing()) {
        fibers::checkpoint();
      }
      auto second = start(loop, form, [&] { return process.communicate(input); });
      for (int i = 0; i < 3; ++i) loop.synchronize();
      second.cancel();
      wait(second);
      ASSERT_TRUE(second.cancelled());
      fibers::CancelScope leaves;
      leaves.cancel();
      leaves.run([&] { await(process.communicate(input)); });
      EXPECT_TRUE(leaves.cancelled_caught());
      gate.put('!');
      EXPECT_EQ(await(process.communicate(input)), Output(input + "!end\n", ""));
    }
  });
}

FIBER_TEST(CommunicateTest, AfterACancelledOneTheReaderHoldsTheChildUpAgain) {
  with_loop([](EventLoop& loop) {
    const Process process = await(create_subprocess_shell(
        loop, "head -c 1048576 /dev/zero; read line", kInAndOut, /*limit=*/1000));
    fibers::CancelScope leaves;
    leaves.cancel();
    leaves.run([&] { await(process.communicate()); });
    const detail::StreamReaderCore& reader = *StreamAccess::core(*process.stdout);
    while (!reader.paused() && reader.exception() == nullptr) fibers::checkpoint();
    EXPECT_EQ(await(process.communicate()).first.size(), kMuch);
  });
}

FIBER_TEST(CommunicateTest, RefusesInputWithoutAPipeAndASecondReader) {
  with_loop([](EventLoop& loop) {
    const Process process = await(
        create_subprocess_exec(loop, {"cat"}, {.stdin = kPipe, .stdout = kPipe, .stderr = kPipe}));
    StreamReader err = *process.stderr;
    auto reads = loop.create_task([&] { return err.readline(); });
    loop.synchronize();
    EXPECT_THAT(thrown<fibers::UsageError>([&] { await(process.communicate("lost?")); }),
                HasSubstr("communicate() called while another coroutine is already waiting"));
    reads.cancel();
    wait(reads);
    // The call that was refused has not touched the child.
    EXPECT_EQ(await(process.communicate("data")), Output("data", ""));
    const Process deaf = await(create_subprocess_exec(loop, {"true"}));
    EXPECT_THAT(thrown<fibers::UsageError>([&] { static_cast<void>(deaf.communicate("x")); }),
                HasSubstr("start it with .stdin = kPipe"));
    await(deaf.wait());
  });
}

}  // namespace
}  // namespace weft::loop
