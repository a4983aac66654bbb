// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/socket/socket_type.h"

#include <absl/cleanup/cleanup.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "tests/support/pipe.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/checkpoints.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

using socket::SocketType;
using std::chrono::seconds;
using testing::assert_checkpoints;
using testing::wait_all_tasks_blocked;

SocketAddress loopback(int family, std::uint16_t port) {
  return resolve(family == AF_INET ? "127.0.0.1" : "::1", port).front();
}

SocketType listening(int family = AF_INET) {
  SocketType listener = socket::socket(family, SOCK_STREAM);
  listener.bind(loopback(family, 0));
  listener.listen(10);
  return listener;
}

// Sends until no more fits.
void fill(SocketType& a) {
  const std::string block(65536, 'x');
  while (move_on_after(std::chrono::nanoseconds(1), [&] { a.send(block); })) {
  }
}

// trio: test_socket.py::test_socketpair_simple
FIBER_TEST(SocketTypeTest, PairTalksToEachOther) {
  auto [a, b] = socket::socketpair();
  assert_checkpoints([&a = a] { EXPECT_EQ(a.send("hello"), 5U); });
  assert_checkpoints([&b = b] { EXPECT_EQ(b.recv(10), "hello"); });
  assert_checkpoints([&b = b] { EXPECT_EQ(b.send("x"), 1U); });
  assert_checkpoints([&a = a] { EXPECT_EQ(a.recv(1), "x"); });
}

// trio: test_socket.py::test_socket
// trio: test_socket.py::test_sniff_sockopts
FIBER_TEST(SocketTypeTest, KnowsWhatItIs) {
  const SocketType tcp = socket::socket(AF_INET, SOCK_STREAM);
  EXPECT_EQ(tcp.family(), AF_INET);
  EXPECT_EQ(tcp.type(), SOCK_STREAM);
  EXPECT_EQ(tcp.proto(), IPPROTO_TCP);
  const SocketType udp = socket::socket(AF_INET, SOCK_DGRAM);
  EXPECT_EQ(udp.type(), SOCK_DGRAM);
  EXPECT_EQ(udp.proto(), IPPROTO_UDP);
  const SocketType copy = socket::fromfd(udp.fileno());
  EXPECT_EQ(copy.family(), AF_INET);
  EXPECT_EQ(copy.type(), SOCK_DGRAM);
  EXPECT_THROW(socket::socket(-1, SOCK_STREAM), std::system_error);
}

// trio: test_socket.py::test_socket_v6
FIBER_TEST(SocketTypeTest, ConnectsOverIPv6) {
  SocketType listener = listening(AF_INET6);
  EXPECT_EQ(listener.family(), AF_INET6);
  SocketType client = socket::socket(AF_INET6, SOCK_STREAM);
  client.connect("::1", listener.getsockname().port());
  auto [server, from] = listener.accept();
  EXPECT_EQ(from, client.getsockname());
  EXPECT_EQ(server.family(), AF_INET6);
}

// trio: test_socket.py::test_from_fd
// trio: test_socket.py::test_from_stdlib_socket
FIBER_TEST(SocketTypeTest, SharesAForeignSocket) {
  test::SocketPair foreign;
  SocketType shared = socket::fromfd(foreign[0]);
  EXPECT_NE(shared.fileno(), foreign[0]);
  shared.send("x");
  EXPECT_EQ(foreign.read(1), 'x');
  // Or owns it.
  SocketType owned{OwnedFd(foreign.take(0))};
  foreign.write(1);
  EXPECT_EQ(owned.recv(10), "x");
  EXPECT_THROW(socket::fromfd(-1), std::system_error);
  test::Pipe no_socket;
  EXPECT_THROW(SocketType{OwnedFd(no_socket.take(0))}, std::system_error);
}

// trio: test_socket.py::test_SocketType_basics
FIBER_TEST(SocketTypeTest, IsNotInheritedUnlessAskedFor) {
  SocketType udp = socket::socket(AF_INET, SOCK_DGRAM);
  EXPECT_GE(udp.fileno(), 0);
  EXPECT_FALSE(udp.get_inheritable());
  udp.set_inheritable(true);
  EXPECT_TRUE(udp.get_inheritable());
  EXPECT_EQ(::fcntl(udp.fileno(), F_GETFD) & FD_CLOEXEC, 0);
  udp.set_inheritable(false);
  EXPECT_FALSE(udp.get_inheritable());
  EXPECT_NE(::fcntl(udp.fileno(), F_GETFL) & O_NONBLOCK, 0);
}

