// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The sock_ methods: sockets that stay their owner's.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

#include "tests/loop/loop_testing.h"
#include "tests/support/pipe.h"
#include "tests/support/temporary_directory.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/socket_address.h"
#include "weft/fibers/timeouts.h"
#include "weft/loop/event_loop.h"

namespace weft::loop {
namespace {

using fibers::SocketAddress;
using test::SocketPair;
using ::testing::HasSubstr;
using namespace testing;  // NOLINT: the helpers of the folder.

// A socket that is closed at the end.
class Socket {
 public:
  explicit Socket(int type = SOCK_STREAM, int flags = SOCK_NONBLOCK)
      : Socket(::socket(AF_INET, type | flags | SOCK_CLOEXEC, 0), nullptr) {}
  Socket(int fd, std::nullptr_t) : fd_(fd) {
    if (fd < 0) throw std::system_error(errno, std::generic_category(), "socket");
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  ~Socket() { ::close(fd_); }
  int fd() const { return fd_; }
  // On a loopback port of the system's choosing.
  SocketAddress bind() const {
    sockaddr_in any{};
    any.sin_family = AF_INET;
    any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(fd_, reinterpret_cast<const sockaddr*>(&any), sizeof any), 0);
    return address();
  }
  SocketAddress listen() const {
    SocketAddress here = bind();
    EXPECT_EQ(::listen(fd_, 8), 0);
    return here;
  }
  SocketAddress address() const {
    SocketAddress here;
    auto size = static_cast<socklen_t>(SocketAddress::capacity());
    EXPECT_EQ(::getsockname(fd_, here.data(), &size), 0);
    here.set_size(size);
    return here;
  }

