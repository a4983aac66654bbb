// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// TLS over Unix sockets, and over sockets that somebody else has accepted.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "tests/loop/server_testing.h"
#include "tests/loop_tls/loop_tls_testing.h"
#include "tests/support/temporary_directory.h"
#include "weft/fibers/errors.h"
#include "weft/loop/streams.h"
#include "weft/tls/ssl_error.h"

namespace weft::loop {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using namespace testing;  // NOLINT: the helpers of the folder.

// A server of TLS in a directory of its own, whose protocol is `accepted`. Outlives the loop, which
// may call it until its end.
struct UnixServer {
  Server listen(EventLoop& loop) {
    return await(loop.create_unix_server(
        [this, &loop] { return accepted = std::make_shared<Recorder>(loop, true); }, path,
        {.ssl = &layer}));
  }
  test::TemporaryDirectory directory;
  std::string path = directory / "server";
  std::shared_ptr<Recorder> accepted;
  SSLLayer layer{fibers::test_server_context()};
};

// asyncio: test_events.py::EventLoopTestsMixin::test_create_unix_server_ssl
// asyncio: test_events.py::EventLoopTestsMixin::test_create_unix_server_ssl_verified
// asyncio: test_events.py::EventLoopTestsMixin::test_create_ssl_unix_connection
FIBER_TEST(TlsUnixTest, AServerAndAClientThatCheckEachOtherTalk) {
  WEFT_NOT_FAULT_SWEPT("it waits for a peer that a fault may have taken away");
  UnixServer server;
  SSLLayer client_side(fibers::test_client_context());
  with_loop([&](EventLoop& loop) {
    Server serving = server.listen(loop);
    auto [transport, client] = await(loop.create_unix_connection(
        [&loop] { return std::make_shared<Recorder>(loop); }, server.path,
        {.ssl = &client_side, .server_hostname = "example.org"}));
    EXPECT_EQ(transport.get_extra_info(extra_info::peername),
              fibers::SocketAddress::from_path(server.path));
    EXPECT_TRUE(transport.get_extra_info(extra_info::sockname).has_value());
    EXPECT_TRUE(transport.get_extra_info(extra_info::peercert).has_value());
    EXPECT_TRUE(transport.get_extra_info(extra_info::cipher).has_value());
    transport.write("xxx");
    turn_until(loop, [&client = client] { return client->received == "xxx"; });
    EXPECT_EQ(server.accepted->received, "xxx");
    Transport(server.accepted->transport).close();
    expect_set(server.accepted->ended);
    expect_set(client->ended);
    EXPECT_THAT(client->log, ElementsAre("made", "eof", "lost"));
    EXPECT_THAT(server.accepted->log, ElementsAre("made", "eof", "lost"));
    stop(serving);
  });
}

// The server's protocol never hears of that connection.
// asyncio: test_events.py::EventLoopTestsMixin::test_create_unix_server_ssl_verify_failed
FIBER_TEST(TlsUnixTest, AClientThatDoesNotTrustTheServerHasNoConnection) {
  WEFT_NOT_FAULT_SWEPT("it waits for a peer that a fault may have taken away");
  UnixServer server;
  SSLLayer untrusting(fibers::SSLContext::client({.system_trust_store = false}));
  with_loop([&](EventLoop& loop) {
    Server serving = server.listen(loop);
    auto client = std::make_shared<Recorder>(loop);
    thrown<fibers::SSLCertVerificationError>([&] {
      await(loop.create_unix_connection([&] { return client; }, server.path,
                                        {.ssl = &untrusting, .server_hostname = "example.org"}));
    });
    stop(serving);
    EXPECT_THAT(client->log, ElementsAre());
    EXPECT_THAT(server.accepted->log, ElementsAre());
  });
}

// A path is no name that a certificate could be for.
// asyncio: test_unix_events.py::SelectorEventLoopUnixSocketTests::test_create_unix_connection_ssl_noserverhost
FIBER_TEST(TlsUnixTest, AClientThatChecksNamesIsToldOne) {
  WEFT_NOT_FAULT_SWEPT("it waits for a peer that a fault may have taken away");
  UnixServer server;
  fibers::SSLContext indifferent = fibers::test_client_context();
  indifferent.set_check_hostname(false);
  SSLLayer checks(fibers::test_client_context());
  SSLLayer does_not(indifferent);
  with_loop([&](EventLoop& loop) {
    Server serving = server.listen(loop);
    EXPECT_THAT(thrown<fibers::UsageError>(
                    [&] { await(open_unix_connection(loop, server.path, {.ssl = &checks})); }),
                HasSubstr("check_hostname requires server_hostname"));
    auto streams = await(open_unix_connection(loop, server.path, {.ssl = &does_not}));
    streams.second.close();
    await(streams.second.wait_closed());
    stop(serving);
  });
}

// asyncio: test_events.py::EventLoopTestsMixin::test_ssl_connect_accepted_socket
// asyncio: test_ssl.py::TestSSL::test_ssl_connect_accepted_socket
// asyncio: test_ssl.py::TestSSL::test_connect_accepted_socket
FIBER_TEST(TlsUnixTest, ASocketThatSomebodyElseAcceptedIsTheServersSide) {
  WEFT_NOT_FAULT_SWEPT("it waits for a peer that a fault may have taken away");
  SSLLayer server_side(fibers::test_server_context());
  SSLLayer client_side(fibers::test_client_context());
  with_loop([&](EventLoop& loop) {
    SocketEnds ends;
    auto accepting = loop.create_task(loop.connect_accepted_socket(
        [&loop] { return std::make_shared<Recorder>(loop, true); }, ends.give(0),
        {.ssl = &server_side, .ssl_handshake_timeout = 10s}));
    auto [reader, writer] = await(open_connection(
        loop, ends.give(1), {.ssl = &client_side, .server_hostname = "example.org"}));
    auto [transport, server] = await(accepting);
    EXPECT_TRUE(transport.get_extra_info(extra_info::cipher).has_value());
    writer.write("test data");
    EXPECT_EQ(await(reader.readexactly(9)), "test data");
    EXPECT_EQ(server->received, "test data");
    writer.close();
    await(writer.wait_closed());
    expect_set(server->ended);
    EXPECT_THAT(server->log, ElementsAre("made", "eof", "lost"));
  });
}

// A line there and back, in a task, which finds the loop by itself.
template <class Open>
std::string talks_without_a_loop(EventLoop& loop, Open open) {
  return await(loop.create_task([open]() -> Coro<std::string> {
    auto streams = co_await open();
    streams.second.write("line\n");
    std::string line = co_await streams.first.readline();
    streams.second.close();
    co_await streams.second.wait_closed();
    co_return line;
  }));
}

// asyncio: test_streams.py::StreamTests::test_open_connection_no_loop_ssl
// asyncio: test_streams.py::StreamTests::test_open_unix_connection_no_loop_ssl
FIBER_TEST(TlsUnixTest, InATaskTheLoopOfItsStreamsIsTheRunningOne) {
  WEFT_NOT_FAULT_SWEPT("it waits for a peer that a fault may have taken away");
  UnixServer unix_server;
  SSLLayer client_side(fibers::test_client_context());
  with_loop([&](EventLoop& loop) {
    const ConnectionOptions options{.ssl = &client_side, .server_hostname = "example.org"};
    Server serving = unix_server.listen(loop);
    EXPECT_EQ(
        talks_without_a_loop(loop, [&] { return open_unix_connection(unix_server.path, options); }),
        "line\n");
    stop(serving);
    Server server = await(start_server(loop, echo, "127.0.0.1", 0, {.ssl = &unix_server.layer}));
    EXPECT_EQ(talks_without_a_loop(
                  loop, [&] { return open_connection("127.0.0.1", port_of(server), options); }),
              "line\n");
    stop(server);
  });
}

}  // namespace
}  // namespace weft::loop