// trio: test_socket.py::test_SocketType_basics
FIBER_TEST(SocketTypeTest, ClosesOnceAndIsClosedThen) {
  SocketType udp = socket::socket(AF_INET, SOCK_DGRAM);
  udp.close();
  udp.close();
  EXPECT_FALSE(udp.is_open());
  EXPECT_EQ(udp.fileno(), -1);
  EXPECT_THROW(udp.is_readable(), ClosedResourceError);
  EXPECT_THROW(udp.getsockname(), ClosedResourceError);
  EXPECT_THROW(udp.dup(), ClosedResourceError);
  EXPECT_THROW(udp.shutdown(SHUT_WR), ClosedResourceError);
}

// trio: test_socket.py::test_SocketType_basics
FIBER_TEST(SocketTypeTest, ClosedItRefusesEveryOperation) {
  SocketType udp = socket::socket(AF_INET, SOCK_DGRAM);
  udp.close();
  EXPECT_THROW(udp.recv(1), ClosedResourceError);
  EXPECT_THROW(udp.send("x"), ClosedResourceError);
  EXPECT_THROW(udp.wait_writable(), ClosedResourceError);
  EXPECT_THROW(udp.connect("127.0.0.1", 1), ClosedResourceError);
  EXPECT_THROW(udp.bind("127.0.0.1", 0), ClosedResourceError);
}

// trio: test_socket.py::test_SocketType_basics
FIBER_TEST(SocketTypeTest, GivesItsDescriptorAway) {
  SocketType detached = socket::socket(AF_INET, SOCK_DGRAM);
  const int fd = detached.detach();
  EXPECT_FALSE(detached.is_open());
  EXPECT_EQ(::close(fd), 0);
}

// trio: test_socket.py::test_SocketType_setsockopt
FIBER_TEST(SocketTypeTest, OptionsAreNumbersOrBytes) {
  SocketType tcp = socket::socket(AF_INET, SOCK_STREAM);
  EXPECT_EQ(tcp.getsockopt(IPPROTO_TCP, TCP_NODELAY), 0);
  tcp.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1);
  EXPECT_NE(tcp.getsockopt(IPPROTO_TCP, TCP_NODELAY), 0);
  const std::string zero(sizeof(int), '\0');
  tcp.setsockopt(IPPROTO_TCP, TCP_NODELAY, zero);
  EXPECT_EQ(tcp.getsockopt(IPPROTO_TCP, TCP_NODELAY, sizeof(int)), zero);
  EXPECT_THROW(tcp.setsockopt(12345, 1, 1), std::system_error);
  EXPECT_THROW(tcp.getsockopt(12345, 1), std::system_error);
}

// trio: test_socket.py::test_SocketType_dup
FIBER_TEST(SocketTypeTest, DuplicateSharesTheSocket) {
  auto [a, b] = socket::socketpair();
  SocketType copy = a.dup();
  EXPECT_NE(copy.fileno(), a.fileno());
  EXPECT_NE(::fcntl(copy.fileno(), F_GETFD) & FD_CLOEXEC, 0);
  a.close();
  copy.send("x");
  EXPECT_EQ(b.recv(1), "x");
}

// trio: test_socket.py::test_SocketType_shutdown
FIBER_TEST(SocketTypeTest, RemembersThatItsSendingSideIsShut) {
  auto [a, b] = socket::socketpair();
  EXPECT_FALSE(a.did_shutdown_SHUT_WR());
  a.shutdown(SHUT_RD);
  EXPECT_FALSE(a.did_shutdown_SHUT_WR());
  a.shutdown(SHUT_WR);
  EXPECT_TRUE(a.did_shutdown_SHUT_WR());
  EXPECT_EQ(b.recv(1), "");
  b.shutdown(SHUT_RDWR);
  EXPECT_TRUE(b.did_shutdown_SHUT_WR());
}

