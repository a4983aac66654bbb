// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/start_tls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "tests/loop_tls/loop_tls_testing.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/nursery.h"
#include "weft/tls/ssl_error.h"

namespace weft::loop {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using namespace testing;  // NOLINT: the helpers of the folder.

// A connection without TLS, between two protocols that know of it.
struct Plain {
  explicit Plain(EventLoop& loop)
      : client(std::make_shared<Recorder>(loop)),
        server(std::make_shared<Recorder>(loop)),
        pipe(loop, client, server) {
    expect_set(client->made);
  }
  std::shared_ptr<Recorder> client;
  std::shared_ptr<Recorder> server;
  Wire pipe;
};

// TLS on both sides; the transports of the protocols are those of TLS then.
void upgrade(EventLoop& loop, Plain& plain, SSLLayer& client, SSLLayer& server) {
  Task<Transport> serves = loop.create_task(
      start_tls(plain.server->transport, plain.server, server, {.server_side = true}));
  plain.client->transport = await(
      start_tls(plain.client->transport, plain.client, client, {.server_hostname = "example.org"}));
  plain.server->transport = await(serves);
}

// asyncio: claims_tls::data_before_and_after_start_tls
// asyncio: test_ssl.py::TestSSL::test_start_tls_client_reg_proto_1
// asyncio: test_ssl.py::TestSSL::test_start_tls_server_1
// asyncio: test_sslproto.py::BaseStartTLS::test_start_tls_client_reg_proto_1
// asyncio: test_sslproto.py::BaseStartTLS::test_start_tls_server_1
FIBER_TEST(StartTlsTest, TheProtocolsTalkOnInTls) {
  with_loop([](EventLoop& loop) {
    SSLLayer client(fibers::test_client_context());
    SSLLayer server(fibers::test_server_context());
    Plain plain(loop);
    plain.client->transport.write("STARTTLS");
    turn_until(loop, [&] { return plain.server->received == "STARTTLS"; });
    upgrade(loop, plain, client, server);
    plain.client->transport.write("secret");
    plain.server->transport.write(std::string(1 << 20, 'x'));
    turn_until(loop, [&] { return plain.client->received.size() == 1 << 20; });
    EXPECT_EQ(plain.server->received, "STARTTLSsecret");
    plain.client->transport.close();
    expect_set(plain.client->ended);
    expect_set(plain.server->ended);
    EXPECT_THAT(plain.client->log, ElementsAre("made", "eof", "lost"));
    EXPECT_THAT(plain.server->log, ElementsAre("made", "eof", "lost"));
  });
}

// asyncio: test_ssl.py::TestSSL::test_create_server_ssl_over_ssl
FIBER_TEST(StartTlsTest, TlsGoesOverTls) {
  with_loop([](EventLoop& loop) {
    SSLLayer client(fibers::test_client_context());
    SSLLayer server(fibers::test_server_context());
    Plain plain(loop);
    upgrade(loop, plain, client, server);
    upgrade(loop, plain, client, server);
    plain.client->transport.write("secret");
    turn_until(loop, [&] { return plain.server->received == "secret"; });
    plain.client->transport.abort();
    expect_set(plain.server->ended);
  });
}

// The inner one shakes hands already, the outer one not yet: the error goes from the one to the
// other.
// asyncio: test_sslproto.py::SslProtoHandshakeTests::test_close_during_ssl_over_ssl
FIBER_TEST(StartTlsTest, TlsOverTlsMayBeClosedDuringTheHandshakes) {
  with_loop([](EventLoop& loop) {
    for (const bool inner_first : {false, true}) {
      SSLLayer layer(fibers::test_client_context());
      const auto client = std::make_shared<Recorder>(loop);
      const auto silent = std::make_shared<Recorder>(loop);
      MadeLayer inner =
          layer.make({.loop = loop, .protocol = client, .server_hostname = "example.org"});
      MadeLayer outer =
          layer.make({.loop = loop, .protocol = inner.protocol, .server_hostname = "example.org"});
      const Wire wire(loop, outer.protocol, silent);
      expect_set(silent->made);
      (inner_first ? inner : outer).transport.close();
      (inner_first ? outer : inner).transport.close();
      expect_set(silent->ended);
      loop.synchronize();
      EXPECT_THAT(client->log, ElementsAre());
    }
  });  // Strict: nothing has been reported.
}

// asyncio: test_ssl.py::TestSSL::test_start_tls_slow_client_cancel
// asyncio: test_sslproto.py::BaseStartTLS::test_start_tls_slow_client_cancel
FIBER_TEST(StartTlsTest, ToCancelItClosesTheConnection) {
  with_loop([](EventLoop& loop) {
    SSLLayer client(fibers::test_client_context());
    Plain plain(loop);
    const Transport transport = plain.client->transport;
    EXPECT_FALSE(fibers::move_on_after(1s, [&] {
      await(start_tls(transport, plain.client, client, {.server_hostname = "example.org"}));
    }));
    EXPECT_TRUE(transport.is_closing());
    expect_set(plain.server->ended);
    expect_set(plain.client->ended);
  });
}

// A protocol that knows of a connection hears of its end, also if that is a handshake that fails.
FIBER_TEST(StartTlsTest, AFailureEndsTheConnectionOfTheProtocol) {
  with_loop([](EventLoop& loop) {
    SSLLayer client(fibers::SSLContext::client({.system_trust_store = false}));
    SSLLayer server(fibers::test_server_context());
    Plain plain(loop);
    Task<Transport> serves = loop.create_task(
        start_tls(plain.server->transport, plain.server, server, {.server_side = true}));
    EXPECT_THROW(await(start_tls(plain.client->transport, plain.client, client,
                                 {.server_hostname = "example.org"})),
                 fibers::SSLCertVerificationError);
    EXPECT_THAT(thrown<fibers::SSLError>([&] { await(serves); }), HasSubstr("unknown ca"));
    expect_set(plain.client->ended);
    expect_set(plain.server->ended);
    EXPECT_THAT(plain.client->log, ElementsAre("made", "broken"));
  });
}

// asyncio: test_sslproto.py::BaseStartTLS::test_start_tls_wrong_args
FIBER_TEST(StartTlsTest, RefusesTransportsThatTakeNoLayer) {
  with_loop([](EventLoop& loop) {
    SSLLayer client(fibers::test_client_context());
    Plain plain(loop);
    plain.pipe.end_a().compatible = false;
    EXPECT_THAT(thrown<fibers::UsageError>(
                    [&] { await(start_tls(plain.client->transport, plain.client, client)); }),
                HasSubstr("transport PipeEnd is not supported by start_tls()"));
    plain.client->transport.abort();
    expect_set(plain.server->ended);
  });
}

// What arrived before it is there; the protocol is told of the error, and the peer of the end.
// asyncio: test_ssl.py::TestSSL::test_start_tls_client_corrupted_ssl
// asyncio: test_sslproto.py::BaseStartTLS::test_start_tls_client_corrupted_ssl
FIBER_TEST(StartTlsTest, WhatIsNotTlsBreaksAnEstablishedConnection) {
  with_loop([](EventLoop& loop) {
    SSLLayer client(fibers::test_client_context());
    SSLLayer server(fibers::test_server_context());
    Plain plain(loop);
    const Transport below = plain.server->transport;
    upgrade(loop, plain, client, server);
    plain.server->transport.write("A");
    plain.client->transport.write("B");
    turn_until(loop,
               [&] { return plain.client->received == "A" && plain.server->received == "B"; });
    Transport(below).write("this is not a record of TLS");
    expect_set(plain.client->ended);
    EXPECT_THROW(plain.client->throw_error(), fibers::SSLError);
    EXPECT_THAT(plain.client->log, ElementsAre("made", "broken"));
    EXPECT_EQ(plain.client->received, "A");
    expect_set(plain.server->ended);
  });
}

}  // namespace
}  // namespace weft::loop
