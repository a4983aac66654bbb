// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Transports of pipes.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "fibers/sys/sys.h"
#include "tests/loop/subprocess_testing.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/fd_stream.h"
#include "weft/loop/coro.h"
#include "weft/loop/transport.h"

namespace weft::loop {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using namespace testing;  // NOLINT: the helpers of the folder.

using Stream = std::shared_ptr<NotingStream>;

[[maybe_unused]] constexpr const char* kWaitsForData =
    "it waits for data that a fault may have cut off";

// Two ends, of which the test keeps one and gives the other away.
class Ends {
 public:
  Ends() { EXPECT_EQ(::pipe2(ends_.data(), O_CLOEXEC), 0); }
  explicit Ends(int type) {
    EXPECT_EQ(::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends_.data()), 0);
  }
  Ends(const Ends&) = delete;
  Ends& operator=(const Ends&) = delete;
  ~Ends() {
    close(0);
    close(1);
  }
  int operator[](std::size_t end) const { return ends_[end]; }
  int give(std::size_t end) { return std::exchange(ends_[end], -1); }
  void close(std::size_t end) {
    if (ends_[end] >= 0) ::close(give(end));
  }
  void put(std::string_view data) const {
    EXPECT_EQ(::write(ends_[1], data.data(), data.size()), static_cast<ssize_t>(data.size()));
  }
  std::string take(std::size_t most = 1 << 20) const {
    std::string data(most, '\0');
    const ssize_t got = ::read(ends_[0], data.data(), most);
    data.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
    return data;
  }

 private:
  std::array<int, 2> ends_{-1, -1};
};

Stream read_from(EventLoop& loop, int fd) {
  return await(loop.connect_read_pipe([&] { return std::make_shared<NotingStream>(loop); }, fd))
      .second;
}
Stream write_to(EventLoop& loop, int fd) {
  return await(loop.connect_write_pipe([&] { return std::make_shared<NotingStream>(loop); }, fd))
      .second;
}

std::error_code code_of(const std::exception_ptr& error) {
  try {
    if (error != nullptr) std::rethrow_exception(error);
  } catch (const std::system_error& system) {
    return system.code();
  } catch (...) {
    ADD_FAILURE() << "it is no error of the system";
  }
  return {};
}

// asyncio: test_events.py::EventLoopTestsMixin::test_read_pipe
FIBER_TEST(ReadPipeTest, HearsOfDataThenOfTheEnd) {
  WEFT_NOT_FAULT_SWEPT(kWaitsForData);
  Ends pipe;
  with_loop([&](EventLoop& loop) {
    const int fd = pipe[0];
    const Stream stream = read_from(loop, pipe.give(0));
    EXPECT_THAT(stream->log, ElementsAre("made"));
    EXPECT_EQ(stream->transport.get_extra_info(extra_info::pipe), fd);
    pipe.put("1");
    while (stream->received != "1") fibers::checkpoint();
    pipe.put("2345");
    while (stream->received != "12345") fibers::checkpoint();
    pipe.close(1);
    await(stream->lost);
    EXPECT_EQ(stream->why, nullptr);
    EXPECT_THAT(stream->log, ElementsAre("made", "data", "data", "eof", "lost"));
    EXPECT_TRUE(stream->transport.is_closing());
    EXPECT_EQ(::fcntl(fd, F_GETFD), -1);
    EXPECT_EQ(stream->transport.get_extra_info(extra_info::pipe), std::nullopt);
  });
}

FIBER_TEST(ReadPipeTest, WhatWasThereBeforeIsReadAndTheEndToo) {
  WEFT_NOT_FAULT_SWEPT(kWaitsForData);
  Ends pipe;
  pipe.put("before");
  pipe.close(1);
  with_loop([&](EventLoop& loop) {
    const Stream stream = read_from(loop, pipe.give(0));
    await(stream->lost);
    EXPECT_EQ(stream->received, "before");
    EXPECT_THAT(stream->log, ElementsAre("made", "data", "eof", "lost"));
  });
}

