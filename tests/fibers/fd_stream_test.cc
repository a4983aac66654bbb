// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/fd_stream.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <optional>
#include <string>
#include <system_error>

#include "tests/support/pipe.h"
#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/stapled_stream.h"
#include "weft/fibers/testing/check_streams.h"
#include "weft/fibers/testing/checkpoints.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

using std::chrono::seconds;
using testing::assert_checkpoints;
using testing::wait_all_tasks_blocked;

// A pipe whose ends block, as a shell would make it.
class BlockingPipe : public test::FdPair {
 public:
  BlockingPipe() {
    if (::pipe2(fds_.data(), O_CLOEXEC) != 0) {
      throw std::system_error(errno, std::generic_category(), "pipe2");
    }
  }
};

bool blocks(int fd) {
  return (::fcntl(fd, F_GETFL) & O_NONBLOCK) == 0;
}

// Fills the pipe behind `stream`.
void clog(FdStream& stream) {
  const std::string block(4096, 'x');
  while (::write(stream.fileno(), block.data(), block.size()) > 0) {
  }
}

auto clogged_pipe() {
  auto ends = open_pipe();
  clog(ends.first);
  return ends;
}

// trio: test_unix_pipes.py::test_send_pipe
FIBER_TEST(FdStreamTest, SendsByAPipe) {
  BlockingPipe pipe;
  FdStream stream(pipe.take(1));
  EXPECT_FALSE(blocks(stream.fileno()));
  assert_checkpoints([&] { stream.send_all("123"); });
  assert_checkpoints([&] { stream.send_all(""); });
  std::array<char, 8> data{};
  EXPECT_EQ(::read(pipe[0], data.data(), data.size()), 3);
  EXPECT_STREQ(data.data(), "123");
  EXPECT_THROW(stream.receive_some(), UsageError);
}

// trio: test_unix_pipes.py::test_receive_pipe
FIBER_TEST(FdStreamTest, ReceivesByAPipe) {
  BlockingPipe pipe;
  FdStream stream(pipe.take(0));
  EXPECT_EQ(::write(pipe[1], "123", 3), 3);
  assert_checkpoints([&] { EXPECT_EQ(stream.receive_some(4), "123"); });
  EXPECT_THROW(stream.send_all("x"), UsageError);
  pipe.close(1);
  EXPECT_EQ(stream.receive_some(4), "");
}

// trio: test_unix_pipes.py::test_pipes_combined
FIBER_TEST(FdStreamTest, PipeCarriesMoreThanItHolds) {
  auto [send, receive] = open_pipe();
  const std::string much(1 << 18, 'y');
  std::string got;
  open_nursery([&, &send = send, &receive = receive](Nursery& nursery) {
    nursery.start_soon([&] {
      send.send_all(much);
      send.close();
    });
    for (std::string data = receive.receive_some(4096); !data.empty();
         data = receive.receive_some(4096)) {
      got += data;
    }
  });
  EXPECT_EQ(got, much);
}

// trio: test_unix_pipes.py::test_pipe_errors
FIBER_TEST(FdStreamTest, SaysWhatIsWrong) {
  EXPECT_THROW(FdStream(-1), std::system_error);
  EXPECT_THROW(FdStream(::open("/dev/null", O_RDONLY | O_CLOEXEC)), std::system_error);
  auto [send, receive] = open_pipe();
  EXPECT_THROW(receive.receive_some(0), UsageError);
  receive.close();
  EXPECT_THROW(receive.receive_some(), ClosedResourceError);
  send.close();
  EXPECT_THROW(send.send_all("x"), ClosedResourceError);
  EXPECT_THROW(send.wait_send_all_might_not_block(), ClosedResourceError);
}

// trio: test_unix_pipes.py::test_del
// trio: test_unix_pipes.py::test_async_with
FIBER_TEST(FdStreamTest, DestructorCloses) {
  std::array<int, 2> numbers{};
  {
    const auto ends = open_pipe();
    numbers = {ends.first.fileno(), ends.second.fileno()};
  }
  for (const int fd : numbers) {
    EXPECT_EQ(::fcntl(fd, F_GETFD), -1);
    EXPECT_EQ(errno, EBADF);
  }
}

FIBER_TEST(FdStreamTest, ClosingRestoresTheMode) {
  WEFT_NOT_FAULT_SWEPT("it plays with a number that nobody owns");
  BlockingPipe pipe;
  const int shared = ::dup(pipe[0]);
  {
    FdStream stream(pipe.take(0));
    EXPECT_FALSE(blocks(shared));
    FdStream moved(std::move(stream));
    EXPECT_FALSE(blocks(shared));
  }
  EXPECT_TRUE(blocks(shared));
  // One that did not block before does not afterwards.
  ::fcntl(shared, F_SETFL, O_NONBLOCK);
  { const FdStream stream(::dup(shared)); }
  EXPECT_FALSE(blocks(shared));
  ::close(shared);
}

// A number that is somebody else's by now is left alone.
//
// trio: test_unix_pipes.py::test_misdirected_aclose_regression
FIBER_TEST(FdStreamTest, ClosingTwiceClosesNobodyElse) {
  auto [send, receive] = open_pipe();
  const int number = receive.fileno();
  receive.close();
  test::Pipe other;
  const int stolen = ::dup2(other[0], number);
  ASSERT_EQ(stolen, number);
  receive.close();
  receive.aclose();
  EXPECT_GE(::fcntl(number, F_GETFD), 0);
  ::close(number);
}

