// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The writing end of a pipe as a transport.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>
#include <string>
#include <utility>

#include "fibers/sys/sys.h"
#include "tests/loop/pipe_testing.h"
#include "weft/loop/transport.h"

namespace weft::loop {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using namespace testing;  // NOLINT: the helpers of the folder.

// asyncio: test_events.py::EventLoopTestsMixin::test_write_pipe
FIBER_TEST(WritePipeTest, WritesAtOnceAndClosesAtTheEnd) {
  WEFT_NOT_FAULT_SWEPT(kWaitsForData);
  Ends pipe;
  with_loop([&](EventLoop& loop) {
    const int fd = pipe[1];
    const PipeStream stream = write_to(loop, pipe.give(1));
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
      const PipeStream stream = write_to(loop, ends.give(1));
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
    const PipeStream stream = write_to(loop, pipe.give(1));
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
    const PipeStream stream = write_to(loop, pipe.give(1));
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
    const PipeStream stream = write_to(loop, pipe.give(1));
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
  CapturedLog log;
  with_loop([&](EventLoop& loop) {
    const PipeStream stream = write_to(loop, pipe.give(1));
    while (stream->transport.get_write_buffer_size() == 0) {
      stream->transport.write(std::string(4096, 'x'));
    }
    pipe.close(0);
    await(stream->lost);
    EXPECT_EQ(code_of(stream->why).value(), EPIPE);
    EXPECT_THAT(log.lines, ElementsAre());
    for (int i = 0; i < 4; ++i) stream->transport.write("x");
    EXPECT_THAT(log.lines, ElementsAre());
    for (int i = 0; i < 2; ++i) stream->transport.write("x");
    EXPECT_THAT(log.lines, ::testing::Each(HasSubstr("pipe closed by peer")));
    EXPECT_EQ(log.lines.size(), 2U);
  });
}

FIBER_TEST(WritePipeTest, AWriteThatFailsTellsConnectionLost) {
  Ends pipe;
  with_loop([&](EventLoop& loop) {
    const PipeStream stream = write_to(loop, pipe.give(1));
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
      const PipeStream stream = write_to(loop, ends.give(1));
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
    const PipeStream stream = write_to(loop, ends.give(1));
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
