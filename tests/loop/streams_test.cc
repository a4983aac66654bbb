// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/streams.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "tests/loop/server_testing.h"
#include "tests/loop/streams_testing.h"

namespace weft::loop {
namespace {

using namespace testing;  // NOLINT: the helpers of the folder.

void echo_on_a_stack(StreamReader reader, StreamWriter writer) {
  for (;;) {
    const std::string_view data = await(reader.read_view(65536));
    if (data.empty()) break;
    writer.write(data);
    await(writer.drain());
  }
  writer.close();
  await(writer.wait_closed());
}

// A line there and back, then the end.
void talk(std::pair<StreamReader, StreamWriter> streams) {
  auto& [reader, writer] = streams;
  writer.write("hello world!\n");
  EXPECT_EQ(await(reader.readline()), "hello world!\n");
  writer.writelines(std::vector<std::string_view>{"one", "two\n"});
  EXPECT_EQ(await(reader.readline_view()), "onetwo\n");
  writer.write_eof();
  EXPECT_EQ(await(reader.read()), "");
  EXPECT_TRUE(reader.at_eof());
  writer.close();
  await(writer.wait_closed());
}

// asyncio: test_streams.py::StreamTests::test_open_connection
// asyncio: test_streams.py::StreamTests::test_start_server
// asyncio: test_streams.py::StreamTests::test_async_writer_api
FIBER_TEST(StreamsTest, AServerAndAClientTalk) {
  with_loop([](EventLoop& loop) {
    for (const ClientConnected& serve : {ClientConnected(echo), ClientConnected(echo_on_a_stack)}) {
      Server server = await(start_server(loop, serve, "127.0.0.1", 0));
      talk(await(open_connection(loop, "127.0.0.1", port_of(server))));
      stop(server);
    }
  });
}

// asyncio: test_streams.py::StreamTests::test_open_unix_connection
// asyncio: test_streams.py::StreamTests::test_start_unix_server
FIBER_TEST(StreamsTest, TheyTalkOverAUnixSocket) {
  with_loop([](EventLoop& loop) {
    const std::string path("\0weft-streams-test-", 19);
    const std::string name = path + std::to_string(::getpid());
    Server server = await(start_unix_server(loop, echo, name));
    talk(await(open_unix_connection(loop, name)));
    stop(server);
  });
}

FIBER_TEST(StreamsTest, AConnectionThatFailsSaysSo) {
  with_loop([](EventLoop& loop) {
    Server server = await(start_server(loop, echo, "127.0.0.1", 0));
    const std::uint16_t port = port_of(server);
    stop(server);
    EXPECT_THROW(await(open_connection(loop, "127.0.0.1", port)), std::system_error);
  });
}

FIBER_TEST(StreamsTest, InATaskTheLoopIsTheRunningOne) {
  with_loop([](EventLoop& loop) {
    auto task = loop.create_task([]() -> Coro<std::string> {
      Server server = co_await start_server(echo, "127.0.0.1", 0);
      auto streams = co_await open_connection("127.0.0.1", port_of(server));
      streams.second.write("line\n");
      std::string line = co_await streams.first.readline();
      streams.second.close();
      co_await streams.second.wait_closed();
      server.close();
      co_await server.wait_closed();
      co_return line;
    });
    EXPECT_EQ(await(task), "line\n");
  });
}

FIBER_TEST(StreamsTest, AMegabyteIsEchoed) {
  with_loop([](EventLoop& loop) {
    Server server = await(start_server(loop, echo_on_a_stack, "127.0.0.1", 0));
    auto [reader, writer] = await(open_connection(loop, "127.0.0.1", port_of(server)));
    expect_echo_of_a_megabyte(loop, reader, writer);
    stop(server);
  });
}

Coro<void> answer_and_close(StreamReader reader, StreamWriter writer) {
  writer.write("answer to " + co_await reader.readline());
  writer.close();
  co_await writer.wait_closed();
}

// asyncio: test_streams.py::StreamTests::test_async_writer_api_exception_after_close
FIBER_TEST(StreamsTest, ADrainAfterCloseSaysThatTheConnectionIsLost) {
  WEFT_NOT_FAULT_SWEPT("it waits for an answer that a fault may have cut off");
  with_loop([](EventLoop& loop) {
    Server server = await(start_server(loop, answer_and_close, "127.0.0.1", 0));
    auto [reader, writer] = await(open_connection(loop, "127.0.0.1", port_of(server)));
    writer.write("me\n");
    EXPECT_EQ(await(reader.read()), "answer to me\n");
    writer.close();
    writer.write("data");
    try {
      await(writer.drain());
      ADD_FAILURE() << "nothing was thrown";
    } catch (const std::system_error& error) {
      EXPECT_EQ(error.code().value(), ECONNRESET);
    }
    stop(server);
  });
}

// asyncio: test_streams.py::StreamTests::test_read_all_from_pipe_reader
FIBER_TEST(StreamsTest, ReadsAllOfAPipeThatHasMoreThanTheLimit) {
  WEFT_NOT_FAULT_SWEPT("it waits for data that a fault may have cut off");
  Pipe pipe;
  with_loop([&](EventLoop& loop) {
    StreamReader reader(loop, 1);  // Is full with three bytes.
    const int fd = ::dup(pipe.reader());
    const auto protocol = [&] { return std::make_shared<StreamReaderProtocol>(loop, reader); };
    auto [transport, made] = await(loop.connect_read_pipe(protocol, fd));
    for (const char c : {'d', 'a', 't', 'a'}) pipe.put(c);
    pipe.close_writer();
    for (int i = 0; i < 5; ++i) loop.synchronize();
    EXPECT_FALSE(transport.is_closing()) << "it does not read on to the end";
    EXPECT_EQ(await(reader.read(-1)), "data");
    EXPECT_TRUE(reader.at_eof());
  });
}

// asyncio: test_streams.py::StreamTests::test_wait_closed_on_close_with_unread_data
FIBER_TEST(StreamsTest, ClosesWithDataThatNobodyHasRead) {
  with_loop([](EventLoop& loop) {
    Server server = await(start_server(loop, echo, "127.0.0.1", 0));
    auto [reader, writer] = await(open_connection(loop, "127.0.0.1", port_of(server)));
    writer.write("one\ntwo\n");
    EXPECT_EQ(await(reader.readline()), "one\n");
    writer.close();
    await(writer.wait_closed());
    stop(server);
  });
}

}  // namespace
}  // namespace weft::loop