// trio: test_unix_pipes.py::test_close_at_bad_time_for_receive_some
FIBER_TEST(FdStreamTest, ClosingWakesWhoReceives) {
  auto [send, receive] = open_pipe();
  open_nursery([&, &send = send, &receive = receive](Nursery& nursery) {
    nursery.start_soon([&] { EXPECT_THROW(receive.receive_some(), ClosedResourceError); });
    wait_all_tasks_blocked();
    // Both at once: readable, and closed before the task runs.
    EXPECT_EQ(::write(send.fileno(), "x", 1), 1);
    receive.close();
  });
}

// trio: test_unix_pipes.py::test_close_at_bad_time_for_send_all
FIBER_TEST(FdStreamTest, ClosingWakesWhoSends) {
  auto [send, receive] = open_pipe();
  open_nursery([&, &send = send](Nursery& nursery) {
    nursery.start_soon(
        [&] { EXPECT_THROW(send.send_all(std::string(1 << 20, 'x')), ClosedResourceError); });
    wait_all_tasks_blocked();
    send.close();
  });
}

// The descriptor turns into a directory: read() fails as it never should.
//
// trio: test_unix_pipes.py::test_bizarro_OSError_from_receive
FIBER_TEST(FdStreamTest, UnheardOfErrorsAreBroken) {
  auto [send, receive] = open_pipe();
  const int directory = ::open("/", O_DIRECTORY | O_CLOEXEC);
  ASSERT_EQ(::dup2(directory, receive.fileno()), receive.fileno());
  ::close(directory);
  try {
    receive.receive_some();
    FAIL() << "read a directory";
  } catch (const BrokenResourceError& error) {
    try {
      std::rethrow_if_nested(error);
      FAIL() << "no cause given";
    } catch (const std::system_error& cause) {
      EXPECT_EQ(cause.code(), std::errc::is_a_directory);
    }
  }
  // Closed behind the stream's back.
  const int fd = send.fileno();
  ::close(fd);
  EXPECT_THROW(send.send_all("x"), ClosedResourceError);
  ASSERT_EQ(::dup2(receive.fileno(), fd), fd);  // For the stream to close.
}

bool got_sigpipe = false;

FIBER_TEST(FdStreamTest, GoneReaderIsAnErrorAndNoSignal) {
  // The default, under which SIGPIPE would end this program.
  const auto before = std::signal(SIGPIPE, SIG_DFL);
  {
    auto [send, receive] = open_pipe();
    receive.close();
    EXPECT_THROW(send.send_all("x"), BrokenResourceError);
    assert_checkpoints([&send = send] { send.wait_send_all_might_not_block(); });
  }
  // Nor is one left over for later.
  std::signal(SIGPIPE, [](int) { got_sigpipe = true; });
  sigset_t none;
  ::sigemptyset(&none);
  sigset_t mask;
  ::pthread_sigmask(SIG_BLOCK, &none, &mask);
  EXPECT_EQ(::sigismember(&mask, SIGPIPE), 0);
  EXPECT_FALSE(got_sigpipe);
  std::signal(SIGPIPE, before);
}

// trio: test_unix_pipes.py::test_pipe_fully
FIBER_TEST(FdStreamTest, KeepsAllPromisesOfAStream) {
  testing::check_one_way_stream(open_pipe, clogged_pipe);
}

FIBER_TEST(FdStreamTest, TwoPipesAreAStreamOfBothDirections) {
  const auto stapled = [](auto make) {
    return [make] {
      auto [there, end_there] = make();
      auto [back, end_back] = make();
      return std::pair(StapledStream<FdStream, FdStream>(std::move(there), std::move(end_back)),
                       StapledStream<FdStream, FdStream>(std::move(back), std::move(end_there)));
    };
  };
  testing::check_half_closeable_stream(stapled(&open_pipe), stapled(&clogged_pipe));
}

FIBER_TEST(FdStreamTest, SocketsAreStreamsOfBothDirections) {
  testing::check_two_way_stream([] {
    test::SocketPair pair;
    FdStream first(pair.take(0));
    return std::pair(std::move(first), FdStream(pair.take(1)));
  });
}

FIBER_TEST(FdStreamTest, TerminalThatHungUpIsAtItsEnd) {
  WEFT_NOT_SWEPT("its other end is a number that nobody owns");
  WEFT_NOT_FAULT_SWEPT("its other end is a number that nobody owns");
  const int controller = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  ASSERT_GE(controller, 0);
  ASSERT_EQ(::grantpt(controller), 0);
  ASSERT_EQ(::unlockpt(controller), 0);
  std::array<char, 128> name{};
  ASSERT_EQ(::ptsname_r(controller, name.data(), name.size()), 0);
  const int terminal = ::open(name.data(), O_RDWR | O_NOCTTY | O_CLOEXEC);
  FdStream stream(controller);
  EXPECT_EQ(::write(terminal, "hello", 5), 5);
  EXPECT_EQ(stream.receive_some(), "hello");
  ::close(terminal);
  EXPECT_EQ(stream.receive_some(), "");
}

}  // namespace
}  // namespace weft::fibers
