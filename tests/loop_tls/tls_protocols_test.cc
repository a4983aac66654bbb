// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What the protocols above TLS may be, and how long they and their context live.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tests/loop_tls/loop_tls_testing.h"
#include "weft/fibers/errors.h"
#include "weft/loop/start_tls.h"

namespace weft::loop {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using namespace testing;  // NOLINT: the helpers of the folder.

// Has so much room for what comes; counts what it is told.
struct Narrow : BufferedRecorder {
  Narrow(EventLoop& loop, std::size_t size) : BufferedRecorder(loop), room(size) {}
  void connection_made(Transport on) override {
    BufferedRecorder::connection_made(std::move(on));
    ++times_made;
  }
  std::span<std::byte> get_buffer(std::size_t) override {
    return std::as_writable_bytes(std::span(room));
  }
  void buffer_updated(std::size_t count) override { received.append(room.data(), count); }
  void connection_lost(std::exception_ptr error) override {
    BufferedRecorder::connection_lost(error);
    lost_by = std::move(error);
  }
  std::vector<char> room;
  std::exception_ptr lost_by;
  int times_made = 0;
};

// asyncio: test_sslproto.py::BaseStartTLS::test_buf_feed_data
FIBER_TEST(TlsProtocolsTest, MemoryOfAnySizeIsFilledUntilNothingIsLeft) {
  with_loop([](EventLoop& loop) {
    for (const std::size_t size : {1U, 2U, 4U, 5U, 100U}) {
      const auto client = std::make_shared<Narrow>(loop, size);
      const auto server = std::make_shared<Recorder>(loop);
      TlsPipe tls(loop, client, server);
      await(tls.waiter);
      expect_set(server->made);
      server->transport.write("1234");
      turn_until(loop, [&] { return client->received == "1234"; });
      server->transport.write("12345");
      turn_until(loop, [&] { return client->received == "123412345"; });
      client->transport.abort();
      expect_set(server->ended);
    }
  });
}

// asyncio: test_sslproto.py::BaseStartTLS::test_buf_feed_data
FIBER_TEST(TlsProtocolsTest, NoMemoryAtAllEndsTheConnection) {
  with_loop([](EventLoop& loop) {
    std::vector<std::string> reported;
    loop.set_exception_handler(
        [&](EventLoop&, const ExceptionContext& context) { reported.push_back(context.message); });
    const auto client = std::make_shared<Narrow>(loop, 0);
    const auto server = std::make_shared<Recorder>(loop);
    TlsPipe tls(loop, client, server);
    await(tls.waiter);
    expect_set(server->made);
    server->transport.write("12345");
    expect_set(client->ended);
    expect_set(server->ended);
    EXPECT_THAT(reported, ElementsAre("Fatal error on SSL protocol"));
    ASSERT_NE(client->lost_by, nullptr);
    EXPECT_THAT(thrown<fibers::UsageError>([&] { std::rethrow_exception(client->lost_by); }),
                HasSubstr("empty buffer"));
  });
}

// asyncio: test_ssl.py::TestSSL::test_start_tls_client_buf_proto_1
// asyncio: test_sslproto.py::BaseStartTLS::test_start_tls_client_buf_proto_1
FIBER_TEST(TlsProtocolsTest, AfterStartTlsAPlainProtocolMayFollowOneWithMemory) {
  SSLLayer client_side(fibers::test_client_context());
  SSLLayer server_side(fibers::test_server_context());
  with_loop([&](EventLoop& loop) {
    const std::string hello(100000, '1');
    const auto first = std::make_shared<Narrow>(loop, 1);
    const auto server = std::make_shared<Recorder>(loop);
    const Wire wire(loop, first, server);
    expect_set(first->made);
    first->transport.write(hello);
    turn_until(loop, [&] { return server->received == hello; });
    auto serving =
        loop.create_task(start_tls(server->transport, server, server_side, {.server_side = true}));
    Transport client =
        await(start_tls(first->transport, first, client_side, {.server_hostname = "example.org"}));
    server->transport = await(serving);

    server->transport.write("O");
    turn_until(loop, [&] { return first->received == "O"; });
    client.write(hello);
    const auto second = std::make_shared<Recorder>(loop);
    client.set_protocol(second);
    EXPECT_EQ(client.get_protocol(), second);
    server->transport.write("2");
    turn_until(loop, [&] { return second->received == "2"; });
    client.write(hello);
    turn_until(loop, [&] { return server->received.size() == 3 * hello.size(); });
    server->transport.close();
    expect_set(second->ended);
    expect_set(server->ended);
    EXPECT_EQ(first->times_made, 1);
    EXPECT_EQ(first->received, "O");
    EXPECT_THAT(second->log, ElementsAre("eof", "lost")) << "the connection was made before";
    first->transport = {};
  });
}

// asyncio: test_sslproto.py::SslProtoHandshakeTests::test_set_new_app_protocol
FIBER_TEST(TlsProtocolsTest, AnotherProtocolMayTakeOverDuringTheHandshake) {
  with_loop([](EventLoop& loop) {
    const auto first = std::make_shared<Recorder>(loop);
    const auto second = std::make_shared<Recorder>(loop);
    const auto server = std::make_shared<Recorder>(loop, true);
    SSLLayer client_layer(fibers::test_client_context());
    SSLLayer server_layer(fibers::test_server_context());
    Future<void> waiter = loop.create_future<void>();
    MadeLayer made = client_layer.make(
        {.loop = loop, .protocol = first, .server_hostname = "example.org", .waiter = waiter});
    MadeLayer other = server_layer.make({.loop = loop, .protocol = server, .server_side = true});
    const Wire wire(loop, made.protocol, other.protocol);
    loop.synchronize();
    made.transport.set_protocol(second);
    EXPECT_EQ(made.transport.get_protocol(), second);
    await(waiter);
    made.transport.write("data");
    turn_until(loop, [&] { return second->received == "data"; });
    made.transport.close();
    expect_set(second->ended);
    expect_set(server->ended);
    EXPECT_THAT(first->log, ElementsAre());
    EXPECT_THAT(second->log, ElementsAre("made", "eof", "lost"));
  });
}

// Keeps its transport for good, which asks for a circle.
struct Keeper : Recorder {
  using Recorder::Recorder;
  void connection_lost(std::exception_ptr error) override {
    const Transport kept = transport;
    Recorder::connection_lost(std::move(error));
    transport = kept;
  }
};

// asyncio: test_ssl.py::TestSSL::test_create_connection_memory_leak
// asyncio: test_sslproto.py::BaseStartTLS::test_create_connection_memory_leak
FIBER_TEST(TlsProtocolsTest, NothingIsLeftOfAConnectionWhoseProtocolKeepsItsTransport) {
  with_loop([](EventLoop& loop) {
    std::weak_ptr<Keeper> protocol_left;
    std::weak_ptr<int> context_left;
    {
      auto token = std::make_shared<int>();
      context_left = token;
      SSLLayer client_side(fibers::SSLContext::from_native(
          fibers::test_client_context().native_handle(), {.keep_alive = std::move(token)}));
      SSLLayer server_side(fibers::test_server_context());
      const auto client = std::make_shared<Keeper>(loop);
      protocol_left = client;
      const auto server = std::make_shared<Recorder>(loop, true);
      Future<void> waiter = loop.create_future<void>();
      MadeLayer made = client_side.make(
          {.loop = loop, .protocol = client, .server_hostname = "example.org", .waiter = waiter});
      MadeLayer other = server_side.make({.loop = loop, .protocol = server, .server_side = true});
      const Wire wire(loop, made.protocol, other.protocol);
      await(waiter);
      client->transport.write(std::string(100000, '1'));
      turn_until(loop, [&] { return client->received.size() == 100000; });
      Transport(server->transport).close();
      expect_set(client->ended);
      expect_set(server->ended);
      EXPECT_TRUE(client->transport.is_closing());
    }
    turn_until(loop, [&] { return protocol_left.expired() && context_left.expired(); });
  });
}

}  // namespace
}  // namespace weft::loop