// asyncio: claims_transports::pause_reading_in_data_received
FIBER_TEST(ReadPipeTest, PausedItReadsNothingAndResumedEverything) {
  WEFT_NOT_FAULT_SWEPT(kWaitsForData);
  struct Pauses : NotingStream {
    using NotingStream::NotingStream;
    void data_received(std::string_view data) override {
      NotingStream::data_received(data);
      transport.pause_reading();
    }
  };
  Ends pipe;
  with_loop([&](EventLoop& loop) {
    const auto stream =
        await(loop.connect_read_pipe([&] { return std::make_shared<Pauses>(loop); }, pipe.give(0)))
            .second;
    pipe.put("one");
    while (stream->received.empty()) fibers::checkpoint();
    EXPECT_FALSE(stream->transport.is_reading());
    pipe.put("two");
    pipe.close(1);
    for (int i = 0; i < 10; ++i) loop.synchronize();
    EXPECT_EQ(stream->received, "one");
    stream->transport.resume_reading();
    EXPECT_TRUE(stream->transport.is_reading());
    while (stream->received == "one") fibers::checkpoint();
    EXPECT_EQ(stream->received, "onetwo");
    stream->transport.resume_reading();
    await(stream->lost);
    stream->transport.pause_reading();
    stream->transport.resume_reading();
    EXPECT_FALSE(stream->transport.is_reading());
  });
}

FIBER_TEST(ReadPipeTest, CloseReadsNoMoreAndTellsOnce) {
  Ends pipe;
  with_loop([&](EventLoop& loop) {
    const Stream stream = read_from(loop, pipe.give(0));
    pipe.put("data");
    stream->transport.close();
    EXPECT_TRUE(stream->transport.is_closing());
    EXPECT_THAT(stream->log, ElementsAre("made"));
    stream->transport.close();
    stream->transport.abort();
    await(stream->lost);
    loop.synchronize();
    EXPECT_THAT(stream->log, ElementsAre("made", "lost"));
    EXPECT_THROW(stream->transport.write("x"), fibers::UsageError);
  });
}

FIBER_TEST(ReadPipeTest, ReadsIntoTheProtocolsMemory) {
  WEFT_NOT_FAULT_SWEPT(kWaitsForData);
  struct Buffered : BufferedProtocol {
    explicit Buffered(EventLoop& loop) : lost(loop.create_future<void>()) {}
    std::span<std::byte> get_buffer(std::size_t) override {
      return std::as_writable_bytes(std::span(room));
    }
    void buffer_updated(std::size_t count) override { received.append(room.data(), count); }
    void connection_lost(std::exception_ptr) override { lost.set_result(); }
    std::array<char, 4> room{};
    std::string received;
    Future<void> lost;
  };
  Ends pipe;
  pipe.put("more than four");
  pipe.close(1);
  with_loop([&](EventLoop& loop) {
    const auto stream = await(loop.connect_read_pipe(
                                  [&] { return std::make_shared<Buffered>(loop); }, pipe.give(0)))
                            .second;
    await(stream->lost);
    EXPECT_EQ(stream->received, "more than four");
  });
}

FIBER_TEST(ReadPipeTest, WhatDataReceivedThrowsIsReportedAndClosesIt) {
  WEFT_NOT_FAULT_SWEPT(kWaitsForData);
  struct Throws : NotingStream {
    using NotingStream::NotingStream;
    void data_received(std::string_view) override { throw std::runtime_error("no"); }
  };
  Ends pipe;
  with_loop([&](EventLoop& loop) {
    std::vector<std::string> reports;
    loop.set_exception_handler(
        [&](EventLoop&, const ExceptionContext& context) { reports.push_back(context.message); });
    const auto stream =
        await(loop.connect_read_pipe([&] { return std::make_shared<Throws>(loop); }, pipe.give(0)))
            .second;
    pipe.put("data");
    await(stream->lost);
    EXPECT_THAT(reports, ElementsAre("Fatal error: protocol.data_received() call failed."));
    EXPECT_NE(stream->why, nullptr);
  });
}

