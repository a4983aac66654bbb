// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Connections and servers on sockets that somebody else has made. (asyncio: sock=.)

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <string>

#include "tests/loop/server_testing.h"
#include "tests/loop/transport_testing.h"
#include "tests/support/temporary_directory.h"
#include "weft/fibers/errors.h"
#include "weft/loop/streams.h"

namespace weft::loop {
namespace {

using namespace testing;  // NOLINT: the helpers of the folder.
using fibers::SocketAddress;

int make_bound(const SocketAddress& address) {
  const int fd = ::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0);  // One that blocks.
  EXPECT_EQ(::bind(fd, address.data(), static_cast<socklen_t>(address.size())), 0);
  return fd;
}
SocketAddress any_loopback() {
  sockaddr_in any{};
  any.sin_family = AF_INET;
  any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return {reinterpret_cast<const sockaddr*>(&any), sizeof any};
}
int make_connected(const SocketAddress& address) {
  const int fd = ::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
  EXPECT_EQ(::connect(fd, address.data(), static_cast<socklen_t>(address.size())), 0);
  return fd;
}

Coro<std::string> ask(std::pair<StreamReader, StreamWriter> streams) {
  streams.second.write("hello");
  streams.second.write_eof();
  std::string answer = co_await streams.first.read();
  streams.second.close();
  co_return answer;
}

// asyncio: test_streams.py::StreamTests::test_start_server
FIBER_TEST(GivenSocketTest, ServesStreamsAndConnectsThem) {
  WEFT_NOT_FAULT_SWEPT("it waits for an answer that a fault may have cut off");
  with_loop([](EventLoop& loop) {
    const Server server = await(start_server(loop, echo, make_bound(any_loopback())));
    const SocketAddress address = address_of(server.sockets().at(0));
    // With the loop, and without it in a task.
    auto streams = await(open_connection(loop, make_connected(address)));
    EXPECT_EQ(await(loop.create_task(ask(std::move(streams)))), "hello");
    auto asking = loop.create_task([address]() -> Coro<std::string> {
      auto own = co_await open_connection(make_connected(address));
      Coro<std::string> answering = ask(std::move(own));
      co_return co_await std::move(answering);
    });
    EXPECT_EQ(await(asking), "hello");
    stop(server);
  });
}

// asyncio: test_streams.py::StreamTests::test_start_unix_server
FIBER_TEST(GivenSocketTest, ServesUnixStreamsAndConnectsThem) {
  WEFT_NOT_FAULT_SWEPT("it waits for an answer that a fault may have cut off");
  const test::TemporaryDirectory directory;
  const SocketAddress address = SocketAddress::from_path(directory / "server");
  with_loop([&](EventLoop& loop) {
    const Server server = await(start_unix_server(loop, echo, make_bound(address)));
    auto streams = await(open_unix_connection(loop, make_connected(address)));
    EXPECT_EQ(await(loop.create_task(ask(std::move(streams)))), "hello");
    stop(server);
  });
}

// asyncio: test_base_events.py::BaseEventLoopWithSelectorTests::test_create_server_wrong_sock
// asyncio: test_unix_events.py::SelectorEventLoopUnixSocketTests::test_create_unix_server_path_inetsock
// asyncio: test_unix_events.py::SelectorEventLoopUnixSocketTests::test_create_unix_server_path_dgram
// asyncio: test_unix_events.py::SelectorEventLoopUnixSocketTests::test_create_unix_connection_path_inetsock
FIBER_TEST(GivenSocketTest, RefusesAndClosesOthers) {
  const auto datagrams = [] { return ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0); };
  const auto streams = [] { return ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); };
  with_loop([&](EventLoop& loop) {
    const auto refusal = [](int fd, auto call) {
      std::string text = thrown<fibers::UsageError>([&] { await(call(fd)); });
      EXPECT_EQ(::fcntl(fd, F_GETFD), -1);
      return text;
    };
    EXPECT_EQ(refusal(datagrams(), [&](int fd) { return open_connection(loop, fd); }),
              "A Stream Socket was expected");
    EXPECT_EQ(refusal(datagrams(), [&](int fd) { return start_server(loop, echo, fd); }),
              "A Stream Socket was expected");
    for (const auto& make : {+datagrams, +streams}) {
      EXPECT_EQ(refusal(make(), [&](int fd) { return open_unix_connection(loop, fd); }),
                "A UNIX Domain Stream Socket was expected");
      EXPECT_EQ(refusal(make(), [&](int fd) { return start_unix_server(loop, echo, fd); }),
                "A UNIX Domain Stream Socket was expected");
    }
  });
}

// Outside of a loop's callbacks there is none to be found: the socket is closed all the same.
FIBER_TEST(GivenSocketTest, ClosesItWithoutALoop) {
  const auto refused = [](auto call) {
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT_THROW(call(fd), fibers::UsageError);
    EXPECT_EQ(::fcntl(fd, F_GETFD), -1);
  };
  refused([](int fd) { static_cast<void>(open_connection(fd)); });
  refused([](int fd) { static_cast<void>(open_unix_connection(fd)); });
  refused([](int fd) { static_cast<void>(start_server(echo, fd)); });
  refused([](int fd) { static_cast<void>(start_unix_server(echo, fd)); });
}

}  // namespace
}  // namespace weft::loop
