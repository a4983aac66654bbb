// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Streams over TLS.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "tests/loop/server_testing.h"
#include "tests/loop_tls/loop_tls_testing.h"
#include "weft/loop/detail/stream_access.h"
#include "weft/loop/stream_protocol.h"
#include "weft/loop/stream_reader.h"
#include "weft/loop/stream_writer.h"
#include "weft/loop/task.h"

namespace weft::loop {
namespace {

using namespace testing;  // NOLINT: the helpers of the folder.

// The client's end of a connection whose server is `serve`.
struct Client {
  Client(EventLoop& loop, ClientConnected serve)
      : reader(loop),
        protocol(std::make_shared<StreamReaderProtocol>(loop, reader)),
        wire(loop, protocol,
             std::make_shared<StreamReaderProtocol>(loop, StreamReader(loop), std::move(serve))),
        writer(StreamAccess::wrap(detail::make_counted<detail::StreamWriterCore>(
            wire.a, protocol, StreamAccess::core(reader)))) {}
  StreamReader reader;
  std::shared_ptr<StreamReaderProtocol> protocol;
  Wire wire;
  StreamWriter writer;
};

// A line in the clear, then TLS, then an echo until the end.
ClientConnected upgrades(SSLLayer& layer) {
  return [&layer](StreamReader reader, StreamWriter writer) -> Coro<void> {
    writer.write(co_await reader.readline());
    co_await writer.start_tls(layer);
    co_await echo(reader, writer);
  };
}

// asyncio: test_streams.py::StreamTests::test_start_tls
// asyncio: claims_tls::data_before_and_after_start_tls
FIBER_TEST(StreamTlsTest, StreamsTalkBeforeTlsAndInIt) {
  SSLLayer server(fibers::test_server_context());
  SSLLayer client(fibers::test_client_context());
  with_loop([&](EventLoop& loop) {
    Client made(loop, upgrades(server));
    loop.synchronize();
    made.writer.write("STARTTLS\n");
    EXPECT_EQ(await(made.reader.readline()), "STARTTLS\n");
    await(made.writer.start_tls(client, {.server_hostname = "example.org"}));
    EXPECT_TRUE(made.writer.get_extra_info(extra_info::cipher).has_value());
    made.writer.write("hello world 1!\n");
    EXPECT_EQ(await(made.reader.readline()), "hello world 1!\n");
    made.writer.close();
    await(made.writer.wait_closed());
    EXPECT_TRUE(made.reader.at_eof());
  });
}

// Both readers are full on the way, and both writers wait.
// asyncio: claims_tls::a_megabyte_is_echoed
FIBER_TEST(StreamTlsTest, AMegabyteIsEchoed) {
  SSLLayer server(fibers::test_server_context());
  SSLLayer client(fibers::test_client_context());
  with_loop([&](EventLoop& loop) {
    Client made(loop, upgrades(server));
    loop.synchronize();
    made.writer.write("STARTTLS\n");
    EXPECT_EQ(await(made.reader.readline()), "STARTTLS\n");
    await(made.writer.start_tls(client, {.server_hostname = "example.org"}));
    expect_echo_of_a_megabyte(loop, made.reader, made.writer);
  });
}

}  // namespace
}  // namespace weft::loop
