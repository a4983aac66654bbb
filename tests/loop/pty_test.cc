// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Pseudo-terminals as pipes: one side is a program's, the other the test's.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <stdlib.h>  // NOLINT(modernize-deprecated-headers): posix_openpt.
#include <termios.h>
#include <unistd.h>

#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "tests/loop/pipe_testing.h"
#include "weft/fibers/nursery.h"

namespace weft::loop {
namespace {

using ::testing::ElementsAre;
using namespace testing;  // NOLINT: the helpers of the folder.

// A terminal whose bytes go through as they are. What is not given away is closed at the end.
class Terminal {
 public:
  Terminal() : master_(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK)) {
    EXPECT_EQ(::grantpt(master_), 0);
    EXPECT_EQ(::unlockpt(master_), 0);
    slave_ = ::open(::ptsname(master_), O_RDWR | O_NOCTTY | O_CLOEXEC);
    EXPECT_GE(slave_, 0);
    termios settings{};
    EXPECT_EQ(::tcgetattr(slave_, &settings), 0);
    ::cfmakeraw(&settings);
    EXPECT_EQ(::tcsetattr(slave_, TCSANOW, &settings), 0);
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;
  ~Terminal() {
    close_master();
    if (slave_ >= 0) ::close(slave_);
  }
  int slave() const { return slave_; }
  int give_slave() { return std::exchange(slave_, -1); }
  void close_master() {
    if (master_ >= 0) ::close(std::exchange(master_, -1));
  }
  void put(std::string_view data) const {
    EXPECT_EQ(::write(master_, data.data(), data.size()), static_cast<ssize_t>(data.size()));
  }
  // Until there is as much.
  std::string take(std::size_t size) const {
    std::string got;
    std::array<char, 1024> part{};
    while (got.size() < size) {
      const ssize_t n = ::read(master_, part.data(), part.size());
      if (n > 0) got.append(part.data(), static_cast<std::size_t>(n));
      fibers::checkpoint();
    }
    return got;
  }

 private:
  int master_;
  int slave_ = -1;
};

// asyncio: test_events.py::EventLoopTestsMixin::test_write_pty
FIBER_TEST(PtyTest, WritesToOne) {
  WEFT_NOT_FAULT_SWEPT(kWaitsForData);
  with_loop([](EventLoop& loop) {
    Terminal terminal;
    const int fd = terminal.slave();
    const PipeStream stream = write_to(loop, terminal.give_slave());
    EXPECT_EQ(stream->transport.get_extra_info(extra_info::pipe), fd);
    stream->transport.write("1");
    EXPECT_EQ(terminal.take(1), "1");
    stream->transport.write("2345");
    EXPECT_EQ(terminal.take(4), "2345");
    EXPECT_THAT(stream->log, ElementsAre("made"));
    terminal.close_master();
    stream->transport.close();
    await(stream->lost);
    EXPECT_TRUE(stream->log.back().starts_with("lost"));
    EXPECT_EQ(::fcntl(fd, F_GETFD), -1);
  });
}

// asyncio: test_events.py::EventLoopTestsMixin::test_bidirectional_pty
FIBER_TEST(PtyTest, ReadsAndWritesOneByTwoDescriptors) {
  WEFT_NOT_FAULT_SWEPT(kWaitsForData);
  with_loop([](EventLoop& loop) {
    Terminal terminal;
    const int second = ::fcntl(terminal.slave(), F_DUPFD_CLOEXEC, 0);
    const PipeStream writing = write_to(loop, second);
    const PipeStream reading = read_from(loop, terminal.give_slave());
    std::string sent;
    std::string came;
    for (const std::string part : {"1", "2345"}) {
      writing->transport.write(part);
      EXPECT_EQ(terminal.take(part.size()), part);
      terminal.put("<" + part + ">");
      came += "<" + part + ">";
      while (reading->received.size() < came.size()) fibers::checkpoint();
      EXPECT_EQ(reading->received, came);
    }
    EXPECT_THAT(writing->log, ElementsAre("made"));
    terminal.close_master();
    reading->transport.close();
    await(reading->lost);
    writing->transport.close();
    await(writing->lost);
    EXPECT_EQ(reading->log.back().substr(0, 4), "lost");
    EXPECT_EQ(writing->log.back().substr(0, 4), "lost");
  });
}

}  // namespace
}  // namespace weft::loop