// trio: test_socket.py::test_SocketType_simple_server
FIBER_TEST(SocketTypeTest, SimpleServer) {
  for (const int family : {AF_INET, AF_INET6}) {
    SocketType listener = listening(family);
    const SocketAddress address = listener.getsockname();
    SocketType client = socket::socket(family, SOCK_STREAM);
    std::optional<SocketType> server;
    SocketAddress from;
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] { client.connect(address); });
      assert_checkpoints([&] {
        auto [accepted, peer] = listener.accept();
        server.emplace(std::move(accepted));
        from = peer;
      });
    });
    EXPECT_EQ(from, client.getsockname());
    EXPECT_EQ(client.getpeername(), address);
    server->send("x");
    EXPECT_EQ(client.recv(1), "x");
  }
}

// trio: test_socket.py::test_SocketType_is_readable
FIBER_TEST(SocketTypeTest, TellsWhetherThereIsSomethingToRead) {
  auto [a, b] = socket::socketpair();
  EXPECT_FALSE(a.is_readable());
  b.send("x");
  EXPECT_TRUE(a.is_readable());
  EXPECT_EQ(a.recv(1), "x");
  EXPECT_FALSE(a.is_readable());
}

FIBER_TEST(SocketTypeTest, WaitsUntilItIsWritable) {
  auto [a, b] = socket::socketpair();
  assert_checkpoints([&a = a] { a.wait_writable(); });
  fill(a);
  bool writable = false;
  open_nursery([&, &a = a, &b = b](Nursery& nursery) {
    nursery.start_soon([&] {
      a.wait_writable();
      writable = true;
    });
    wait_all_tasks_blocked();
    EXPECT_FALSE(writable);
    while (b.is_readable()) b.recv(1 << 20);
  });
  EXPECT_TRUE(writable);
}

// What the resolver makes of it is visible in where the socket ends up.
//
// trio: test_socket.py::test_SocketType_resolve
FIBER_TEST(SocketTypeTest, ResolvesInItsOwnFamily) {
  SocketType four = socket::socket(AF_INET, SOCK_DGRAM);
  four.bind("", 0);  // To bind: everything.
  EXPECT_EQ(four.getsockname().host(), "0.0.0.0");
  four.connect("", 80);  // To connect: this machine.
  EXPECT_EQ(four.getpeername().to_string(), "127.0.0.1:80");
  SocketType six = socket::socket(AF_INET6, SOCK_DGRAM);
  six.bind("", 0);
  EXPECT_EQ(six.getsockname().host(), "::");
  six.connect("::1", 80);
  EXPECT_EQ(six.getpeername().to_string(), "[::1]:80");

  SocketType mapped = socket::socket(AF_INET6, SOCK_DGRAM);
  mapped.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, 0);
  mapped.connect("127.0.0.1", 80);
  EXPECT_EQ(mapped.getpeername().host(), "::ffff:127.0.0.1");
  SocketType only_six = socket::socket(AF_INET6, SOCK_DGRAM);
  only_six.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, 1);
  EXPECT_THROW(only_six.connect("127.0.0.1", 80), std::system_error);
  EXPECT_THROW(four.connect("::1", 80), std::system_error);

  SocketType local = socket::socket(AF_UNIX, SOCK_STREAM);
  EXPECT_THROW(local.connect("127.0.0.1", 80), UsageError);
}

FIBER_TEST(SocketTypeTest, KnowsTheBroadcastAddress) {
  SocketType udp = socket::socket(AF_INET, SOCK_DGRAM);
  EXPECT_THROW(udp.sendto("x", "<broadcast>", 9), std::system_error);  // Not allowed...
  udp.setsockopt(SOL_SOCKET, SO_BROADCAST, 1);
  try {
    udp.connect("<broadcast>", 9);
    EXPECT_EQ(udp.getpeername().host(), "255.255.255.255");
  } catch (const std::system_error& error) {  // Of a machine without a network.
    EXPECT_NE(std::string(error.what()).find("255.255.255.255"), std::string::npos);
  }
}

// trio: test_socket.py::test_SocketType_unresolved_names
FIBER_TEST(SocketTypeTest, NamesAreResolved) {
  SocketType listener = socket::socket(AF_INET, SOCK_STREAM);
  assert_checkpoints([&] { listener.bind("localhost", 0); });
  EXPECT_EQ(listener.getsockname().host(), "127.0.0.1");
  listener.listen();
  SocketType client = socket::socket(AF_INET, SOCK_STREAM);
  client.connect("localhost", listener.getsockname().port());
  EXPECT_EQ(client.getpeername(), listener.getsockname());
}

