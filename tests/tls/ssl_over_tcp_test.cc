// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/tls/ssl_over_tcp.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "tests/tls/ssl_pairs.h"
#include "tests/tls/tls_testing.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/open_stream_to_socket_listener.h"

namespace weft::fibers {
namespace {

void echo(SSLStream& stream) {
  try {
    for (std::string data = stream.receive_some(); !data.empty(); data = stream.receive_some()) {
      stream.send_all(data);
    }
    stream.aclose();
  } catch (const BrokenResourceError&) {
    // One client's affair.
  }
}

// trio: test_highlevel_ssl_helpers.py::test_open_ssl_over_tcp_stream_and_everything_else
FIBER_TEST(SSLOverTcpTest, ClientAndServerTalk) {
  open_nursery([&](Nursery& nursery) {
    const auto port = nursery.start<std::uint16_t>([&](TaskStatus<std::uint16_t>& status) {
      serve_ssl_over_tcp(echo, 0, test_server_context(), {.tcp = {.host = "127.0.0.1"}}, status);
    });
    // This machine's authorities do not know the server.
    SSLStream careful = open_ssl_over_tcp_stream("127.0.0.1", port);
    broken_because<SSLCertVerificationError>([&] { careful.do_handshake(); });
    // It is no "localhost" either.
    SSLStream deceived =
        open_ssl_over_tcp_stream("localhost", port, {.ssl_context = test_client_context()});
    broken_because<SSLCertVerificationError>([&] { deceived.do_handshake(); });
    for (const bool https_compatible : {false, true}) {
      SSLStream stream = open_ssl_over_tcp_stream(
          "127.0.0.1", port,
          {.ssl_context = test_client_context(), .https_compatible = https_compatible});
      EXPECT_EQ(stream.server_hostname(), "127.0.0.1");
      stream.send_all("x");
      EXPECT_EQ(stream.receive_some(), "x");
      EXPECT_EQ(stream.transport_stream<SocketStream>().peer_address().port(), port);
      stream.aclose();
    }
    nursery.cancel_scope().cancel();
  });
}

// trio: test_highlevel_ssl_helpers.py::test_open_ssl_over_tcp_listeners
FIBER_TEST(SSLOverTcpTest, OpensListeners) {
  auto listeners =
      open_ssl_over_tcp_listeners(0, test_server_context(), {.tcp = {.host = "127.0.0.1"}});
  ASSERT_EQ(listeners.size(), 1U);
  EXPECT_EQ(listeners.front().transport_listener.local_address().host(), "127.0.0.1");
}

FIBER_TEST(SSLOverTcpTest, ContextsHaveToBeForTheSide) {
  EXPECT_THROW(open_ssl_over_tcp_stream("localhost", 1, {.ssl_context = test_server_context()}),
               UsageError);
  EXPECT_THROW(
      open_ssl_over_tcp_listeners(0, test_client_context(), {.tcp = {.host = "127.0.0.1"}}),
      UsageError);
}

// trio: test_ssl.py::test_SSLListener
FIBER_TEST(SSLListenerTest, AcceptsStreamsThatTalkTls) {
  for (const bool https_compatible : {false, true}) {
    auto sockets = open_tcp_listeners(0, {.host = "127.0.0.1"});
    SSLListener listener(std::move(sockets.front()), test_server_context(),
                         {.https_compatible = https_compatible});
    SSLStream client(testing::open_stream_to_socket_listener(listener.transport_listener),
                     test_client_context(),
                     {.server_hostname = "example.org", .https_compatible = https_compatible});
    SSLStream server = listener.accept();
    EXPECT_TRUE(server.server_side());
    EXPECT_TRUE(server.context().is_server());
    together([&] { client.send_all("x"); }, [&] { EXPECT_EQ(server.receive_some(), "x"); });
    // Only one that does not want to hear a goodbye takes this for an end.
    aclose_forcefully(client);
    if (https_compatible) {
      EXPECT_EQ(server.receive_some(), "");
    } else {
      EXPECT_THROW(server.receive_some(), BrokenResourceError);
    }
    listener.aclose();
    EXPECT_THROW(listener.accept(), ClosedResourceError);
  }
}

// trio: test_ssl.py::test_SSLListener
FIBER_TEST(SSLListenerTest, IsAListener) {
  auto sockets = open_tcp_listeners(0, {.host = "127.0.0.1"});
  SSLListener listener(std::move(sockets.front()), test_server_context());
  Listener<SSLStream>& base = listener;
  SocketStream client = testing::open_stream_to_socket_listener(listener.transport_listener);
  const SSLStream server = base.accept();
  aclose_forcefully(base);
}

}  // namespace
}  // namespace weft::fibers
