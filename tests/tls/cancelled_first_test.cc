// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Cancelled first: TLS.

#include <gtest/gtest.h>

#include <utility>

#include "tests/support/cancelled_first.h"
#include "tests/tls/ssl_pairs.h"
#include "tests/tls/test_authority.h"
#include "tests/tls/tls_testing.h"
#include "weft/fibers/tcp.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/tls/ssl_listener.h"
#include "weft/tls/ssl_over_tcp.h"

namespace weft::fibers {
namespace {

using test::cancelled_first;
using test::says_cancelled;

void rows_of_a_stream(SSLStream& stream) {
  cancelled_first("tls/ssl_stream.h do_handshake", [&] { stream.do_handshake(); });
  cancelled_first("tls/ssl_stream.h send_all", [&] { stream.send_all("x"); });
  cancelled_first("tls/ssl_stream.h wait_send_all_might_not_block",
                  [&] { stream.wait_send_all_might_not_block(); });
  cancelled_first("tls/ssl_stream.h receive_some", [&] { stream.receive_some(1); });
  cancelled_first("tls/ssl_stream.h unwrap", [&] { stream.unwrap(); });
}

FIBER_TEST(CancelledFirstTest, AClosedOrMovedSSLStream) {
  auto [client, server] = ssl_memory_pair();
  says_cancelled("tls/ssl_stream.h aclose", [&, &stream = client] { stream.aclose(); });
  rows_of_a_stream(client);
  const SSLStream elsewhere = std::move(server);
  // NOLINTNEXTLINE(bugprone-use-after-move): that is what is wrong with it.
  rows_of_a_stream(server);
}

FIBER_TEST(CancelledFirstTest, NoRoomToReceiveInto) {
  auto [client, server] = ssl_memory_pair();
  cancelled_first("tls/ssl_stream.h receive_some",
                  [&, &stream = client] { stream.receive_some(std::span<std::byte>()); });
}

FIBER_TEST(CancelledFirstTest, AClosedSSLListener) {
  SSLListener<> listener(std::move(open_tcp_listeners(0, {.host = "127.0.0.1"}).front()),
                         test_server_context());
  says_cancelled("tls/ssl_listener.h aclose", [&] { listener.aclose(); });
  cancelled_first("tls/ssl_listener.h accept", [&] { listener.accept(); });
}

FIBER_TEST(CancelledFirstTest, ConnectionsAndListenersWithBadArguments) {
  cancelled_first("tls/ssl_over_tcp.h open_ssl_over_tcp_stream", [] {
    open_ssl_over_tcp_stream("127.0.0.1", 1, {.ssl_context = test_server_context()});
  });
  const TcpListenOptions bad{.backlog = 0};
  cancelled_first("tls/ssl_over_tcp.h open_ssl_over_tcp_listeners",
                  [&] { open_ssl_over_tcp_listeners(0, test_server_context(), {.tcp = bad}); });
  cancelled_first("tls/ssl_over_tcp.h serve_ssl_over_tcp", [&] {
    serve_ssl_over_tcp([](SSLStream&) {}, 0, test_server_context(), {.tcp = {.backlog = 0}});
  });
}

}  // namespace
}  // namespace weft::fibers
