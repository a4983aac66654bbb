// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Descriptors given to children: for them they block.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "weft/fibers/errors.h"
#include "weft/fibers/fd_stream.h"
#include "weft/fibers/process.h"
#include "weft/fibers/run.h"
#include "weft/fibers/run_process.h"

namespace weft::fibers {
namespace {

std::string read_all(FdStream& stream) {
  std::string all;
  for (std::string data; !(data = stream.receive_some()).empty();) all += data;
  return all;
}

// Joins the commands by pipes, and returns what the last one writes.
std::string run_pipeline(const std::vector<std::vector<std::string>>& commands) {
  std::vector<std::unique_ptr<Process>> processes;
  std::optional<FdStream> before;
  for (const auto& command : commands) {
    auto [send, receive] = open_pipe();
    processes.push_back(
        open_process(command, {.stdin = before ? Stdio::fd(before->fileno()) : kDevNull,
                               .stdout = Stdio::fd(send.fileno())}));
    before.emplace(std::move(receive));
  }
  std::string out = read_all(*before);
  for (const auto& process : processes) EXPECT_EQ(process->wait(), 0) << process->to_string();
  return out;
}

TEST(ProcessPipesTest, TenToolsJoinedByPipesPassAMegabyteOn) {
  run([] {
    EXPECT_EQ(run_pipeline({{"head", "-c", "1000000", "/dev/zero"},
                            {"tr", "\\000", "a"},
                            {"fold", "-w", "99"},
                            {"cat"},
                            {"sed", "s/a/b/"},
                            {"grep", "b"},
                            {"cut", "-c", "1-100"},
                            {"sort"},
                            {"tr", "-d", "\\n"},
                            {"wc", "-c"}}),
              "1000000\n");
  });
}

TEST(ProcessPipesTest, AChildMayReadWhatAnotherWritesWhileTheStreamIsOpen) {
  run([] {
    const auto writer = open_process({"head", "-c", "1000000", "/dev/zero"}, {.stdout = kPipe});
    const auto reader =
        open_process({"wc", "-c"}, {.stdin = Stdio::fd(writer->stdout->fileno()), .stdout = kPipe});
    EXPECT_EQ(read_all(*reader->stdout), "1000000\n");
    EXPECT_EQ(writer->wait(), 0);
    EXPECT_EQ(reader->wait(), 0);
  });
}

// The stream here goes on not blocking.
TEST(ProcessPipesTest, TheStreamOnThisSideIsNotChanged) {
  run([] {
    auto [send, receive] = open_pipe();
    run_process({"true"},
                {.stdin = Stdio::fd(receive.fileno()), .stdout = Stdio::fd(send.fileno())});
    EXPECT_NE(::fcntl(receive.fileno(), F_GETFL) & O_NONBLOCK, 0);
    EXPECT_NE(::fcntl(send.fileno(), F_GETFL) & O_NONBLOCK, 0);
  });
}

TEST(ProcessPipesTest, APassedDescriptorBlocksToo) {
  run([] {
    auto [send, receive] = open_pipe();
    const std::string number = std::to_string(send.fileno());
    const auto writer = open_process({"bash", "-c", "head -c 1000000 /dev/zero >&" + number},
                                     {.pass_fds = {send.fileno()}});
    send.close();
    EXPECT_EQ(read_all(receive).size(), 1'000'000U);
    EXPECT_EQ(writer->wait(), 0);
  });
}

TEST(ProcessPipesTest, ASocketThatDoesNotBlockIsRefused) {
  run([] {
    std::array<int, 2> ends{};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()), 0);
    EXPECT_THROW(open_process({"cat"}, {.stdin = Stdio::fd(ends[0])}), UsageError);
    ASSERT_EQ(::fcntl(ends[0], F_SETFL, 0), 0);
    ::close(ends[1]);
    EXPECT_EQ(run_process({"cat"}, {.stdin = Stdio::fd(ends[0])}).returncode, 0);
    ::close(ends[0]);
  });
}

}  // namespace
}  // namespace weft::fibers
