// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// TLS over connections of the loop's own.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "tests/loop_tls/loop_tls_testing.h"
#include "weft/fibers/socket_address.h"
#include "weft/loop/streams.h"
#include "weft/tls/ssl_error.h"

namespace weft::loop {
namespace {

using namespace testing;  // NOLINT: the helpers of the folder.

std::uint16_t port_of(const Server& server) {
  fibers::SocketAddress address;
  auto size = static_cast<socklen_t>(fibers::SocketAddress::capacity());
  EXPECT_EQ(::getsockname(server.sockets().front(), address.data(), &size), 0);
  address.set_size(size);
  return address.port();
}

Coro<void> echo(StreamReader reader, StreamWriter writer) {
  for (;;) {
    const std::string data = co_await reader.read(65536);
    if (data.empty()) break;
    writer.write(data);
    co_await writer.drain();
  }
  writer.close();
  co_await writer.wait_closed();
}

// asyncio: test_ssl.py::TestSSL::test_create_server_ssl_1
// asyncio: test_ssl.py::TestSSL::test_create_connection_ssl_1
// asyncio: claims_tls::a_megabyte_is_echoed
FIBER_TEST(TlsConnectionTest, AMegabyteIsEchoedOverTcp) {
  SSLLayer server_side(fibers::test_server_context());
  SSLLayer client_side(fibers::test_client_context());
  std::string data;
  for (int i = 0; data.size() < 1 << 20; ++i) data += std::to_string(i);
  with_loop([&](EventLoop& loop) {
    Server server = await(start_server(loop, echo, "127.0.0.1", 0, {.ssl = &server_side}));
    auto [reader, writer] =
        await(open_connection(loop, "127.0.0.1", port_of(server),
                              {.ssl = &client_side, .server_hostname = "example.org"}));
    EXPECT_EQ(writer.get_extra_info(extra_info::cipher)->protocol, "TLSv1.3");
    EXPECT_TRUE(writer.get_extra_info(extra_info::peername).has_value());
    auto writes = loop.create_task([&data, writer = writer]() mutable -> Coro<void> {
      for (std::size_t at = 0; at < data.size(); at += 50000) {
        writer.write(std::string_view(data).substr(at, 50000));
        co_await writer.drain();
      }
    });
    EXPECT_EQ(await(reader.readexactly(data.size())), data);
    await(writes);
    writer.close();
    await(writer.wait_closed());
    server.close();
    await(server.wait_closed());
  });
}

// The address of a host is what the certificate has to be for, if nothing else is said.
FIBER_TEST(TlsConnectionTest, TheHostIsWhomTheClientExpects) {
  SSLLayer server_side(fibers::test_server_context());
  SSLLayer client_side(fibers::test_client_context());
  with_loop([&](EventLoop& loop) {
    Server server = await(start_server(loop, echo, "127.0.0.1", 0, {.ssl = &server_side}));
    const std::uint16_t port = port_of(server);
    auto streams = await(open_connection(loop, "127.0.0.1", port, {.ssl = &client_side}));
    streams.second.close();
    await(streams.second.wait_closed());
    EXPECT_THROW(await(open_connection(loop, "127.0.0.1", port,
                                       {.ssl = &client_side, .server_hostname = "other.example"})),
                 fibers::SSLCertVerificationError);
    server.close();
    await(server.wait_closed());
  });
}

}  // namespace
}  // namespace weft::loop
