// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include <gtest/gtest.h>
#include <netdb.h>
#include <sys/socket.h>

#include <string>
#include <utility>

#include "tests/faults/faults_testing.h"
#include "tests/support/temporary_directory.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/socket.h"
#include "weft/fibers/socket/getaddrinfo.h"
#include "weft/fibers/socket/socket_type.h"
#include "weft/fibers/tcp.h"
#include "weft/fibers/unix_socket.h"

namespace weft::fibers::testing {
namespace {

// Until the other side ends.
std::string receive_all(SocketStream& stream) {
  std::string all;
  for (std::string part = stream.receive_some(64); !part.empty(); part = stream.receive_some(64)) {
    all += part;
  }
  return all;
}

// One connection to `listener`, and what it says back.
template <class Open>
void talk(SocketListener& listener, const Open& open) {
  std::string got;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      SocketStream accepted = listener.accept();
      accepted.send_all(receive_all(accepted) + " yourself");
    });
    SocketStream stream = open();
    stream.send_all("hello");
    stream.send_eof();
    got = receive_all(stream);
  });
  EXPECT_EQ(got, "hello yourself");
}

FAULT_TEST(NetFaults, APairOfStreams) {
  auto [left, right] = socket_stream_pair();
  open_nursery([&, &sender = left, &receiver = right](Nursery& nursery) {
    nursery.start_soon([&] {
      sender.send_all("some words");
      sender.send_eof();
    });
    EXPECT_EQ(receive_all(receiver), "some words");
  });
  left.aclose();
}

FAULT_TEST(NetFaults, TcpStreams) {
  std::vector<SocketListener> listeners = open_tcp_listeners(0, {.host = "127.0.0.1"});
  const std::uint16_t port = listeners.front().local_address().port();
  talk(listeners.front(), [&] { return open_tcp_stream("127.0.0.1", port); });
}

FAULT_TEST(NetFaults, TcpStreamsByName) {
  std::vector<SocketListener> listeners = open_tcp_listeners(0, {.host = "localhost"});
  const std::uint16_t port = listeners.front().local_address().port();
  talk(listeners.front(), [&] { return open_tcp_stream("localhost", port); });
}

void talk_to_a_server() {
  std::string got;
  open_nursery([&](Nursery& nursery) {
    const auto port = nursery.start<std::uint16_t>([](TaskStatus<std::uint16_t>& status) {
      serve_tcp([](SocketStream& stream) { stream.send_all(receive_all(stream)); }, 0,
                {.host = "127.0.0.1"}, status);
    });
    SocketStream stream = open_tcp_stream("127.0.0.1", port);
    stream.send_all("echo");
    stream.send_eof();
    got = receive_all(stream);
    checkpoint();
    nursery.cancel_scope().cancel();
  });
  // What is accepted and cannot be taken in, for lack of memory, is dropped, and serving goes on.
  EXPECT_TRUE(got == "echo" || got.empty()) << got;
}

// When one side fails, the other may find the connection reset.
TEST(NetFaults, ServeTcp) {
  expect_no_fault_harms(&talk_to_a_server, {.allowed = [](const std::exception_ptr& error) {
    return holds<BrokenResourceError>(error);
  }});
}

TEST(NetFaults, UnixSockets) {
  const test::TemporaryDirectory directory;
  const std::string path = directory / "socket";
  expect_no_fault_harms(
      [&] {
        std::vector<SocketListener> listeners = open_unix_listeners(path);
        talk(listeners.front(), [&] { return open_unix_socket(path); });
      },
      {.check = [&] { std::filesystem::remove(path); }});
}

FAULT_TEST(NetFaults, SocketTypes) {
  socket::SocketType server = socket::socket(AF_INET, SOCK_STREAM);
  server.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1);
  server.bind("127.0.0.1", 0);
  server.listen();
  const SocketAddress address = server.getsockname();
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      auto [accepted, from] = server.accept();
      EXPECT_EQ(accepted.getpeername(), from);
      const std::string got = accepted.recv(100);
      EXPECT_EQ(got, std::string("ping").substr(0, got.size()));
      accepted.shutdown(SHUT_RDWR);
    });
    socket::SocketType client = socket::socket(AF_INET, SOCK_STREAM);
    client.connect(address);
    EXPECT_GT(client.send("ping"), 0U);
    EXPECT_EQ(client.recv(1), "");
  });
}

FAULT_TEST(NetFaults, Datagrams) {
  socket::SocketType one = socket::socket(AF_INET, SOCK_DGRAM);
  one.bind("127.0.0.1", 0);
  socket::SocketType two = socket::socket(AF_INET, SOCK_DGRAM);
  two.bind("127.0.0.1", 0);
  EXPECT_EQ(two.sendto("a datagram", one.getsockname()), 10U);
  const auto [text, from] = one.recvfrom(100);
  EXPECT_EQ(text, "a datagram");
  EXPECT_EQ(from, two.getsockname());
}

FAULT_TEST(NetFaults, NamesAndAddresses) {
  EXPECT_FALSE(socket::getaddrinfo("localhost", "80").empty());
  SocketAddress address = socket::getaddrinfo("127.0.0.1", "80").front().address;
  EXPECT_EQ(socket::getnameinfo(address, NI_NUMERICHOST | NI_NUMERICSERV).first, "127.0.0.1");
}

}  // namespace
}  // namespace weft::fibers::testing