FIBER_TEST(ReadPipeTest, OnlyPipesSocketsAndDevices) {
  with_loop([](EventLoop& loop) {
    const int file = ::open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    EXPECT_THAT(thrown<fibers::UsageError>([&] { read_from(loop, file); }),
                HasSubstr("Pipe transport is only for pipes, sockets and character devices"));
    EXPECT_EQ(::fcntl(file, F_GETFD), -1);
    EXPECT_THROW(read_from(loop, -1), std::system_error);
    struct Neither : BaseProtocol {};
    Ends pipe;
    EXPECT_THROW(
        await(loop.connect_read_pipe([] { return std::make_shared<Neither>(); }, pipe.give(0))),
        fibers::UsageError);
  });
}

FIBER_TEST(ReadPipeTest, ItsDescriptorIsNobodyElses) {
  Ends pipe;
  with_loop([&](EventLoop& loop) {
    const int fd = pipe[0];
    const Stream stream = read_from(loop, pipe.give(0));
    EXPECT_THAT(thrown<fibers::UsageError>([&] { loop.add_reader(fd, [] {}); }),
                HasSubstr("is used by transport"));
    stream->transport.close();
    await(stream->lost);
  });
}

// asyncio: test_events.py::EventLoopTestsMixin::test_unclosed_pipe_transport
FIBER_TEST(ReadPipeTest, TheLoopsCloseClosesIt) {
  WEFT_NOT_FAULT_SWEPT(kWaitsForData);
  Ends pipe;
  Ends other;
  with_idle_loop([&](EventLoop& loop) {
    const int fd = pipe[0];
    auto reading = loop.create_task(
        loop.connect_read_pipe([&] { return std::make_shared<NotingStream>(loop); }, pipe.give(0)));
    auto writing = loop.create_task(loop.connect_write_pipe(
        [&] { return std::make_shared<NotingStream>(loop); }, other.give(1)));
    while (!reading.done() || !writing.done()) run_once(loop);
    Stream stream = reading.result().second;
    const std::weak_ptr<NotingStream> kept = stream;
    Transport transport = stream->transport;
    loop.close();
    EXPECT_EQ(::fcntl(fd, F_GETFD), -1);
    EXPECT_TRUE(transport.is_closing());
    EXPECT_THAT(stream->log, ElementsAre("made"));
    EXPECT_EQ(transport.get_protocol(), nullptr);
    reading = {};
    stream.reset();
    EXPECT_TRUE(kept.expired()) << "the transport holds it no longer";
    EXPECT_EQ(other.take(), "") << "the end";
  });
}

