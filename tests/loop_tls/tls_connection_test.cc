// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// TLS over connections of the loop's own.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>

#include "tests/loop/server_testing.h"
#include "tests/loop_tls/loop_tls_testing.h"
#include "weft/loop/streams.h"
#include "weft/tls/ssl_error.h"

namespace weft::loop {
namespace {

using namespace testing;  // NOLINT: the helpers of the folder.

// asyncio: test_ssl.py::TestSSL::test_create_server_ssl_1
// asyncio: test_ssl.py::TestSSL::test_create_connection_ssl_1
// asyncio: claims_tls::a_megabyte_is_echoed
// asyncio: test_events.py::EventLoopTestsMixin::test_create_server_ssl
// asyncio: test_events.py::EventLoopTestsMixin::test_create_ssl_connection
FIBER_TEST(TlsConnectionTest, AMegabyteIsEchoedOverTcp) {
  SSLLayer server_side(fibers::test_server_context());
  SSLLayer client_side(fibers::test_client_context());
  with_loop([&](EventLoop& loop) {
    Server server = await(start_server(loop, echo, "127.0.0.1", 0, {.ssl = &server_side}));
    auto [reader, writer] =
        await(open_connection(loop, "127.0.0.1", port_of(server),
                              {.ssl = &client_side, .server_hostname = "example.org"}));
    EXPECT_EQ(writer.get_extra_info(extra_info::cipher)->protocol, "TLSv1.3");
    EXPECT_TRUE(writer.get_extra_info(extra_info::peername).has_value());
    expect_echo_of_a_megabyte(loop, reader, writer);
    stop(server);
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
    stop(server);
  });
}

}  // namespace
}  // namespace weft::loop