 private:
  int fd_;
};

template <class F>
int code_thrown(F&& fn) {
  try {
    fn();
  } catch (const std::system_error& error) {
    return error.code().value();
  }
  ADD_FAILURE() << "nothing was thrown";
  return 0;
}

Coro<void> echo(EventLoop& loop, int fd) {
  for (;;) {
    const std::string data = co_await loop.sock_recv(fd, 1000);
    if (data.empty()) co_return;
    co_await loop.sock_sendall(fd, data);
  }
}

// asyncio: test_sock_lowlevel.py::BaseSockTestsMixin::test_sock_client_ops
// asyncio: test_sock_lowlevel.py::BaseSockTestsMixin::test_sock_accept
FIBER_TEST(SockTest, ConnectsAcceptsSendsAndReceives) {
  SocketAddress peer;
  SocketAddress mine;
  with_loop([&](EventLoop& loop) {
    const Socket listener;
    const SocketAddress address = listener.listen();
    // Tasks of fibers, so that the one hears of the other's failure.
    fibers::open_nursery([&](fibers::Nursery& nursery) {
      nursery.start_soon([&] {
        auto accepted = await(loop.sock_accept(listener.fd()));
        const Socket connection(accepted.first, nullptr);
        peer = accepted.second;
        await(loop.create_task(echo(loop, connection.fd())));
      });
      const Socket client;
      await(loop.sock_connect(client.fd(), address));
      mine = client.address();
      await(loop.sock_sendall(client.fd(), "hello"));
      std::string got;
      while (got.size() < 5) got += await(loop.sock_recv(client.fd(), 3));
      EXPECT_EQ(got, "hello");
    });
  });
  EXPECT_EQ(peer, mine);
}

// More than the system takes at once.
// asyncio: test_sock_lowlevel.py::BaseSockTestsMixin::test_huge_content
FIBER_TEST(SockTest, SendsAllOfWhatDoesNotFit) {
  SocketPair pair;
  std::string received;
  const std::string data(3'000'000, 'x');
  with_loop([&](EventLoop& loop) {
    fibers::open_nursery([&](fibers::Nursery& nursery) {
      nursery.start_soon([&] { await(loop.create_task(loop.sock_sendall(pair[0], data))); });
      while (received.size() < data.size()) {
        const std::string part = await(loop.sock_recv(pair[1], 100'000));
        ASSERT_FALSE(part.empty());
        received += part;
      }
    });
    EXPECT_EQ(loop.statistics().readers + loop.statistics().writers, 0U);
  });
  EXPECT_TRUE(received == data);
}

// asyncio: test_sock_lowlevel.py::BaseSockTestsMixin::test_unix_sock_client_ops
FIBER_TEST(SockTest, ReceivesIntoMemoryOfTheCaller) {
  SocketPair pair;
  with_loop([&](EventLoop& loop) {
    std::array<std::byte, 8> buffer{};
    auto task = loop.create_task([&] { return await(loop.sock_recv_into(pair[0], buffer)); });
    loop.synchronize();
    pair.write(1, 'a');
    EXPECT_EQ(await(task), 1U);
    EXPECT_EQ(buffer[0], std::byte{'a'});
    EXPECT_THAT(thrown<fibers::UsageError>(
                    [&] { await(loop.sock_recv_into(pair[0], std::span<std::byte>())); }),
                HasSubstr("not empty"));
    pair.close(1);
    EXPECT_EQ(await(loop.sock_recv_into(pair[0], buffer)), 0U);
  });
}

// asyncio: test_sock_lowlevel.py::BaseSockTestsMixin::test_huge_content_recvinto
FIBER_TEST(SockTest, ReceivesMuchIntoMemoryOfTheCaller) {
  SocketPair pair;
  std::string received;
  std::string data;
  for (int i = 0; data.size() < 3'000'000; ++i) data += std::to_string(i);
  with_loop([&](EventLoop& loop) {
    fibers::open_nursery([&](fibers::Nursery& nursery) {
      nursery.start_soon([&] { await(loop.create_task(loop.sock_sendall(pair[0], data))); });
      std::array<std::byte, 4096> buffer{};
      while (received.size() < data.size()) {
        const std::size_t count = await(loop.sock_recv_into(pair[1], buffer));
        ASSERT_GT(count, 0U);
        const void* const bytes = buffer.data();
        received.append(static_cast<const char*>(bytes), count);
      }
    });
  });
  EXPECT_TRUE(received == data);
}

// asyncio: test_sock_lowlevel.py::BaseSockTestsMixin::test_sendto_blocking
FIBER_TEST(SockTest, ADatagramWaitsForRoom) {
  const test::TemporaryDirectory directory;
  const SocketAddress address = SocketAddress::from_path(directory / "receiver");
  const auto size = static_cast<socklen_t>(address.size());
  const int flags = SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
  with_loop([&](EventLoop& loop) {
    const Socket receiver(::socket(AF_UNIX, flags, 0), nullptr);
    const Socket sender(::socket(AF_UNIX, flags, 0), nullptr);
    EXPECT_EQ(::bind(receiver.fd(), address.data(), size), 0);
    EXPECT_EQ(::connect(sender.fd(), address.data(), size), 0);
    int waiting = 0;
    while (::send(sender.fd(), "old", 3, 0) == 3) ++waiting;
    EXPECT_EQ(errno, EAGAIN);
    auto sending = loop.create_task(loop.sock_sendto(sender.fd(), "newest", address));
    for (int i = 0; i < 5; ++i) loop.synchronize();
    EXPECT_FALSE(sending.done());
    while (waiting-- > 0) EXPECT_EQ(await(loop.sock_recvfrom(receiver.fd(), 100)).first, "old");
    EXPECT_EQ(await(sending), 6U);
    EXPECT_EQ(await(loop.sock_recvfrom(receiver.fd(), 100)).first, "newest");
    EXPECT_EQ(loop.statistics().writers, 0U);
  });
}

// asyncio: test_sock_lowlevel.py::BaseSockTestsMixin::test_recvfrom
// asyncio: test_sock_lowlevel.py::BaseSockTestsMixin::test_recvfrom_into
FIBER_TEST(SockTest, DatagramsComeWithTheirSender) {
  with_loop([](EventLoop& loop) {
    const Socket one(SOCK_DGRAM);
    const Socket two(SOCK_DGRAM);
    const SocketAddress address_of_one = one.bind();
    const SocketAddress address_of_two = two.bind();
    auto task = loop.create_task(loop.sock_recvfrom(one.fd(), 100));
    loop.synchronize();
    EXPECT_EQ(await(loop.sock_sendto(two.fd(), "datagram", address_of_one)), 8U);
    auto [data, from] = await(task);
    EXPECT_EQ(data, "datagram");
    EXPECT_EQ(from, address_of_two);
    await(loop.sock_sendto(two.fd(), "", address_of_one));
    std::array<std::byte, 4> buffer{};
    EXPECT_EQ(await(loop.sock_recvfrom_into(one.fd(), buffer)).first, 0U);
  });
}

// asyncio: test_sock_lowlevel.py::BaseSockTestsMixin::test_sock_client_connect_racing
// asyncio: claims_descriptors::a_cancelled_accept_or_connect_leaves_no_reader
// asyncio: test_events.py::EventLoopTestsMixin::test_prompt_cancellation
// asyncio: test_sock_lowlevel.py::BaseSockTestsMixin::test_cancel_sock_accept
FIBER_TEST(SockTest, WhatIsCancelledLeavesNothingBehind) {
  SocketPair pair;
  with_loop([&](EventLoop& loop) {
    const Socket listener;
    listener.listen();
    auto receive = loop.create_task(loop.sock_recv(pair[0], 10));
    auto accept = loop.create_task(loop.sock_accept(listener.fd()));
    loop.synchronize();
    EXPECT_EQ(loop.statistics().readers, 2U);
    receive.cancel();
    accept.cancel();
    EXPECT_THROW(await(receive), CancelledError);
    EXPECT_THROW(await(accept), CancelledError);
    EXPECT_EQ(loop.statistics().readers, 0U);
    pair.write(1, 'k');
    EXPECT_EQ(await(loop.sock_recv(pair[0], 10)), "k");
  });
}

// asyncio: test_sock_lowlevel.py::BaseSockTestsMixin::test_sock_client_racing
// asyncio: claims_descriptors::a_second_sock_recv_cancels_only_the_first_ones_registration
FIBER_TEST(SockTest, CancellingTheFirstOfTwoLeavesTheSecond) {
  SocketPair pair;
  with_loop([&](EventLoop& loop) {
    auto first = loop.create_task(loop.sock_recv(pair[0], 10));
    loop.synchronize();
    auto second = loop.create_task(loop.sock_recv(pair[0], 10));
    loop.synchronize();
    first.cancel();
    EXPECT_THROW(await(first), CancelledError);
    pair.write(1, 'x');
    EXPECT_EQ(await(second), "x");
  });
}

// asyncio: test_sock_lowlevel.py::BaseSockTestsMixin::test_sock_client_fail
FIBER_TEST(SockTest, ErrorsOfTheSystemComeOut) {
  with_loop([](EventLoop& loop) {
    SocketAddress nobody;
    {
      const Socket bound;
      nobody = bound.bind();
    }
    const Socket client;
    EXPECT_EQ(code_thrown([&] { await(loop.sock_connect(client.fd(), nobody)); }), ECONNREFUSED);
    SocketPair pair;
    pair.close(1);
    EXPECT_EQ(code_thrown([&] { await(loop.sock_sendall(pair[0], "x")); }), EPIPE);
    EXPECT_EQ(code_thrown([&] { await(loop.sock_recv(-1, 1)); }), EBADF);
    EXPECT_EQ(code_thrown([&] { await(loop.sock_accept(pair[0])); }), EINVAL);
  });
}

FIBER_TEST(SockTest, DebugModeRefusesSocketsThatBlock) {
  with_loop([](EventLoop& loop) {
    loop.set_debug(true);
    const Socket blocking(SOCK_STREAM, 0);
    const SocketAddress address = blocking.bind();
    for (const auto& call :
         {loop.create_task([&] { await(loop.sock_recv(blocking.fd(), 1)); }),
          loop.create_task([&] { await(loop.sock_sendall(blocking.fd(), "x")); }),
          loop.create_task([&] { await(loop.sock_accept(blocking.fd())); }),
          loop.create_task([&] { await(loop.sock_connect(blocking.fd(), address)); })}) {
      EXPECT_THAT(thrown<fibers::UsageError>([&] { await(call); }), HasSubstr("non-blocking"));
    }
  });
}

}  // namespace
}  // namespace weft::loop