// trio: test_socket.py::test_SocketType_non_blocking_paths
FIBER_TEST(SocketTypeTest, CancelledCallsHaveNoEffect) {
  auto [a, b] = socket::socketpair();
  a.send("x");
  // Cancelled before: what is there stays there.
  CancelScope early;
  early.cancel();
  EXPECT_FALSE(early.run([&b = b] { b.recv(1); }));
  EXPECT_EQ(b.recv(1), "x");
  // Cancelled while it waits.
  EXPECT_FALSE(move_on_after(seconds(1), [&b = b] { b.recv(1); }));
  a.send("y");
  EXPECT_EQ(b.recv(1), "y");
  fill(a);
  EXPECT_FALSE(move_on_after(seconds(1), [&a = a] { a.send("z"); }));
}

FIBER_TEST(SocketTypeTest, WaitsAreServedWhenTheTimeComes) {
  auto [a, b] = socket::socketpair();
  std::string got;
  open_nursery([&, &a = a, &b = b](Nursery& nursery) {
    nursery.start_soon([&] { got = b.recv(10); });
    wait_all_tasks_blocked();
    EXPECT_THROW(b.recv(1), BusyResourceError);
    a.send("late");
  });
  EXPECT_EQ(got, "late");
}

// trio: test_socket.py::test_SocketType_connect_paths
FIBER_TEST(SocketTypeTest, ConnectingCancelledClosesTheSocket) {
  SocketType early = socket::socket(AF_INET, SOCK_STREAM);
  CancelScope cancelled;
  cancelled.cancel();
  SocketType listener = listening();
  const SocketAddress address = listener.getsockname();
  EXPECT_FALSE(cancelled.run([&] { early.connect(address); }));
  EXPECT_FALSE(early.is_open());

  // A listener whose queue is full answers nobody.
  SocketType full = socket::socket(AF_INET, SOCK_STREAM);
  full.bind(loopback(AF_INET, 0));
  full.listen(0);
  std::vector<SocketType> waiting;
  SocketType* last = nullptr;
  for (bool connected = true; connected;) {
    last = &waiting.emplace_back(socket::socket(AF_INET, SOCK_STREAM));
    connected = move_on_after(seconds(1), [&] { last->connect(full.getsockname()); });
  }
  EXPECT_FALSE(last->is_open());

  SocketType refused = socket::socket(AF_INET, SOCK_STREAM);
  EXPECT_THROW(refused.connect(SocketAddress()), std::system_error);
  EXPECT_TRUE(refused.is_open());
}

// trio: test_socket.py::test_resolve_address_exception_in_connect_closes_socket
FIBER_TEST(SocketTypeTest, ConnectingCancelledInTheLookUpClosesTheSocket) {
  SocketType tcp = socket::socket(AF_INET, SOCK_STREAM);
  CancelScope cancelled;
  cancelled.cancel();
  EXPECT_FALSE(cancelled.run([&] { tcp.connect("localhost", 80); }));
  EXPECT_FALSE(tcp.is_open());
}

// trio: test_socket.py::test_address_in_socket_error
FIBER_TEST(SocketTypeTest, FailedConnectingNamesTheAddress) {
  SocketType bound = socket::socket(AF_INET, SOCK_STREAM);
  bound.bind(loopback(AF_INET, 0));  // And does not listen.
  const SocketAddress address = bound.getsockname();
  SocketType tcp = socket::socket(AF_INET, SOCK_STREAM);
  try {
    tcp.connect(address);
    FAIL() << "connected to nobody";
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code(), std::errc::connection_refused);
    EXPECT_NE(std::string(error.what()).find(address.to_string()), std::string::npos);
  }
}

