// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Those of the examples of tools/docs/asyncio.md that are about transports.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "weft/fibers/nursery.h"
#include "weft/fibers/socket_address.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/loop/coro.h"
#include "weft/loop/datagram_transport.h"
#include "weft/loop/event_loop.h"
#include "weft/loop/protocol.h"
#include "weft/loop/subprocess.h"

using namespace weft::loop;
using weft::fibers::SocketAddress;

namespace {

struct EchoDatagrams : DatagramProtocol {
  void connection_made(DatagramTransport made) override { transport = std::move(made); }
  void datagram_received(std::string_view data, const SocketAddress& addr) override {
    transport.sendto(data, addr);
  }
  DatagramTransport transport;
};

Coro<DatagramTransport> serve_datagrams() {
  EventLoop& loop = get_running_loop();
  auto [transport, protocol] = co_await loop.create_datagram_endpoint(
      [] { return std::make_shared<EchoDatagrams>(); }, {.local_addr = {"127.0.0.1", 0}});
  co_return transport;
}

Coro<std::size_t> send_file(Transport transport, int file) {
  EventLoop& loop = get_running_loop();
  transport.write("the file:");
  co_return co_await loop.sendfile(transport, file);
}

Coro<std::string> sorted_by_a_child(std::string text) {
  Process process =
      co_await create_subprocess_exec({"sort", "-u"}, {.stdin = kPipe, .stdout = kPipe});
  auto [out, err] = co_await process.communicate(text);
  co_return out;
}

Coro<std::pair<int, int>> lines_and_code(std::string command) {
  Process process = co_await create_subprocess_shell(command, {.stdout = kPipe});
  int lines = 0;
  for (;;) {
    const std::string line = co_await process.stdout->readline();
    if (line.empty()) break;
    ++lines;
  }
  const int code = co_await process.wait();
  co_return std::pair(lines, code);
}

// --- They do what the guide says. ---

template <class Body>
void with_loop(Body&& body) {
  weft::fibers::open_nursery([&](weft::fibers::Nursery& nursery) {
    EventLoop loop(nursery);
    loop.start();
    body(loop);
    loop.stop();
    loop.wait_stopped();
  });
}

// What a task of the loop comes to.
template <class F>
auto in_a_task(EventLoop& loop, F&& code) {
  return await(loop.create_task(std::forward<F>(code)));
}

struct Pair {
  Pair() = default;
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;
  ~Pair() {
    for (const int fd : ends) {
      if (fd >= 0) ::close(fd);
    }
  }
  int operator[](std::size_t i) const { return ends.at(i); }
  std::array<int, 2> ends{-1, -1};
};

FIBER_TEST(TransportsGuideTest, Datagrams) {
  with_loop([](EventLoop& loop) {
    DatagramTransport server = in_a_task(loop, serve_datagrams());
    Pair client;
    client.ends[0] = ::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const SocketAddress address = server.get_extra_info(extra_info::sockname).value();
    await(loop.sock_sendto(client[0], "hello", address));
    EXPECT_EQ(await(loop.sock_recvfrom(client[0], 100)), std::pair(std::string("hello"), address));
    server.close();
    loop.synchronize();
  });
}

FIBER_TEST(TransportsGuideTest, Sendfile) {
  WEFT_NOT_FAULT_SWEPT("it looks at what an ordinary program does");
  Pair pair;
  Pair file;
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair.ends.data()), 0);
  file.ends[0] = ::open("/tmp", O_TMPFILE | O_RDWR, 0600);
  ASSERT_EQ(::write(file[0], "hello", 5), 5);
  with_loop([&](EventLoop& loop) {
    auto [transport, protocol] = await(loop.create_connection(
        [] { return std::make_shared<Protocol>(); }, std::exchange(pair.ends[0], -1)));
    EXPECT_EQ(in_a_task(loop, send_file(transport, file[0])), 5U);
    EXPECT_EQ(await(loop.sock_recv(pair[1], 100)), "the file:hello");
    transport.close();
    loop.synchronize();
  });
}

FIBER_TEST(TransportsGuideTest, Children) {
  WEFT_NOT_FAULT_SWEPT("it looks at what an ordinary program does");
  with_loop([](EventLoop& loop) {
    EXPECT_EQ(in_a_task(loop, sorted_by_a_child("b\na\nb\n")), "a\nb\n");
    EXPECT_EQ(in_a_task(loop, lines_and_code("echo 1; echo 2; exit 3")), std::pair(2, 3));
  });
}

}  // namespace
