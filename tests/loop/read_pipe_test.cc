// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The reading end of a pipe as a transport.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include "tests/loop/pipe_testing.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/fd_stream.h"
#include "weft/loop/transport.h"

namespace weft::loop {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using namespace testing;  // NOLINT: the helpers of the folder.

// asyncio: test_events.py::EventLoopTestsMixin::test_read_pipe
FIBER_TEST(ReadPipeTest, HearsOfDataThenOfTheEnd) {
  WEFT_NOT_FAULT_SWEPT(kWaitsForData);
  Ends pipe;
  with_loop([&](EventLoop& loop) {
    const int fd = pipe[0];
    const PipeStream stream = read_from(loop, pipe.give(0));
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
    const PipeStream stream = read_from(loop, pipe.give(0));
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
    const PipeStream stream = read_from(loop, pipe.give(0));
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
    const PipeStream stream = read_from(loop, pipe.give(0));
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
    PipeStream stream = reading.result().second;
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
    const PipeStream stream = read_from(loop, master);
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

}  // namespace
}  // namespace weft::loop
