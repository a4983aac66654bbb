// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// TLS over connections of the loop's own.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

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

// The connection below is TLS's, which the program does not hold.
FIBER_TEST(TlsConnectionTest, InDebugModeALoopThatIsClosedReportsEachSideOnce) {
  SSLLayer server_side(fibers::test_server_context());
  SSLLayer client_side(fibers::test_client_context());
  std::vector<std::string> reported;
  with_loop([&](EventLoop& loop) {
    loop.set_slow_callback_duration(std::chrono::hours(1));
    loop.set_debug(true);
    loop.set_exception_handler([&](EventLoop&, const ExceptionContext& context) {
      if (context.message.starts_with("unclosed")) reported.push_back(context.message);
    });
    Server server = await(start_server(loop, echo, "127.0.0.1", 0, {.ssl = &server_side}));
    auto [reader, writer] =
        await(open_connection(loop, "127.0.0.1", port_of(server),
                              {.ssl = &client_side, .server_hostname = "example.org"}));
    writer.write("x");  // When it comes back, the server's side has shaken hands, too.
    EXPECT_EQ(await(reader.readexactly(1)), "x");
    server.close();
    loop.stop();
    loop.wait_stopped();
    loop.close();
  });
  const auto of_tls = ::testing::StartsWith("unclosed transport <TLS transport fd=");
  EXPECT_THAT(reported, ::testing::ElementsAre(of_tls, of_tls));
}

}  // namespace
}  // namespace weft::loop