// asyncio: test_events.py::EventLoopTestsMixin::test_read_pty_output
FIBER_TEST(ReadPipeTest, OfATerminal) {
  WEFT_NOT_FAULT_SWEPT(kWaitsForData);
  with_loop([](EventLoop& loop) {
    const int master = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    ASSERT_EQ(::grantpt(master), 0);
    ASSERT_EQ(::unlockpt(master), 0);
    const int slave = ::open(::ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    ASSERT_GE(slave, 0);
    // Closed whatever happens.
    const auto closing = std::make_unique<fibers::FdStream>(slave);
    const Stream stream = read_from(loop, master);
    EXPECT_EQ(::write(slave, "1", 1), 1);
    while (stream->received != "1") fibers::checkpoint();
    EXPECT_EQ(::write(slave, "2345", 4), 4);
    while (stream->received != "12345") fibers::checkpoint();
    closing->close();
    await(stream->lost);
    // The system says EIO, which is no error for the exception handler.
    EXPECT_EQ(code_of(stream->why).value(), EIO);
  });
}

// asyncio: test_events.py::EventLoopTestsMixin::test_write_pipe
FIBER_TEST(WritePipeTest, WritesAtOnceAndClosesAtTheEnd) {
  WEFT_NOT_FAULT_SWEPT(kWaitsForData);
  Ends pipe;
  with_loop([&](EventLoop& loop) {
    const int fd = pipe[1];
    const Stream stream = write_to(loop, pipe.give(1));
    EXPECT_EQ(stream->transport.get_extra_info(extra_info::pipe), fd);
    stream->transport.write("1");
    EXPECT_EQ(pipe.take(), "1");
    const std::array<std::string_view, 2> pieces{"23", "45"};
    stream->transport.writelines(pieces);
    EXPECT_EQ(stream->transport.get_write_buffer_size(), 0U);
    EXPECT_EQ(pipe.take(), "2345");
    EXPECT_TRUE(stream->transport.can_write_eof());
    stream->transport.close();
    await(stream->lost);
    EXPECT_EQ(stream->why, nullptr);
    EXPECT_EQ(pipe.take(), "");
    EXPECT_THAT(stream->log, ElementsAre("made", "lost"));
  });
}

// asyncio: test_events.py::EventLoopTestsMixin::test_write_pipe_disconnect_on_close
FIBER_TEST(WritePipeTest, HearsThatTheReaderHasGone) {
  WEFT_NOT_FAULT_SWEPT(kWaitsForData);
  for (const bool is_socket : {false, true}) {
    Ends ends = is_socket ? Ends(SOCK_STREAM) : Ends();
    with_loop([&](EventLoop& loop) {
      const Stream stream = write_to(loop, ends.give(1));
      stream->transport.write("1");
      EXPECT_EQ(ends.take(), "1");
      ends.close(0);
      await(stream->lost);
      EXPECT_EQ(stream->why, nullptr);
    });
  }
}

FIBER_TEST(WritePipeTest, TheReaderHasGoneBeforeItBegan) {
  WEFT_NOT_FAULT_SWEPT(kWaitsForData);
  Ends pipe;
  pipe.close(0);
  with_loop([&](EventLoop& loop) {
    const Stream stream = write_to(loop, pipe.give(1));
    await(stream->lost);
    EXPECT_EQ(stream->why, nullptr);
  });
}

// asyncio: claims_transports::flow_control_is_edge_triggered
// asyncio: claims_transports::close_flushes
FIBER_TEST(WritePipeTest, PausesAndResumesAndCloseFlushes) {
  WEFT_NOT_FAULT_SWEPT(kWaitsForData);
  Ends pipe;
  with_loop([&](EventLoop& loop) {
    const Stream stream = write_to(loop, pipe.give(1));
    Transport& transport = stream->transport;
    transport.set_write_buffer_limits(1000);
    EXPECT_EQ(transport.get_write_buffer_limits(), std::pair(std::size_t{250}, std::size_t{1000}));
    std::string all;
    while (transport.get_write_buffer_size() <= 1000) {
      const std::string more(1000, static_cast<char>('a' + all.size() / 1000 % 26));
      transport.write(more);
      all += more;
    }
    transport.write("end");
    all += "end";
    EXPECT_THAT(stream->log, ElementsAre("made", "pause"));
    std::string got;
    while (transport.get_write_buffer_size() > 0) {
      got += pipe.take(1000);
      loop.synchronize();
    }
    EXPECT_THAT(stream->log, ElementsAre("made", "pause", "resume"));
    while (transport.get_write_buffer_size() == 0) {
      transport.write("12345678");
      all += "12345678";
    }
    transport.close();
    EXPECT_TRUE(transport.is_closing());
    while (got.size() < all.size()) {
      got += pipe.take(1000);
      loop.synchronize();
    }
    await(stream->lost);
    EXPECT_EQ(got, all);
    EXPECT_EQ(pipe.take(), "");
  });
}

// asyncio: claims_transports::abort_does_not_flush
FIBER_TEST(WritePipeTest, AbortDropsWhatIsBuffered) {
  WEFT_NOT_FAULT_SWEPT(kWaitsForData);
  Ends pipe;
  with_loop([&](EventLoop& loop) {
    const Stream stream = write_to(loop, pipe.give(1));
    std::size_t written = 0;
    while (stream->transport.get_write_buffer_size() == 0) {
      stream->transport.write(std::string(4096, 'x'));
      written += 4096;
    }
    const std::size_t left = stream->transport.get_write_buffer_size();
    stream->transport.abort();
    EXPECT_EQ(stream->transport.get_write_buffer_size(), 0U);
    await(stream->lost);
    EXPECT_EQ(stream->why, nullptr);
    std::size_t got = 0;
    for (std::string data; !(data = pipe.take()).empty();) got += data.size();
    EXPECT_EQ(got, written - left);
  });
}

// asyncio: claims_transports::write_after_a_lost_connection_warns
FIBER_TEST(WritePipeTest, AReaderThatGoesWithDataLeftIsABrokenPipeAndLaterWritesWarn) {
  WEFT_NOT_FAULT_SWEPT(kWaitsForData);
  Ends pipe;
  LogCapture log;
  with_loop([&](EventLoop& loop) {
    const Stream stream = write_to(loop, pipe.give(1));
    while (stream->transport.get_write_buffer_size() == 0) {
      stream->transport.write(std::string(4096, 'x'));
    }
    pipe.close(0);
    await(stream->lost);
    EXPECT_EQ(code_of(stream->why).value(), EPIPE);
    EXPECT_THAT(log.lines, ElementsAre());
    for (int i = 0; i < 9; ++i) stream->transport.write("x");
    EXPECT_THAT(log.lines, ElementsAre(HasSubstr("pipe closed by peer")));
  });
}

FIBER_TEST(WritePipeTest, AWriteThatFailsTellsConnectionLost) {
  Ends pipe;
  with_loop([&](EventLoop& loop) {
    const Stream stream = write_to(loop, pipe.give(1));
    pipe.close(0);
    stream->transport.write("x");
    EXPECT_TRUE(stream->transport.is_closing());
    await(stream->lost);
    EXPECT_EQ(code_of(stream->why).value(), EPIPE);
    EXPECT_THAT(stream->log, ElementsAre("made", "lost with an error"));
  });
}

// The first call takes one byte only, although there is room for all.
class ShortWrite final : public fibers::sys::Gate {
 public:
  explicit ShortWrite(std::string_view call) : call_(call) { fibers::sys::gate = this; }
  ShortWrite(const ShortWrite&) = delete;
  ShortWrite& operator=(const ShortWrite&) = delete;
  ~ShortWrite() { fibers::sys::gate = nullptr; }
  fibers::sys::Answer before(const fibers::sys::Asked& asked) noexcept override {
    if (asked.name != call_) return {};
    return {.size = std::exchange(size_, 0)};
  }
  void after() noexcept override {}

 private:
  std::string_view call_;
  std::size_t size_ = 1;
};

// The system tells of room only after a call that found none.
FIBER_TEST(WritePipeTest, GoesOnAfterAWriteThatTookAPartOnly) {
  WEFT_NOT_SWEPT("it has a gate of its own");
  WEFT_NOT_FAULT_SWEPT("it has a gate of its own");
  for (const bool socket : {false, true}) {
    Ends ends = socket ? Ends(SOCK_STREAM) : Ends();
    with_loop([&](EventLoop& loop) {
      const Stream stream = write_to(loop, ends.give(1));
      const ShortWrite gate(socket ? "send" : "write");
      stream->transport.write("all of it");
      EXPECT_EQ(stream->transport.get_write_buffer_size(), 0u);
      EXPECT_EQ(ends.take(), "all of it");
      stream->transport.close();
      await(stream->lost);
    });
  }
}

// A socket's data is not the end of it.
FIBER_TEST(WritePipeTest, DataThatComesBackIsNotTheEnd) {
  WEFT_NOT_FAULT_SWEPT(kWaitsForData);
  Ends ends(SOCK_STREAM);
  with_loop([&](EventLoop& loop) {
    const Stream stream = write_to(loop, ends.give(1));
    EXPECT_EQ(::write(ends[0], "x", 1), 1);
    for (int i = 0; i < 5; ++i) loop.synchronize();
    EXPECT_FALSE(stream->transport.is_closing());
    stream->transport.write("still");
    EXPECT_EQ(ends.take(), "still");
    stream->transport.close();
    await(stream->lost);
  });
}

FIBER_TEST(WritePipeTest, CancelledWhileItConnectsItIsClosed) {
  Ends pipe;
  with_idle_loop([&](EventLoop& loop) {
    auto connecting = loop.create_task(loop.connect_write_pipe(
        [&] { return std::make_shared<NotingStream>(loop); }, pipe.give(1)));
    run_once(loop);
    connecting.cancel();
    for (int i = 0; i < 4; ++i) run_once(loop);
    EXPECT_TRUE(connecting.cancelled());
    EXPECT_EQ(pipe.take(), "");
  });
}

}  // namespace
}  // namespace weft::loop
