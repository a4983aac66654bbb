// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// One transport, one thing at a time; transport_meanwhile_test.cc has several at once.

#include "weft/loop/transport.h"

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "tests/loop/transport_testing.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/event.h"

namespace weft::loop {
namespace {

using namespace testing;
using Log = std::vector<std::string>;

// asyncio: claims_transports::connection_made_before_data_received
FIBER_TEST(TransportTest, MakesTheConnectionKnownBeforeItsData) {
  with_loop([](EventLoop& loop) {
    SocketPair pair;
    pair.put("hello");
    const auto protocol = connect_over(loop, pair);
    run_until(loop, [&] { return protocol->received == "hello"; });
    EXPECT_EQ(protocol->log, (Log{"made", "data hello"}));
    protocol->transport.abort();
    run_until(loop, [&] { return is_lost(*protocol); });
  });
}

FIBER_TEST(TransportTest, WritesAtOnce) {
  with_loop([](EventLoop& loop) {
    SocketPair pair;
    const auto protocol = connect_over(loop, pair);
    protocol->transport.write("abc");
    EXPECT_EQ(pair.get(), "abc");
    EXPECT_EQ(protocol->transport.get_write_buffer_size(), 0u);
    protocol->transport.close();
    run_until(loop, [&] { return is_lost(*protocol); });
    EXPECT_EQ(protocol->lost_with, nullptr);
  });
}

// asyncio: test_transports.py::TransportTests::test_writelines
FIBER_TEST(TransportTest, WritesLinesInOrder) {
  with_loop([](EventLoop& loop) {
    SocketPair pair;
    const auto protocol = connect_over(loop, pair);
    std::vector<std::string_view> lines(200, "ab");
    lines.emplace_back("end");
    protocol->transport.writelines(lines);
    std::string expected;
    for (const auto line : lines) expected += line;
    EXPECT_EQ(pair.get(), expected);
    protocol->transport.close();
    run_until(loop, [&] { return is_lost(*protocol); });
  });
}

// asyncio: test_events.py::test_create_connection
FIBER_TEST(TransportTest, FlushesWhatIsBufferedBeforeItCloses) {
  with_loop([](EventLoop& loop) {
    SocketPair pair;
    const auto protocol = connect_over(loop, pair);
    protocol->transport.write(much());
    protocol->transport.write("end");
    protocol->transport.close();
    EXPECT_GT(protocol->transport.get_write_buffer_size(), 0u);
    std::string got;
    run_until(loop, [&] {
      got += pair.get();
      return is_lost(*protocol);
    });
    got += pair.get();
    EXPECT_EQ(got.size(), much().size() + 3);
    EXPECT_TRUE(got.ends_with("xend"));
  });
}

FIBER_TEST(TransportTest, DropsWhatIsBufferedWhenAborted) {
  with_loop([](EventLoop& loop) {
    SocketPair pair;
    const auto protocol = connect_over(loop, pair);
    protocol->transport.write(much());
    protocol->transport.abort();
    EXPECT_EQ(protocol->transport.get_write_buffer_size(), 0u);
    EXPECT_EQ(protocol->log, (Log{"made", "pause"}));  // By a callback, not now.
    run_until(loop, [&] { return is_lost(*protocol); });
    EXPECT_LT(pair.get().size(), much().size());
    EXPECT_EQ(protocol->lost_with, nullptr);
  });
}

// asyncio: test_transports.py::test_flowcontrol_mixin_set_write_limits
// asyncio: claims_transports::flow_control_limits
FIBER_TEST(TransportTest, PausesAndResumesWritingOnceEach) {
  with_loop([](EventLoop& loop) {
    SocketPair pair;
    const auto protocol = connect_over(loop, pair);
    Transport transport = protocol->transport;
    EXPECT_EQ(transport.get_write_buffer_limits(), std::pair(16384ul, 65536ul));
    transport.write(much());
    transport.write(much());
    EXPECT_EQ(protocol->log, (Log{"made", "pause"}));
    std::size_t got = 0;
    run_until(loop, [&] {
      got += pair.get().size();
      return got == 2 * much().size();
    });
    run_until(loop, [&] { return protocol->log.size() == 3; });
    EXPECT_EQ(last(*protocol), "resume");
    transport.set_write_buffer_limits(1024);
    EXPECT_EQ(transport.get_write_buffer_limits(), std::pair(256ul, 1024ul));
    transport.set_write_buffer_limits(std::nullopt, 128);
    EXPECT_EQ(transport.get_write_buffer_limits(), std::pair(128ul, 512ul));
    EXPECT_EQ(thrown<fibers::UsageError>([&] { transport.set_write_buffer_limits(1, 2); }),
              "high (1) must be >= low (2)");
    transport.close();
    run_until(loop, [&] { return is_lost(*protocol); });
  });
}

FIBER_TEST(TransportTest, DeliversAfterResumingWhatCameWhilePaused) {
  with_loop([](EventLoop& loop) {
    struct Pausing : Recorder {
      void data_received(std::string_view data) override {
        Recorder::data_received(data);
        transport.pause_reading();
      }
    };
    SocketPair pair;
    const auto protocol = connect_over<Pausing>(loop, pair);
    pair.put("1");
    run_until(loop, [&] { return protocol->received == "1"; });
    EXPECT_FALSE(protocol->transport.is_reading());
    pair.put("2");
    for (int i = 0; i < 20; ++i) loop.synchronize();
    EXPECT_EQ(protocol->received, "1");
    protocol->transport.resume_reading();
    EXPECT_TRUE(protocol->transport.is_reading());
    run_until(loop, [&] { return protocol->received == "12"; });
    protocol->transport.close();
    protocol->transport.resume_reading();  // Harmless.
    run_until(loop, [&] { return is_lost(*protocol); });
  });
}

// asyncio: claims_transports::eof_received_true_keeps_it_half_open
FIBER_TEST(TransportTest, StaysOpenForWritingAfterTheEnd) {
  with_loop([](EventLoop& loop) {
    SocketPair pair;
    const auto protocol = connect_over(loop, pair);
    protocol->keep_open = true;
    pair.put("x");
    ::shutdown(pair.peer(), SHUT_WR);
    run_until(loop, [&] { return last(*protocol) == "eof"; });
    protocol->transport.write("answer");
    EXPECT_EQ(pair.get(), "answer");
    protocol->transport.close();
    run_until(loop, [&] { return is_lost(*protocol); });
    EXPECT_EQ(protocol->log, (Log{"made", "data x", "eof", "lost"}));
  });
}

FIBER_TEST(TransportTest, ClosesAtTheEnd) {
  with_loop([](EventLoop& loop) {
    SocketPair pair;
    const auto protocol = connect_over(loop, pair);
    pair.close_peer();
    run_until(loop, [&] { return is_lost(*protocol); });
    EXPECT_EQ(protocol->log, (Log{"made", "eof", "lost"}));
  });
}

// asyncio: claims_transports::write_eof_after_what_is_buffered
FIBER_TEST(TransportTest, EndsTheSendingSideAfterWhatIsBuffered) {
  with_loop([](EventLoop& loop) {
    SocketPair pair;
    const auto protocol = connect_over(loop, pair);
    Transport transport = protocol->transport;
    EXPECT_TRUE(transport.can_write_eof());
    transport.write(much());
    transport.write_eof();
    transport.write_eof();
    EXPECT_EQ(thrown<fibers::UsageError>([&] { transport.write("x"); }),
              "Cannot call write() after write_eof()");
    EXPECT_EQ(thrown<fibers::UsageError>([&] {
                const std::string_view piece = "x";
                transport.writelines({&piece, 1});
              }),
              "Cannot call writelines() after write_eof()");
    std::size_t got = 0;
    run_until(loop, [&] {
      got += pair.get().size();
      return got == much().size() && transport.get_write_buffer_size() == 0;
    });
    loop.synchronize();
    EXPECT_TRUE(pair.at_end());
    pair.put("still read");
    run_until(loop, [&] { return protocol->received == "still read"; });
    transport.close();
    run_until(loop, [&] { return is_lost(*protocol); });
  });
}

FIBER_TEST(TransportTest, WarnsOfWritesToALostConnection) {
  with_loop([](EventLoop& loop) {
    SocketPair pair;
    const auto protocol = connect_over(loop, pair);
    Transport transport = protocol->transport;
    pair.close_peer();
    transport.write("x");  // EPIPE.
    CapturedLog log;
    for (int i = 0; i < 4; ++i) transport.write("x");
    EXPECT_EQ(log.lines, Log{});
    transport.write("x");
    EXPECT_EQ(log.lines, Log{"socket.send() raised exception."});
    run_until(loop, [&] { return is_lost(*protocol); });
    EXPECT_NE(protocol->lost_with, nullptr);
    EXPECT_TRUE(transport.is_closing());
  });
}

// asyncio: claims_transports::exceptions_of_a_protocol_are_reported
FIBER_TEST(TransportTest, ReportsWhatDataReceivedThrowsAndAborts) {
  with_loop([](EventLoop& loop) {
    struct Failing : Recorder {
      void data_received(std::string_view) override { throw std::runtime_error("bad data"); }
    };
    SocketPair pair;
    const auto protocol = connect_over<Failing>(loop, pair);
    std::vector<ExceptionContext> reports;
    loop.set_exception_handler(
        [&](EventLoop&, const ExceptionContext& context) { reports.push_back(context); });
    pair.put("x");
    run_until(loop, [&] { return is_lost(*protocol); });
    ASSERT_EQ(reports.size(), 1u);
    EXPECT_EQ(reports[0].message, "Fatal error: protocol.data_received() call failed.");
    EXPECT_NE(reports[0].transport, nullptr);
    EXPECT_EQ(reports[0].protocol, static_cast<BaseProtocol*>(protocol.get()));
    EXPECT_NE(protocol->lost_with, nullptr);
    be_strict(loop);
  });
}

// asyncio: test_transports.py::test_flowcontrol_mixin_set_write_limits
// asyncio: claims_transports::exceptions_of_a_protocol_are_reported
FIBER_TEST(TransportTest, GoesOnAfterWhatPauseWritingThrows) {
  with_loop([](EventLoop& loop) {
    struct Failing : Recorder {
      void pause_writing() override { throw std::runtime_error("pause"); }
      void resume_writing() override { throw std::runtime_error("resume"); }
    };
    SocketPair pair;
    const auto protocol = connect_over<Failing>(loop, pair);
    Log reports;
    loop.set_exception_handler(
        [&](EventLoop&, const ExceptionContext& context) { reports.push_back(context.message); });
    protocol->transport.write(much());
    std::size_t got = 0;
    run_until(loop, [&] {
      got += pair.get().size();
      return reports.size() == 2;
    });
    EXPECT_EQ(reports,
              (Log{"protocol.pause_writing() failed", "protocol.resume_writing() failed"}));
    protocol->transport.close();
    run_until(loop, [&] {
      got += pair.get().size();
      return is_lost(*protocol);
    });
    EXPECT_EQ(protocol->lost_with, nullptr);
    be_strict(loop);
  });
}

// asyncio: test_buffered_proto.py::BaseTestBufferedProtocol::test_buffered_proto_create_connection
FIBER_TEST(TransportTest, ReadsIntoMemoryOfABufferedProtocol) {
  with_loop([](EventLoop& loop) {
    struct Buffered : BufferedProtocol {
      void connection_made(Transport made) override { transport = std::move(made); }
      std::span<std::byte> get_buffer(std::size_t) override {
        return std::as_writable_bytes(std::span(room));
      }
      void buffer_updated(std::size_t count) override {
        received.append(room.data(), count);
        if (received == "switch") transport.set_protocol(next);
      }
      std::array<char, 6> room{};
      std::string received;
      std::shared_ptr<Recorder> next = std::make_shared<Recorder>();
      Transport transport;
    };
    SocketPair pair;
    auto protocol = connect_over<Buffered>(loop, pair);
    pair.put("switchthen");
    const auto next = protocol->next;
    run_until(loop, [&] { return next->received == "then"; });
    EXPECT_EQ(protocol->received, "switch");
    EXPECT_EQ(protocol->transport.get_protocol(), next);
    EXPECT_EQ(thrown<fibers::UsageError>([&] { protocol->transport.set_protocol(nullptr); }),
              "a transport needs a protocol");
    protocol->transport.close();
    run_until(loop, [&] { return is_lost(*next); });
  });
}

FIBER_TEST(TransportTest, RefusesAnEmptyBuffer) {
  with_loop([](EventLoop& loop) {
    struct Empty : BufferedProtocol {
      std::span<std::byte> get_buffer(std::size_t) override { return {}; }
      void connection_lost(std::exception_ptr error) override { lost = std::move(error); }
      std::exception_ptr lost;
    };
    SocketPair pair;
    const auto protocol = connect_over<Empty>(loop, pair);
    Log reports;
    loop.set_exception_handler(
        [&](EventLoop&, const ExceptionContext& context) { reports.push_back(context.message); });
    pair.put("x");
    run_until(loop, [&] { return protocol->lost != nullptr; });
    EXPECT_EQ(reports, Log{"Fatal error: protocol.get_buffer() call failed."});
    be_strict(loop);
  });
}

// The peer is slowed down, and drain() in a data_received() that waits is woken.
FIBER_TEST(TransportTest, DoesNotEnterDataReceivedAgainWhileItWaits) {
  with_loop([](EventLoop& loop) {
    struct Draining : Recorder {
      void data_received(std::string_view data) override {
        EXPECT_FALSE(inside);
        inside = true;
        Recorder::data_received(data);
        if (data == "1") resumed.wait();
        inside = false;
      }
      void resume_writing() override {
        Recorder::resume_writing();
        resumed.set();
      }
      fibers::Event resumed;
      bool inside = false;
    };
    SocketPair pair;
    const auto protocol = connect_over<Draining>(loop, pair);
    protocol->transport.write(much());
    pair.put("1");
    run_until(loop, [&] { return protocol->received == "1"; });
    pair.put("2");
    for (int i = 0; i < 20; ++i) loop.synchronize();
    EXPECT_EQ(protocol->received, "1");
    run_until(loop, [&] {
      pair.get();
      return protocol->received == "12";
    });
    EXPECT_EQ(protocol->log, (Log{"made", "pause", "data 1", "resume", "data 2"}));
    protocol->transport.close();
    run_until(loop, [&] { return is_lost(*protocol); });
  });
}

FIBER_TEST(TransportTest, TellsOfTheLossWhileDataReceivedWaits) {
  with_loop([](EventLoop& loop) {
    struct Waiting : Recorder {
      explicit Waiting(bool& destroyed) : gone(destroyed) {}
      ~Waiting() override { gone = true; }
      void data_received(std::string_view data) override {
        Recorder::data_received(data);
        lost.wait();
        EXPECT_FALSE(gone);
        EXPECT_EQ(data, "x");  // Still valid.
      }
      void connection_lost(std::exception_ptr error) override {
        lost.set();
        Recorder::connection_lost(std::move(error));
      }
      fibers::Event lost;
      bool& gone;
    };
    bool gone = false;
    SocketPair pair;
    auto connected =
        await(loop.create_connection([&] { return std::make_unique<Waiting>(gone); }, pair.take()));
    pair.put("x");
    run_until(loop, [&] { return connected.second->received == "x"; });
    connected.second.reset();
    connected.first.abort();
    run_until(loop, [&] { return gone; });
    loop.wait_blocked();
    EXPECT_EQ(connected.first.get_protocol(), nullptr);
  });
}

// asyncio: claims_descriptors::one_of_a_transport_is_refused
// asyncio: test_unix_events.py::TestFunctional::test_add_reader_or_writer_transport_fd
FIBER_TEST(TransportTest, LetsNobodyElseWatchItsDescriptor) {
  with_loop([](EventLoop& loop) {
    SocketPair pair;
    const auto protocol = connect_over(loop, pair);
    const int fd = protocol->transport.get_extra_info(extra_info::socket).value();
    const std::string used =
        "File descriptor " + std::to_string(fd) + " is used by transport <SocketTransport>";
    EXPECT_TRUE(thrown<fibers::UsageError>([&] { loop.add_reader(fd, [] {}); }).starts_with(used));
    EXPECT_TRUE(thrown<fibers::UsageError>([&] { loop.add_writer(fd, [] {}); }).starts_with(used));
    EXPECT_TRUE(thrown<fibers::UsageError>([&] { loop.remove_reader(fd); }).starts_with(used));
    EXPECT_TRUE(thrown<fibers::UsageError>([&] { loop.remove_writer(fd); }).starts_with(used));
    EXPECT_TRUE(
        thrown<fibers::UsageError>([&] { await(loop.sock_recv(fd, 1)); }).starts_with(used));
    protocol->transport.close();
    run_until(loop, [&] { return is_lost(*protocol); });
    EXPECT_FALSE(loop.remove_reader(fd));
  });
}

FIBER_TEST(TransportTest, IsGivenBackWithItsProtocolWhenTheLoopIsClosed) {
  std::weak_ptr<Recorder> protocol;
  SocketPair pair;
  Transport transport;
  with_loop([&](EventLoop& loop) {
    auto made = connect_over(loop, pair);
    transport = std::exchange(made->transport, {});
    protocol = made;
  });
  EXPECT_TRUE(protocol.expired());
  EXPECT_TRUE(pair.at_end());
  EXPECT_TRUE(transport.is_closing());
  transport.write("x");
  transport.close();
}

}  // namespace
}  // namespace weft::loop
