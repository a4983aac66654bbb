// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The methods of asyncio's loop that read and write the caller's sockets, in a loop of open_loop's.

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <utility>

#include "tests/loop/sendfile_testing.h"
#include "tests/loop/server_testing.h"
#include "tests/loop/transport_testing.h"
#include "tests/shim/inherited_methods_testing.h"
#include "tests/support/pipe.h"
#include "weft/fibers/socket_address.h"

namespace weft::shim {
namespace {

using fibers::SocketAddress;
using loop::Coro;
using loop::testing::address_of;
using loop::testing::OwnFd;
using test::SocketPair;

int open_socket(int type) {
  return ::socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

// On a loopback port of the system's choosing.
SocketAddress bind(int fd) {
  sockaddr_in any{};
  any.sin_family = AF_INET;
  any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::bind(fd, reinterpret_cast<const sockaddr*>(&any), sizeof any), 0);
  return address_of(fd);
}

struct OverAPair {
  static constexpr bool kWaits = true;
  static constexpr int kError = EBADF;
  // The other side, which wants to read everything.
  void drain(EventLoop& loop) const {
    loop.add_reader(pair[1], [this] { pair.drain(1); });
  }
  SocketPair pair;
};

struct SockRecv : OverAPair {
  explicit SockRecv(EventLoop&) {}
  Coro<std::string> call(EventLoop& loop) const { return loop.sock_recv(pair[0], 10); }
  void let_go(EventLoop&) const { pair.write(1, 'x'); }
  void check(EventLoop&, const std::string& value) const {
    EXPECT_EQ(value, "x");
    pair.write(1, 'x');  // For the next one.
  }
  static Coro<std::string> fail(EventLoop& loop) { return loop.sock_recv(-1, 10); }
};

FIBER_TEST(InheritedSocketsTest, SockRecv) {
  hold_to_the_border<SockRecv>();
}

struct SockRecvInto : OverAPair {
  explicit SockRecvInto(EventLoop&) {}
  Coro<std::size_t> call(EventLoop& loop) { return loop.sock_recv_into(pair[0], buffer); }
  void let_go(EventLoop&) const { pair.write(1, 'x'); }
  void check(EventLoop&, std::size_t value) const {
    EXPECT_EQ(value, 1U);
    EXPECT_EQ(buffer[0], std::byte{'x'});
    pair.write(1, 'x');
  }
  Coro<std::size_t> fail(EventLoop& loop) { return loop.sock_recv_into(-1, buffer); }
  std::array<std::byte, 8> buffer{};
};

FIBER_TEST(InheritedSocketsTest, SockRecvInto) {
  hold_to_the_border<SockRecvInto>();
}

struct OverUdp {
  static constexpr bool kWaits = true;
  static constexpr int kError = EBADF;
  void let_go(EventLoop&) const { send(); }
  void send() const {
    EXPECT_EQ(
        ::sendto(sender.get(), "x", 1, 0, address.data(), static_cast<socklen_t>(address.size())),
        1);
  }
  OwnFd receiver{open_socket(SOCK_DGRAM)};
  OwnFd sender{open_socket(SOCK_DGRAM)};
  SocketAddress address = bind(receiver.get());
  SocketAddress from = bind(sender.get());
};

struct SockRecvfrom : OverUdp {
  explicit SockRecvfrom(EventLoop&) {}
  auto call(EventLoop& loop) const { return loop.sock_recvfrom(receiver.get(), 10); }
  void check(EventLoop&, const std::pair<std::string, SocketAddress>& value) const {
    EXPECT_EQ(value.first, "x");
    EXPECT_EQ(value.second, from);
    send();
  }
  static auto fail(EventLoop& loop) { return loop.sock_recvfrom(-1, 10); }
};

FIBER_TEST(InheritedSocketsTest, SockRecvfrom) {
  hold_to_the_border<SockRecvfrom>();
}

struct SockRecvfromInto : OverUdp {
  explicit SockRecvfromInto(EventLoop&) {}
  auto call(EventLoop& loop) { return loop.sock_recvfrom_into(receiver.get(), buffer); }
  void check(EventLoop&, const std::pair<std::size_t, SocketAddress>& value) const {
    EXPECT_EQ(value.first, 1U);
    EXPECT_EQ(value.second, from);
    send();
  }
  auto fail(EventLoop& loop) { return loop.sock_recvfrom_into(-1, buffer); }
  std::array<std::byte, 8> buffer{};
};

FIBER_TEST(InheritedSocketsTest, SockRecvfromInto) {
  hold_to_the_border<SockRecvfromInto>();
}

struct SockSendall : OverAPair {
  explicit SockSendall(EventLoop&) {}
  Coro<void> call(EventLoop& loop) const {
    return loop.sock_sendall(pair[0], loop::testing::much());
  }
  void let_go(EventLoop& loop) const { drain(loop); }
  void check(EventLoop&) const {}
  static Coro<void> fail(EventLoop& loop) { return loop.sock_sendall(-1, "x"); }
};

FIBER_TEST(InheritedSocketsTest, SockSendall) {
  hold_to_the_border<SockSendall>();
}

// Connected, so that the system says when the receiver has room again.
struct SockSendto {
  static constexpr bool kWaits = true;
  static constexpr int kError = EBADF;
  explicit SockSendto(EventLoop&) {
    sockaddr_un any{};
    any.sun_family = AF_UNIX;  // The system chooses an abstract name.
    EXPECT_EQ(::bind(receiver.get(), reinterpret_cast<const sockaddr*>(&any), sizeof(sa_family_t)),
              0);
    address = address_of(receiver.get());
    EXPECT_EQ(::connect(sender.get(), address.data(), static_cast<socklen_t>(address.size())), 0);
    while (::send(sender.get(), "old", 3, 0) == 3) {
    }
  }
  Coro<std::size_t> call(EventLoop& loop) const {
    return loop.sock_sendto(sender.get(), "newest", address);
  }
  void let_go(EventLoop& loop) const {
    loop.add_reader(receiver.get(), [this] {
      std::array<char, 100> room{};
      while (::recv(receiver.get(), room.data(), room.size(), 0) > 0) {
      }
    });
  }
  static void check(EventLoop&, std::size_t value) { EXPECT_EQ(value, 6U); }
  Coro<std::size_t> fail(EventLoop& loop) const { return loop.sock_sendto(-1, "x", address); }
  OwnFd receiver{::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
  OwnFd sender{::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
  SocketAddress address;
};

FIBER_TEST(InheritedSocketsTest, SockSendto) {
  hold_to_the_border<SockSendto>();
}

struct SockAccept {
  static constexpr bool kWaits = true;
  static constexpr int kError = EBADF;
  explicit SockAccept(EventLoop&) { EXPECT_EQ(::listen(listener.get(), 20), 0); }
  auto call(EventLoop& loop) const { return loop.sock_accept(listener.get()); }
  void let_go(EventLoop&) { connect(); }
  void connect() {
    OwnFd client(open_socket(SOCK_STREAM));
    static_cast<void>(
        ::connect(client.get(), address.data(), static_cast<socklen_t>(address.size())));
  }
  void check(EventLoop&, const std::pair<int, SocketAddress>& value) {
    EXPECT_GE(value.first, 0);
    ::close(value.first);
    connect();
  }
  static auto fail(EventLoop& loop) { return loop.sock_accept(-1); }
  OwnFd listener{open_socket(SOCK_STREAM)};
  SocketAddress address = bind(listener.get());
};

FIBER_TEST(InheritedSocketsTest, SockAccept) {
  hold_to_the_border<SockAccept>();
}

// It may wait for ever only for another machine, or a queue that is full; see below.
struct SockConnect {
  static constexpr bool kWaits = false;
  static constexpr int kError = ECONNREFUSED;
  explicit SockConnect(EventLoop&) { EXPECT_EQ(::listen(listener.get(), 20), 0); }
  Coro<void> call(EventLoop& loop) { return connect(loop, address); }
  static void check(EventLoop&) {}
  Coro<void> fail(EventLoop& loop) {
    const OwnFd nobody(open_socket(SOCK_STREAM));
    return connect(loop, bind(nobody.get()));
  }
  Coro<void> connect(EventLoop& loop, const SocketAddress& to) {
    return loop.sock_connect(clients.emplace_back(open_socket(SOCK_STREAM)).get(), to);
  }
  OwnFd listener{open_socket(SOCK_STREAM)};
  SocketAddress address = bind(listener.get());
  std::deque<OwnFd> clients;
};

FIBER_TEST(InheritedSocketsTest, SockConnect) {
  hold_to_the_border<SockConnect>();
}

FIBER_TEST(InheritedSocketsTest, ADeadlineEndsASockConnectThatNobodyAnswers) {
  const OwnFd listener(open_socket(SOCK_STREAM));
  const SocketAddress address = bind(listener.get());
  EXPECT_EQ(::listen(listener.get(), 0), 0);
  const OwnFd first(open_socket(SOCK_STREAM));
  static_cast<void>(::connect(first.get(), address.data(), static_cast<socklen_t>(address.size())));
  const OwnFd second(open_socket(SOCK_STREAM));
  open_loop([&](EventLoop& loop) {
    EXPECT_FALSE(
        fibers::move_on_after(1s, [&] { aio_as_trio(loop.sock_connect(second.get(), address)); }));
    EXPECT_EQ(watched(loop), 0U);
  });
}

struct SockSendfile : OverAPair {
  explicit SockSendfile(EventLoop&) {}
  Coro<std::size_t> call(EventLoop& loop) const { return loop.sock_sendfile(pair[0], file.fd()); }
  void let_go(EventLoop& loop) const { drain(loop); }
  void check(EventLoop&, std::size_t value) const {
    EXPECT_EQ(value, kSize);
    EXPECT_EQ(file.position(), static_cast<std::int64_t>(kSize));
  }
  Coro<std::size_t> fail(EventLoop& loop) const { return loop.sock_sendfile(pair[0], -1); }
  static constexpr std::size_t kSize = 1'000'000;
  loop::testing::OpenFile file{loop::testing::numbers(kSize)};
};

FIBER_TEST(InheritedSocketsTest, SockSendfile) {
  hold_to_the_border<SockSendfile>();
}

}  // namespace
}  // namespace weft::shim
