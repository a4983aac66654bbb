// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The last data of a connection, and its goodbye.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/loop/server_testing.h"
#include "tests/loop_tls/loop_tls_testing.h"
#include "weft/loop/streams.h"
#include "weft/loop/wait_for.h"

namespace weft::loop {
namespace {

using ::testing::ElementsAre;
using namespace testing;  // NOLINT: the helpers of the folder.

// What comes after close() is dropped, but not the goodbye behind it.
// asyncio: test_sslproto.py::SslProtoHandshakeTests::test_data_received_after_closing
FIBER_TEST(TlsEndTest, AGoodbyeBehindWhatNobodyWantsIsHeard) {
  with_loop([](EventLoop& loop) {
    const auto [client, server, tls] = connected(loop);
    expect_set(server->made);
    const fibers::Instant begun = loop.time();
    tls.pipe.end_b().hold_up(true);
    client->transport.close();
    server->transport.write("unheard");
    server->transport.close();
    loop.synchronize();
    tls.pipe.end_b().hold_up(false);
    expect_set(client->ended);
    expect_set(server->ended);
    EXPECT_EQ(client->received, "");
    EXPECT_THAT(client->log, ElementsAre("made", "eof", "lost"));
    EXPECT_THAT(server->log, ElementsAre("made", "eof", "lost"));
    EXPECT_EQ(loop.time(), begun);
  });
}

// The peer has gone without a goodbye, and not everything has been read. Nobody waits for a goodbye
// then.
// asyncio: test_ssl.py::TestSSL::test_shutdown_timeout_handler_not_set
FIBER_TEST(TlsEndTest, AConnectionIsNotClosingBeforeTheRestIsRead) {
  with_loop([](EventLoop& loop) {
    const auto [client, server, tls] = connected(loop);
    expect_set(server->made);
    const fibers::Instant begun = loop.time();
    server->transport.pause_reading();
    client->transport.write("the rest");
    tls.pipe.end_a().close();
    expect_set(client->ended);
    for (int i = 0; i < 10; ++i) loop.synchronize();
    EXPECT_FALSE(server->transport.is_closing());
    EXPECT_EQ(server->received, "");
    Transport held = server->transport;
    held.resume_reading();
    expect_set(server->ended);
    EXPECT_EQ(server->received, "the rest");
    EXPECT_THAT(server->log, ElementsAre("made", "eof", "lost"));
    EXPECT_TRUE(held.is_closing());
    EXPECT_EQ(loop.time(), begun);
  });
}

// More than the connection below takes at once.
constexpr std::size_t kMuch = std::size_t{4} << 20;

// asyncio: test_ssl.py::TestSSL::test_flush_before_shutdown
FIBER_TEST(TlsEndTest, CloseSendsAllThatAFullConnectionHasHeldUp) {
  with_loop([](EventLoop& loop) {
    const auto [client, server, tls] = connected(loop);
    expect_set(server->made);
    tls.pipe.end_b().hold_up(true);
    for (int i = 0; i < 32; ++i) client->transport.write(std::string(kMuch / 32, 'x'));
    EXPECT_THAT(client->log, ElementsAre("made", "pause"));
    client->transport.close();
    loop.synchronize();
    EXPECT_THAT(client->log, ElementsAre("made", "pause"));
    tls.pipe.end_b().hold_up(false);
    expect_set(server->ended);
    expect_set(client->ended);
    EXPECT_EQ(server->received.size(), kMuch);
    EXPECT_THAT(server->log, ElementsAre("made", "eof", "lost"));
  });
}

// A server of TLS that is no transport of ours, and ends one direction at a time.
struct ForeignServer : Protocol {
  explicit ForeignServer(EventLoop& loop)
      : lost(loop), session(SSL_new(context.native_handle()), &SSL_free) {
    SSL_set_bio(session.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_accept_state(session.get());
  }
  void connection_made(Transport on) override { transport = std::move(on); }
  void data_received(std::string_view data) override {
    EXPECT_EQ(BIO_write(SSL_get_rbio(session.get()), data.data(), static_cast<int>(data.size())),
              static_cast<int>(data.size()));
    std::array<char, 16384> room{};
    for (;;) {
      const int count = SSL_read(session.get(), room.data(), static_cast<int>(room.size()));
      if (count <= 0) break;
      received.append(room.data(), static_cast<std::size_t>(count));
    }
    send();
  }
  bool eof_received() override {
    ended = true;
    return false;
  }
  void connection_lost(std::exception_ptr) override {
    transport = {};
    lost.set();
  }
  // What the session has to say: also a goodbye, and `data`.
  void send(std::string_view data = {}) {
    if (!data.empty()) {
      EXPECT_GT(SSL_write(session.get(), data.data(), static_cast<int>(data.size())), 0);
    }
    std::array<char, 16384> room{};
    for (;;) {
      const int count =
          BIO_read(SSL_get_wbio(session.get()), room.data(), static_cast<int>(room.size()));
      if (count <= 0) break;
      transport.write({room.data(), static_cast<std::size_t>(count)});
    }
  }
  void say_goodbye() {
    EXPECT_EQ(SSL_shutdown(session.get()), 0) << "the other has said none";
    send();
  }
  bool has_heard_goodbye() const {
    return (SSL_get_shutdown(session.get()) & SSL_RECEIVED_SHUTDOWN) != 0;
  }

  fibers::SSLContext context = fibers::test_server_context();
  Transport transport;
  std::string received;
  bool ended = false;
  Event lost;
  std::unique_ptr<SSL, void (*)(SSL*)> session;
};

// A client that has written much to a server that hears nothing of it yet.
struct HeldUp {
  explicit HeldUp(EventLoop& loop)
      : layer(fibers::test_client_context()), server(std::make_shared<ForeignServer>(loop)) {
    SocketEnds ends;
    await(loop.create_unix_connection([this] { return server; }, ends.give(0)));
    client = await(loop.create_unix_connection([&loop] { return std::make_shared<Recorder>(loop); },
                                               ends.give(1),
                                               {.ssl = &layer, .server_hostname = "example.org"}))
                 .second;
    client->transport.write("ping");
    turn_until(loop, [&] { return server->received == "ping"; });
    server->send("pong");
    turn_until(loop, [&] { return client->received == "pong"; });
    server->transport.pause_reading();
    for (int i = 0; i < 32; ++i) client->transport.write(std::string(kMuch / 32, 'x'));
    EXPECT_GT(client->transport.get_write_buffer_size(), kMuch / 2);
  }
  SSLLayer layer;
  std::shared_ptr<ForeignServer> server;
  std::shared_ptr<Recorder> client;
};

// asyncio: test_ssl.py::TestSSL::test_remote_shutdown_receives_trailing_data
FIBER_TEST(TlsEndTest, APeerThatSaysGoodbyeFirstGetsAllThatHasBeenWritten) {
  WEFT_NOT_FAULT_SWEPT("it waits for bytes that a fault may have cut off");
  with_loop([](EventLoop& loop) {
    const HeldUp both(loop);
    both.server->say_goodbye();
    for (int i = 0; i < 10; ++i) loop.synchronize();
    both.server->transport.resume_reading();
    expect_set(both.server->lost);
    expect_set(both.client->ended);
    EXPECT_EQ(both.server->received.size(), 4 + kMuch);
    EXPECT_TRUE(both.server->has_heard_goodbye());
    EXPECT_EQ(both.client->log.back(), "lost");
  });
}

// asyncio: test_ssl.py::TestSSL::test_remote_shutdown_receives_trailing_data
FIBER_TEST(TlsEndTest, APeerThatEndsItsDirectionGetsAllThatHasBeenWritten) {
  WEFT_NOT_FAULT_SWEPT("it waits for bytes that a fault may have cut off");
  with_loop([](EventLoop& loop) {
    const HeldUp both(loop);
    both.server->transport.write_eof();
    for (int i = 0; i < 10; ++i) loop.synchronize();
    both.server->transport.resume_reading();
    expect_set(both.server->lost);
    expect_set(both.client->ended);
    EXPECT_EQ(both.server->received.size(), 4 + kMuch);
    EXPECT_TRUE(both.server->ended);
    EXPECT_EQ(both.client->log.back(), "lost");
  });
}

// asyncio: test_ssl.py::TestSSL::test_shutdown_cleanly
FIBER_TEST(TlsEndTest, ManyClientsAtOnceEndWithoutAnError) {
  WEFT_NOT_FAULT_SWEPT("it waits for bytes that a fault may have cut off");
  SSLLayer server_side(fibers::test_server_context());
  SSLLayer client_side(fibers::test_client_context());
  constexpr int kClients = 25;
  static constexpr std::size_t kSize = 100000;
  int answered = 0;
  const auto serve = [](StreamReader reader, StreamWriter writer) -> Coro<void> {
    EXPECT_EQ((co_await reader.readexactly(kSize)).size(), kSize);
    writer.write("OK");
    writer.close();
    co_await writer.wait_closed();
  };
  with_loop([&](EventLoop& loop) {
    Server server = await(start_server(loop, serve, "127.0.0.1", 0, {.ssl = &server_side}));
    const std::uint16_t port = port_of(server);
    const auto talk = [&]() -> Coro<void> {
      const ConnectionOptions options{.ssl = &client_side, .server_hostname = "example.org"};
      auto streams = co_await open_connection(loop, "127.0.0.1", port, options);
      streams.second.write(std::string_view(megabyte()).substr(0, kSize));
      EXPECT_EQ(co_await streams.first.readexactly(2), "OK");
      EXPECT_EQ(co_await streams.first.read(), "");
      ++answered;
      streams.second.close();
      co_await streams.second.wait_closed();
    };
    std::vector<Task<void>> talking;
    for (int i = 0; i < kClients; ++i) talking.push_back(loop.create_task(talk));
    for (const Task<void>& each : talking) await(each);
    stop(server);
  });
  EXPECT_EQ(answered, kClients);
}

// The peer never answers. What has been begun is closed: nobody is told that it was left open.
// asyncio: test_ssl.py::TestSSL::test_connect_timeout_warning
FIBER_TEST(TlsEndTest, AConnectionThatIsGivenUpIsNotReportedAsUnclosed) {
  WEFT_NOT_FAULT_SWEPT("a fault is another error than the timeout");
  SocketEnds ends;
  const CapturedLog capture;
  SSLLayer client_side(fibers::test_client_context());
  with_loop([&](EventLoop& loop) {
    loop.set_slow_callback_duration(std::chrono::hours(1));
    loop.set_debug(true);
    auto client = std::make_shared<Recorder>(loop);
    auto connecting = loop.create_task([&, client]() -> Coro<void> {
      const ConnectionOptions options{.ssl = &client_side, .server_hostname = "example.org"};
      const auto made = [client] { return client; };
      co_await wait_for(loop.create_unix_connection(made, ends.give(0), options), 100ms);
    });
    thrown<TimeoutError>([&] { await(connecting); });
    EXPECT_THAT(client->log, ElementsAre());
  });
  EXPECT_THAT(capture.lines, ElementsAre());
}

}  // namespace
}  // namespace weft::loop
