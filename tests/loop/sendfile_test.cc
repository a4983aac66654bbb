// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Files over transports and over sockets.

#include <gmock/gmock.h>
#include <sys/socket.h>

#include <cerrno>
#include <csignal>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include "tests/loop/sendfile_testing.h"
#include "tests/loop/transport_testing.h"
#include "weft/fibers/errors.h"
#include "weft/loop/errors.h"

namespace weft::loop {
namespace {

using namespace testing;  // NOLINT: the helpers of the folder.
using Log = std::vector<std::string>;

constexpr std::size_t kMuch = std::size_t{600} << 10;  // More than a socket's buffer takes.

[[maybe_unused]] constexpr const char* kWaitsForBytes =
    "it waits for bytes that a fault may have cut off";

// Lets the loop run until `fn` holds. The clock jumps only once the executor's threads have done.
template <class F>
void sleep_until(F&& fn) {
  for (int i = 0; i < 10000 && !fn(); ++i) fibers::sleep(1ms);
  EXPECT_TRUE(fn());
}

// Runs the loop until `sending` has ended; returns what has come to the peer meanwhile.
std::string receive_until_done(const SocketPair& pair, const Task<std::size_t>& sending) {
  std::string got;
  sleep_until([&] {
    got += pair.get();
    return sending.done();
  });
  return got += pair.get();
}

// Closes the transport and returns the rest.
std::string receive_rest(const SocketPair& pair, Recorder& protocol) {
  if (protocol.transport) protocol.transport.close();
  std::string got;
  sleep_until([&] {
    got += pair.get();
    return is_lost(protocol);
  });
  return got += pair.get();
}

int code_of(const FutureBase& future) {
  try {
    std::rethrow_exception(future.exception());
  } catch (const std::system_error& error) {
    return error.code().value();
  }
}

// asyncio: test_sendfile.py::SendfileMixin::test_sendfile
// asyncio: claims_sendfile::partial_sends_go_on
FIBER_TEST(SendfileTest, SendsAWholeFile) {
  WEFT_NOT_FAULT_SWEPT(kWaitsForBytes);
  const std::string data = numbers(kMuch);
  const OpenFile file(data);
  with_loop([&](EventLoop& loop) {
    SocketPair pair;
    const auto protocol = connect_over(loop, pair);
    auto sending = loop.create_task(loop.sendfile(protocol->transport, file.fd()));
    EXPECT_EQ(receive_until_done(pair, sending), data);
    EXPECT_EQ(sending.result(), data.size());
    EXPECT_EQ(file.position(), static_cast<std::int64_t>(data.size()));
    receive_rest(pair, *protocol);
  });
}

// asyncio: test_sendfile.py::SendfileMixin::test_sendfile_partial
FIBER_TEST(SendfileTest, SendsAPart) {
  WEFT_NOT_FAULT_SWEPT(kWaitsForBytes);
  const std::string data = numbers(100000);
  const OpenFile file(data);
  with_loop([&](EventLoop& loop) {
    SocketPair pair;
    const auto protocol = connect_over(loop, pair);
    auto sending = loop.create_task(
        loop.sendfile(protocol->transport, file.fd(), {.offset = 1000, .count = 100}));
    EXPECT_EQ(receive_until_done(pair, sending), data.substr(1000, 100));
    EXPECT_EQ(sending.result(), 100U);
    EXPECT_EQ(file.position(), 1100);
    // As much as there is.
    auto tail = loop.create_task(
        loop.sendfile(protocol->transport, file.fd(), {.offset = 99990, .count = 100}));
    EXPECT_EQ(receive_until_done(pair, tail), data.substr(99990));
    EXPECT_EQ(tail.result(), 10U);
    receive_rest(pair, *protocol);
  });
}

// asyncio: test_sendfile.py::SendfileMixin::test_sendfile_pre_and_post_data
FIBER_TEST(SendfileTest, KeepsTheOrderOfWhatIsWritten) {
  WEFT_NOT_FAULT_SWEPT(kWaitsForBytes);
  const std::string data = numbers(kMuch);
  const std::string before(kMuch, 'x');
  const OpenFile file(data);
  with_loop([&](EventLoop& loop) {
    SocketPair pair;
    const auto protocol = connect_over(loop, pair);
    protocol->transport.write(before);
    auto sending = loop.create_task(loop.sendfile(protocol->transport, file.fd()));
    std::string got = receive_until_done(pair, sending);
    protocol->transport.write("after");
    got += receive_rest(pair, *protocol);
    EXPECT_TRUE(got == before + data + "after");
  });
}

// asyncio: test_sendfile.py::SendfileMixin::test_sendfile_force_fallback
// asyncio: claims_sendfile::there_is_a_fallback
FIBER_TEST(SendfileTest, ReadsAndWritesWhatTheSystemCannotSend) {
  WEFT_NOT_FAULT_SWEPT(kWaitsForBytes);
  const std::string data = numbers(kMuch);
  const auto file = std::make_shared<TextSource>(data);
  with_loop([&](EventLoop& loop) {
    SocketPair pair;
    const auto protocol = connect_over(loop, pair);
    auto sending = loop.create_task(
        loop.sendfile(protocol->transport, file, {.offset = 10, .count = kMuch - 20}));
    std::string got = receive_until_done(pair, sending);
    EXPECT_EQ(sending.result(), kMuch - 20);
    EXPECT_EQ(file->position, static_cast<std::int64_t>(kMuch) - 10);
    EXPECT_EQ(protocol->transport.get_protocol(), protocol);
    EXPECT_TRUE(protocol->transport.is_reading());
    got += receive_rest(pair, *protocol);
    EXPECT_TRUE(got == data.substr(10, kMuch - 20));
  });
}

// asyncio: test_sendfile.py::SendfileMixin::test_sendfile_force_unsupported_native
FIBER_TEST(SendfileTest, ThrowsWithoutAFallback) {
  with_loop([&](EventLoop& loop) {
    SocketPair pair;
    const auto protocol = connect_over(loop, pair);
    const auto file = std::make_shared<TextSource>("x");
    EXPECT_EQ(thrown<SendfileNotAvailableError>(
                  [&] { await(loop.sendfile(protocol->transport, file, {.fallback = false})); }),
              "not a regular file");
    EXPECT_EQ(file->position, -1);
    EXPECT_TRUE(protocol->transport.is_reading());
    protocol->transport.write("as before");
    EXPECT_EQ(pair.get(), "as before");
    receive_rest(pair, *protocol);
  });
}

// asyncio: test_sendfile.py::SendfileMixin::test_sendfile_not_supported
// asyncio: test_sendfile.py::SendfileMixin::test_sendfile_for_closing_transp
FIBER_TEST(SendfileTest, RefusesTransportsThatAreClosingOrCannot) {
  const OpenFile file("x");
  with_loop([&](EventLoop& loop) {
    SocketPair pair;
    const auto protocol = connect_over(loop, pair);
    Transport transport = protocol->transport;
    EXPECT_EQ(thrown<fibers::UsageError>(
                  [&] { await(loop.sendfile(transport, file.fd(), {.count = 0})); }),
              "count must be a positive integer (got 0)");
    EXPECT_EQ(thrown<fibers::UsageError>(
                  [&] { await(loop.sendfile(transport, file.fd(), {.offset = -1})); }),
              "offset must be a non-negative integer (got -1)");
    transport.close();
    EXPECT_EQ(thrown<fibers::UsageError>([&] { await(loop.sendfile(transport, file.fd())); }),
              "Transport is closing");
    receive_rest(pair, *protocol);

    SocketPair pipe;
    auto writer = std::make_shared<Recorder>();
    const auto made =
        await(loop.connect_write_pipe([writer] { return std::shared_ptr(writer); }, pipe.take()));
    Transport pipe_transport = TransportAccess::share<Transport>(TransportAccess::core(made.first));
    EXPECT_EQ(thrown<fibers::UsageError>([&] { await(loop.sendfile(pipe_transport, file.fd())); }),
              "sendfile is not supported for transport WritePipeTransport");
    pipe_transport.close();
    sleep_until([&] { return is_lost(*writer); });
  });
}

// asyncio: test_sendfile.py::SendfileMixin::test_sendfile_prevents_bare_write
// asyncio: claims_sendfile::a_write_meanwhile_is_prevented
FIBER_TEST(SendfileTest, PreventsOtherWritesMeanwhile) {
  WEFT_NOT_FAULT_SWEPT(kWaitsForBytes);
  const std::string data = numbers(kMuch);
  const OpenFile file(data);
  with_loop([&](EventLoop& loop) {
    SocketPair pair;
    const auto protocol = connect_over(loop, pair);
    Transport transport = protocol->transport;
    auto sending = loop.create_task(loop.sendfile(transport, file.fd()));
    loop.synchronize();
    EXPECT_FALSE(transport.is_reading());
    EXPECT_EQ(thrown<fibers::UsageError>([&] { transport.write("x"); }),
              "unable to write; sendfile is in progress");
    EXPECT_EQ(thrown<fibers::UsageError>([&] {
                const std::string_view piece = "x";
                transport.writelines({&piece, 1});
              }),
              "unable to writelines; sendfile is in progress");
    EXPECT_EQ(thrown<fibers::UsageError>([&] { await(loop.sendfile(transport, file.fd())); }),
              "Empty waiter is already set");
    // What comes and what ends is seen to afterwards.
    pair.put("question");
    transport.write_eof();
    EXPECT_TRUE(receive_until_done(pair, sending) == data);
    sleep_until([&] { return protocol->received == "question"; });
    EXPECT_TRUE(pair.at_end());
    receive_rest(pair, *protocol);
  });
}

// asyncio: test_sendfile.py::SendfileMixin::test_sendfile_close_peer_in_the_middle_of_receiving
// asyncio: claims_sendfile::the_peer_closes_midway
FIBER_TEST(SendfileTest, ThrowsWhenThePeerGoesMidway) {
  WEFT_NOT_FAULT_SWEPT(kWaitsForBytes);
  const OpenFile file(numbers(kMuch));
  with_loop([&](EventLoop& loop) {
    SocketPair pair;
    const auto protocol = connect_over(loop, pair);
    auto sending = loop.create_task(loop.sendfile(protocol->transport, file.fd()));
    loop.synchronize();
    EXPECT_FALSE(pair.get().empty());
    pair.close_peer();
    sleep_until([&] { return sending.done(); });
    EXPECT_THAT(code_of(sending), ::testing::AnyOf(EPIPE, ECONNRESET));
    EXPECT_GT(file.position(), 0);
    EXPECT_LT(file.position(), static_cast<std::int64_t>(kMuch));
    if (protocol->transport) protocol->transport.abort();
    sleep_until([&] { return is_lost(*protocol); });
  });
}

// asyncio: test_sendfile.py::SendfileMixin::test_sendfile_fallback_close_peer_in_the_middle_of_receiving
FIBER_TEST(SendfileTest, ThrowsWhenThePeerGoesMidwayOfTheFallback) {
  WEFT_NOT_FAULT_SWEPT(kWaitsForBytes);
  const auto file = std::make_shared<TextSource>(numbers(kMuch));
  with_loop([&](EventLoop& loop) {
    SocketPair pair;
    const auto protocol = connect_over(loop, pair);
    auto sending = loop.create_task(loop.sendfile(protocol->transport, file));
    sleep_until([&] { return protocol->transport.get_write_buffer_size() > 0; });
    pair.close_peer();
    sleep_until([&] { return sending.done(); });
    EXPECT_THAT(code_of(sending), ::testing::AnyOf(EPIPE, ECONNRESET));
    EXPECT_GT(file->position, 0);
    EXPECT_LT(file->position, static_cast<std::int64_t>(kMuch));
    sleep_until([&] { return is_lost(*protocol); });
  });
}

// asyncio: test_sendfile.py::SendfileMixin::test_sendfile_close_peer_after_receiving
FIBER_TEST(SendfileTest, EndsWellIfThePeerGoesAfterwards) {
  WEFT_NOT_FAULT_SWEPT(kWaitsForBytes);
  const std::string data = numbers(10000);
  const OpenFile file(data);
  with_loop([&](EventLoop& loop) {
    SocketPair pair;
    const auto protocol = connect_over(loop, pair);
    EXPECT_EQ(await(loop.sendfile(protocol->transport, file.fd())), data.size());
    EXPECT_EQ(pair.get(), data);
    pair.close_peer();
    sleep_until([&] { return is_lost(*protocol); });
    EXPECT_EQ(protocol->lost_with, nullptr);
  });
}

FIBER_TEST(SendfileTest, ThrowsWhenTheTransportIsAbortedMeanwhile) {
  const OpenFile file(numbers(kMuch));
  for (const bool native : {true, false}) {
    with_loop([&](EventLoop& loop) {
      SocketPair pair;
      const auto protocol = connect_over(loop, pair);
      Transport transport = protocol->transport;
      auto sending = native ? loop.create_task(loop.sendfile(transport, file.fd()))
                            : loop.create_task(loop.sendfile(
                                  transport, std::make_shared<TextSource>(numbers(kMuch))));
      loop.synchronize();
      transport.abort();
      sleep_until([&] { return sending.done() && is_lost(*protocol); });
      EXPECT_EQ(code_of(sending), ECONNRESET);
      EXPECT_EQ(transport.get_protocol(), nullptr);
    });
  }
}

FIBER_TEST(SendfileTest, SaysHowFarItGotWhenCancelled) {
  WEFT_NOT_FAULT_SWEPT(kWaitsForBytes);
  const std::string data = numbers(kMuch);
  const OpenFile file(data);
  with_loop([&](EventLoop& loop) {
    SocketPair pair;
    const auto protocol = connect_over(loop, pair);
    auto sending = loop.create_task(loop.sendfile(protocol->transport, file.fd()));
    loop.synchronize();
    sending.cancel();
    sleep_until([&] { return sending.done(); });
    EXPECT_TRUE(sending.cancelled());
    std::string got = pair.get();
    EXPECT_EQ(file.position(), static_cast<std::int64_t>(got.size()));
    EXPECT_TRUE(data.starts_with(got));
    // The connection is as before.
    protocol->transport.write("goes on");
    EXPECT_EQ(pair.get(), "goes on");
    EXPECT_TRUE(protocol->transport.is_reading());
    receive_rest(pair, *protocol);
  });
}

// asyncio: test_sendfile.py::SockSendfileMixin::test_sock_sendfile_success
// asyncio: test_sendfile.py::SockSendfileMixin::test_sock_sendfile_mix_with_regular_send
FIBER_TEST(SockSendfileTest, SendsAmongOtherThings) {
  WEFT_NOT_FAULT_SWEPT(kWaitsForBytes);
  const std::string data = numbers(kMuch);
  const OpenFile file(data);
  with_loop([&](EventLoop& loop) {
    SocketPair pair;
    const OwnFd sock(pair.take());
    auto sending = loop.create_task([&]() -> Coro<std::size_t> {
      co_await loop.sock_sendall(sock.get(), "before");
      const std::size_t sent = co_await loop.sock_sendfile(sock.get(), file.fd());
      co_await loop.sock_sendall(sock.get(), "after");
      co_return sent;
    });
    EXPECT_TRUE(receive_until_done(pair, sending) == "before" + data + "after");
    EXPECT_EQ(sending.result(), data.size());
    EXPECT_EQ(file.position(), static_cast<std::int64_t>(data.size()));
  });
}

// asyncio: test_sendfile.py::SockSendfileMixin::test_sock_sendfile_with_offset_and_count
// asyncio: test_sendfile.py::SockSendfileMixin::test_sock_sendfile_zero_size
FIBER_TEST(SockSendfileTest, SendsAPartOrNothing) {
  WEFT_NOT_FAULT_SWEPT(kWaitsForBytes);
  const std::string data = numbers(100000);
  const OpenFile file(data);
  const OpenFile empty("");
  with_loop([&](EventLoop& loop) {
    SocketPair pair;
    const OwnFd sock(pair.take());
    EXPECT_EQ(await(loop.sock_sendfile(sock.get(), file.fd(), {.offset = 1000, .count = 2000})),
              2000U);
    EXPECT_EQ(pair.get(), data.substr(1000, 2000));
    EXPECT_EQ(file.position(), 3000);
    EXPECT_EQ(await(loop.sock_sendfile(sock.get(), empty.fd())), 0U);
    EXPECT_EQ(empty.position(), 0);
    EXPECT_EQ(pair.get(), "");
  });
}

// asyncio: test_base_events.py::BaseLoopSockSendfileTests::test_sock_sendfile_no_fallback
// asyncio: test_base_events.py::BaseLoopSockSendfileTests::test_sock_sendfile_fallback
FIBER_TEST(SockSendfileTest, ReadsAndWritesWhatTheSystemCannotSend) {
  WEFT_NOT_FAULT_SWEPT(kWaitsForBytes);
  const std::string data = numbers(kMuch);
  const auto file = std::make_shared<TextSource>(data);
  with_loop([&](EventLoop& loop) {
    SocketPair pair;
    const OwnFd sock(pair.take());
    EXPECT_THROW(await(loop.sock_sendfile(sock.get(), file, {.fallback = false})),
                 SendfileNotAvailableError);
    auto sending = loop.create_task(loop.sock_sendfile(sock.get(), file, {.offset = 7}));
    EXPECT_TRUE(receive_until_done(pair, sending) == data.substr(7));
    EXPECT_EQ(sending.result(), data.size() - 7);
    EXPECT_EQ(file->position, static_cast<std::int64_t>(data.size()));
  });
}

// A pipe has no size: asyncio takes it for an empty file.
FIBER_TEST(SockSendfileTest, ReadsAPipeToItsEnd) {
  WEFT_NOT_FAULT_SWEPT(kWaitsForBytes);
  Pipe pipe;
  pipe.put('a');
  pipe.put('b');
  pipe.close_writer();
  with_loop([&](EventLoop& loop) {
    SocketPair pair;
    const OwnFd sock(pair.take());
    EXPECT_EQ(await(loop.sock_sendfile(sock.get(), pipe.reader())), 2U);
    EXPECT_EQ(pair.get(), "ab");
  });
}

// asyncio: test_base_events.py::BaseLoopSockSendfileTests::test_nonstream_socket
FIBER_TEST(SockSendfileTest, NeedsASocketOfStreams) {
  const OpenFile file("x");
  with_loop([&](EventLoop& loop) {
    const OwnFd datagrams(::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    EXPECT_EQ(
        thrown<fibers::UsageError>([&] { await(loop.sock_sendfile(datagrams.get(), file.fd())); }),
        "only SOCK_STREAM type sockets are supported");
  });
}

// asyncio: test_unix_events.py::SelectorEventLoopUnixSockSendfileTests::test_sock_sendfile_os_error_first_call
FIBER_TEST(SockSendfileTest, RaisesNoSignalWhenThePeerIsGone) {
  const OpenFile file("x");
  const auto before = std::signal(SIGPIPE, SIG_DFL);
  with_loop([&](EventLoop& loop) {
    SocketPair pair;
    const OwnFd sock(pair.take());
    pair.close_peer();
    EXPECT_EQ(thrown<SendfileNotAvailableError>(
                  [&] { await(loop.sock_sendfile(sock.get(), file.fd(), {.fallback = false})); }),
              "os.sendfile call failed");
    try {
      await(loop.sock_sendfile(sock.get(), file.fd()));
      ADD_FAILURE() << "nothing was thrown";
    } catch (const std::system_error& error) {
      EXPECT_EQ(error.code().value(), EPIPE);
    }
  });
  std::signal(SIGPIPE, before);
}

}  // namespace
}  // namespace weft::loop