// trio: test_socket.py::test_send_recv_variants
FIBER_TEST(SocketTypeTest, DatagramsInAllVariants) {
  for (const int family : {AF_INET, AF_INET6}) {
    SocketType a = socket::socket(family, SOCK_DGRAM);
    SocketType b = socket::socket(family, SOCK_DGRAM);
    a.bind(loopback(family, 0));
    b.bind(loopback(family, 0));
    const SocketAddress from = a.getsockname();
    const SocketAddress to = b.getsockname();

    EXPECT_EQ(a.sendto("to", to), 2U);
    EXPECT_EQ(b.recvfrom(10), std::pair(std::string("to"), from));
    EXPECT_EQ(a.sendto("name", to.host(), to.port()), 4U);
    std::array<std::byte, 10> buffer{};
    assert_checkpoints(
        [&] { EXPECT_EQ(b.recvfrom_into(buffer), std::pair(std::size_t{4}, from)); });
    EXPECT_EQ(a.sendto("cut short", to, 0), 9U);
    EXPECT_EQ(b.recv(3), "cut");
    EXPECT_EQ(a.sendto("peek", to, 0), 4U);
    EXPECT_EQ(b.recv(10, MSG_PEEK), "peek");
    EXPECT_EQ(b.recv(2, MSG_TRUNC), "pe");
    EXPECT_EQ(a.sendto("", to), 0U);
    EXPECT_EQ(b.recv(10), "");

    a.connect(to);
    EXPECT_EQ(a.getpeername(), to);
    EXPECT_EQ(a.send("connected"), 9U);
    EXPECT_EQ(b.recv_into(buffer), 9U);
    EXPECT_FALSE(move_on_after(seconds(1), [&] { b.recvfrom(10); }));
  }
}

// trio: test_socket.py::test_interrupted_by_close
FIBER_TEST(SocketTypeTest, ClosingWakesThoseWhoWait) {
  auto [a, b] = socket::socketpair();
  fill(a);
  open_nursery([&a = a](Nursery& nursery) {
    nursery.start_soon([&a] { EXPECT_THROW(a.recv(1), ClosedResourceError); });
    nursery.start_soon([&a] { EXPECT_THROW(a.send("x"), ClosedResourceError); });
    wait_all_tasks_blocked();
    a.close();
  });
}

// trio: test_socket.py::test_many_sockets
FIBER_TEST(SocketTypeTest, ManyWaitAndAreCancelledTogether) {
  constexpr int kPairs = 200;
  std::vector<SocketType> sockets;
  for (int i = 0; i < kPairs; ++i) {
    auto [a, b] = socket::socketpair();
    sockets.push_back(std::move(a));
    sockets.push_back(std::move(b));
  }
  int cancelled = 0;
  open_nursery([&](Nursery& nursery) {
    for (SocketType& each : sockets) {
      nursery.start_soon([&] {
        try {
          each.recv(1);
        } catch (const Cancelled&) {
          ++cancelled;
          throw;
        }
      });
    }
    wait_all_tasks_blocked();
    nursery.cancel_scope().cancel();
  });
  EXPECT_EQ(cancelled, 2 * kPairs);
}

// trio: test_socket.py::test_unix_domain_socket
FIBER_TEST(SocketTypeTest, UnixSocketsHavePaths) {
  const std::string path = ::testing::TempDir() + "weft_socket_type_" + std::to_string(::getpid());
  const absl::Cleanup removed = [&] { ::unlink(path.c_str()); };
  SocketType listener = socket::socket(AF_UNIX, SOCK_STREAM);
  const SocketAddress address = SocketAddress::from_path(path);
  listener.bind(address);
  listener.listen(10);
  EXPECT_EQ(listener.getsockname().host(), path);
  SocketType client = socket::socket(AF_UNIX, SOCK_STREAM);
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { client.connect(address); });
    SocketType server = listener.accept().first;
    server.send("x");
  });
  EXPECT_EQ(client.recv(1), "x");
  EXPECT_EQ(client.getpeername(), address);
}

FIBER_TEST(SocketTypeTest, FullUnixListenerIsWaitedFor) {
  // An abstract name: the kernel chooses one for an address of a family alone.
  SocketType listener = socket::socket(AF_UNIX, SOCK_STREAM);
  const sockaddr nobody{.sa_family = AF_UNIX, .sa_data = {}};
  listener.bind(SocketAddress(&nobody, sizeof nobody.sa_family));
  listener.listen(0);
  const SocketAddress address = listener.getsockname();
  SocketType first = socket::socket(AF_UNIX, SOCK_STREAM);
  first.connect(address);
  SocketType second = socket::socket(AF_UNIX, SOCK_STREAM);
  EXPECT_FALSE(move_on_after(seconds(1), [&] { second.connect(address); }));
  EXPECT_FALSE(second.is_open());
  SocketType third = socket::socket(AF_UNIX, SOCK_STREAM);
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { third.connect(address); });
    wait_all_tasks_blocked();
    listener.accept();
  });
  EXPECT_EQ(third.getpeername(), address);
}

}  // namespace
}  // namespace weft::fibers
