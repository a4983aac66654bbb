// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// How endpoints for datagrams are made.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

#include "tests/loop/connection_testing.h"
#include "tests/loop/datagram_testing.h"
#include "tests/loop/refusing_testing.h"
#include "tests/support/temporary_directory.h"
#include "weft/fibers/errors.h"

namespace weft::loop {
namespace {

using namespace testing;  // NOLINT: the helpers of the folder.
using fibers::SocketAddress;
using ::testing::HasSubstr;
using Log = std::vector<std::string>;

struct Echo : Datagrams {
  void datagram_received(std::string_view data, const SocketAddress& addr) override {
    Datagrams::datagram_received(data, addr);
    transport.sendto("RESP:" + std::string(data), addr);
  }
};

int option_of(const DatagramTransport& transport, int option) {
  int value = 0;
  socklen_t size = sizeof value;
  EXPECT_EQ(::getsockopt(transport.get_extra_info(extra_info::socket).value(), SOL_SOCKET, option,
                         &value, &size),
            0);
  return value;
}

int code_of_failure(EventLoop& loop, const DatagramOptions& options) {
  try {
    open_endpoint(loop, options);
  } catch (const std::system_error& error) {
    return error.code().value();
  }
  ADD_FAILURE() << "nothing was thrown";
  return 0;
}

std::string refusal_of(EventLoop& loop, const DatagramOptions& options) {
  return thrown<fibers::UsageError>([&] { open_endpoint(loop, options); });
}

void expect_echo(EventLoop& loop, const char* host) {
  const auto server = open_endpoint<Echo>(loop, {.local_addr = {host, 0}});
  const SocketAddress address = own_address(server->transport);
  const auto client = open_endpoint(loop, {.remote_addr = {host, address.port()}});
  client->transport.sendto("xxx");
  run_until(loop, [&] { return client->is_at("data RESP:xxx"); });
  EXPECT_EQ(client->from, address);
  EXPECT_EQ(server->from, own_address(client->transport));
  EXPECT_EQ(server->transport.get_extra_info(extra_info::peername), std::nullopt);
  close_endpoint(loop, client);
  close_endpoint(loop, server);
}

// asyncio: test_events.py::EventLoopTestsMixin::test_create_datagram_endpoint
// asyncio: test_base_events.py::BaseEventLoopWithSelectorTests::test_create_datagram_endpoint_ip_addr
FIBER_TEST(DatagramEndpointTest, SpeaksToAnotherByUdp) {
  with_loop([](EventLoop& loop) { expect_echo(loop, "127.0.0.1"); });
}

// asyncio: test_events.py::EventLoopTestsMixin::test_create_datagram_endpoint_ipv6
FIBER_TEST(DatagramEndpointTest, SpeaksToAnotherByIpv6) {
  const OwnFd probe(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_in6 any{};
  any.sin6_family = AF_INET6;
  any.sin6_addr = in6addr_loopback;
  if (::bind(probe.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any) != 0) {
    GTEST_SKIP() << "this machine has no IPv6";
  }
  with_loop([](EventLoop& loop) { expect_echo(loop, "::1"); });
}

// asyncio: test_base_events.py::BaseEventLoopWithSelectorTests::test_create_datagram_endpoint_noaddr_nofamily
FIBER_TEST(DatagramEndpointTest, MayHaveAFamilyAlone) {
  with_loop([](EventLoop& loop) {
    const auto server = open_endpoint(loop, {.local_addr = {"127.0.0.1", 0}});
    const auto endpoint = open_endpoint(loop, {.family = AF_INET});
    endpoint->transport.sendto("x", own_address(server->transport));
    run_until(loop, [&] { return server->is_at("data x"); });
    close_endpoint(loop, endpoint);
    close_endpoint(loop, server);
    EXPECT_EQ(refusal_of(loop, {}), "unexpected address family");
  });
}

// asyncio: test_events.py::EventLoopTestsMixin::test_create_datagram_endpoint_sock
// asyncio: test_base_events.py::BaseEventLoopWithSelectorTests::test_create_datagram_endpoint_sock
// asyncio: test_base_events.py::BaseEventLoopWithSelectorTests::test_create_datagram_endpoint_sock_unix
FIBER_TEST(DatagramEndpointTest, TakesASocketOverThatMayBlock) {
  with_loop([](EventLoop& loop) {
    const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const auto endpoint = open_endpoint(loop, {.sock = fd});
    EXPECT_EQ(endpoint->transport.get_extra_info(extra_info::socket), fd);
    loop.synchronize();  // It would wait for ever in recvfrom().
    close_endpoint(loop, endpoint);
    EXPECT_EQ(::fcntl(fd, F_GETFD), -1);
  });
}

// asyncio: test_base_events.py::BaseEventLoopWithSelectorTests::test_create_datagram_endpoint_wrong_sock
// asyncio: test_base_events.py::BaseEventLoopWithSelectorTests::test_create_datagram_endpoint_sock_sockopts
FIBER_TEST(DatagramEndpointTest, RefusesAndClosesSocketsThatDoNotFit) {
  with_loop([](EventLoop& loop) {
    SocketPair streams;
    EXPECT_EQ(refusal_of(loop, {.sock = streams.take()}), "A datagram socket was expected");
    EXPECT_TRUE(streams.at_end());
    DatagramPair pair;
    EXPECT_EQ(refusal_of(loop, {.local_addr = {"127.0.0.1", 0},
                                .remote_addr = {"127.0.0.1", 1},
                                .family = 1,
                                .proto = 1,
                                .flags = 1,
                                .reuse_port = true,
                                .allow_broadcast = true,
                                .sock = pair.take()}),
              "socket modifier keyword arguments can not be used when sock is specified. "
              "(local_addr, remote_addr, family, proto, flags, reuse_port, allow_broadcast)");
    EXPECT_EQ(::send(pair.peer(), "x", 1, MSG_NOSIGNAL), -1);
  });
}

// asyncio: test_base_events.py::BaseEventLoopWithSelectorTests::test_create_datagram_endpoint_no_matching_family
FIBER_TEST(DatagramEndpointTest, NeedsAFamilyThatBothAddressesHave) {
  with_loop([](EventLoop& loop) {
    EXPECT_EQ(refusal_of(loop, {.local_addr = {"127.0.0.1", 0}, .remote_addr = {"::1", 1}}),
              "can not get address information");
  });
}

// asyncio: test_base_events.py::BaseEventLoopWithSelectorTests::test_create_datagram_endpoint_addr_error
FIBER_TEST(DatagramEndpointTest, TellsPathsFromHosts) {
  with_loop([](EventLoop& loop) {
    EXPECT_THAT(refusal_of(loop, {.local_addr = "localhost", .family = AF_INET}),
                HasSubstr("2-tuple is expected"));
    EXPECT_THAT(refusal_of(loop, {.local_addr = {"localhost", 1}, .family = AF_UNIX}),
                HasSubstr("string is expected"));
    EXPECT_THAT(refusal_of(loop, {.local_addr = "/x", .remote_addr = {"localhost", 1}}),
                HasSubstr("string is expected"));
  });
}

// asyncio: test_base_events.py::BaseEventLoopWithSelectorTests::test_create_datagram_endpoint_cant_bind
// asyncio: test_base_events.py::BaseEventLoopWithSelectorTests::test_create_datagram_endpoint_socket_err
// asyncio: test_base_events.py::BaseEventLoopWithSelectorTests::test_create_datagram_endpoint_connect_err
FIBER_TEST(DatagramEndpointTest, ThrowsWhatTheSystemSays) {
  with_loop([](EventLoop& loop) {
    const auto taken = open_endpoint(loop, {.local_addr = {"127.0.0.1", 0}});
    const std::uint16_t port = own_address(taken->transport).port();
    EXPECT_EQ(code_of_failure(loop, {.local_addr = {"127.0.0.1", port}}), EADDRINUSE);
    EXPECT_EQ(code_of_failure(loop, {.family = AF_INET, .proto = IPPROTO_TCP}), EPROTONOSUPPORT);
    // A broadcast address needs allow_broadcast.
    EXPECT_EQ(code_of_failure(loop, {.remote_addr = {"255.255.255.255", 9}}), EACCES);
    close_endpoint(loop, taken);
  });
}

// asyncio: test_base_events.py::BaseEventLoopWithSelectorTests::test_create_datagram_endpoint_no_addrinfo
FIBER_TEST(DatagramEndpointTest, NeedsAnAddressOfANameThatItIsGiven) {
  with_loop([](EventLoop& loop) {
    const Names names("name.example", {});
    EXPECT_THAT(thrown<std::system_error>([&] {
                  open_endpoint(loop, {.local_addr = {"name.example", 0}});
                }),
                HasSubstr("getaddrinfo() returned empty list"));
  });
}

// asyncio: test_base_events.py::BaseEventLoopWithSelectorTests::test_create_datagram_endpoint_setblk_err
FIBER_TEST(DatagramEndpointTest, ClosesASocketThatCannotBeMadeNonBlocking) {
  WEFT_NOT_SWEPT("it has a gate of its own");
  with_loop([](EventLoop& loop) {
    const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    {
      const Refusing none("fcntl", EPERM);
      EXPECT_EQ(code_of_failure(loop, {.sock = fd}), EPERM);
    }
    EXPECT_EQ(::fcntl(fd, F_GETFD), -1);
  });
}

// asyncio: test_base_events.py::BaseEventLoopWithSelectorTests::test_create_datagram_endpoint_allow_broadcast
// asyncio: test_base_events.py::BaseEventLoopWithSelectorTests::test_create_datagram_endpoint_sockopts
FIBER_TEST(DatagramEndpointTest, IsNotConnectedToABroadcastAddress) {
  with_loop([](EventLoop& loop) {
    const auto server = open_endpoint<Echo>(loop, {.local_addr = {"127.0.0.1", 0}});
    const SocketAddress address = own_address(server->transport);
    const auto endpoint = open_endpoint(
        loop, {.remote_addr = {"127.0.0.1", address.port()}, .allow_broadcast = true});
    EXPECT_EQ(option_of(endpoint->transport, SO_BROADCAST), 1);
    EXPECT_EQ(endpoint->transport.get_extra_info(extra_info::peername), std::nullopt);
    endpoint->transport.sendto("x");
    run_until(loop, [&] { return endpoint->is_at("data RESP:x"); });
    EXPECT_EQ(thrown<fibers::UsageError>(
                  [&] { endpoint->transport.sendto("x", own_address(endpoint->transport)); }),
              "Invalid address: must be None or " + address.to_string());
    close_endpoint(loop, endpoint);
    close_endpoint(loop, server);
  });
}

FIBER_TEST(DatagramEndpointTest, SharesAPort) {
  with_loop([](EventLoop& loop) {
    const auto one = open_endpoint(loop, {.local_addr = {"127.0.0.1", 0}, .reuse_port = true});
    const std::uint16_t port = own_address(one->transport).port();
    const auto two = open_endpoint(loop, {.local_addr = {"127.0.0.1", port}, .reuse_port = true});
    EXPECT_EQ(own_address(two->transport).port(), port);
    close_endpoint(loop, one);
    close_endpoint(loop, two);
  });
}

// asyncio: test_base_events.py::BaseEventLoopWithSelectorTests::test_create_datagram_endpoint_existing_sock_unix
FIBER_TEST(DatagramEndpointTest, SpeaksToAnotherByPaths) {
  const test::TemporaryDirectory directory;
  const std::string server_path = directory / "server";
  const std::string client_path = directory / "client";
  with_loop([&](EventLoop& loop) {
    // The file stays, and the next one takes its place.
    close_endpoint(loop, open_endpoint(loop, {.local_addr = server_path}));
    EXPECT_TRUE(std::filesystem::exists(server_path));
    const auto server = open_endpoint<Echo>(loop, {.local_addr = server_path});
    const auto client =
        open_endpoint(loop, {.local_addr = client_path, .remote_addr = server_path});
    client->transport.sendto("x");
    run_until(loop, [&] { return client->is_at("data RESP:x"); });
    EXPECT_EQ(server->from.host(), client_path);
    close_endpoint(loop, client);
    close_endpoint(loop, server);
  });
}

FIBER_TEST(DatagramEndpointTest, DoesNotRemoveWhatIsNoSocket) {
  const test::TemporaryDirectory directory;
  const std::string path = directory / "folder";
  std::filesystem::create_directory(path);
  with_loop([&](EventLoop& loop) {
    EXPECT_EQ(code_of_failure(loop, {.local_addr = path}), EADDRINUSE);
    EXPECT_TRUE(std::filesystem::is_directory(path));
  });
}

// The system does not say when a Unix socket that it is not connected to has room again.
FIBER_TEST(DatagramEndpointTest, SendsToAFullUnixSocketWhenItHasRoom) {
  const test::TemporaryDirectory directory;
  const std::string path = directory / "slow";
  with_loop([&](EventLoop& loop) {
    const OwnFd slow(::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const SocketAddress address = SocketAddress::from_path(path);
    ASSERT_EQ(::bind(slow.get(), address.data(), static_cast<socklen_t>(address.size())), 0);
    const auto endpoint = open_endpoint(loop, {.family = AF_UNIX});
    int sent = 0;
    for (; endpoint->transport.get_write_buffer_size() == 0; ++sent) {
      endpoint->transport.sendto("x", address);
    }
    endpoint->transport.close();
    fibers::sleep(5ms);
    EXPECT_FALSE(endpoint->is_lost());
    char room = 0;
    int got = 0;
    while (::recv(slow.get(), &room, 1, 0) == 1) ++got;
    fibers::sleep(5ms);
    EXPECT_TRUE(endpoint->is_lost());
    while (::recv(slow.get(), &room, 1, 0) == 1) ++got;
    EXPECT_EQ(got, sent);
  });
}

FIBER_TEST(DatagramEndpointTest, RefusesAProtocolOfStreamsAndClosesTheSocket) {
  with_loop([](EventLoop& loop) {
    DatagramPair pair;
    EXPECT_EQ(thrown<fibers::UsageError>([&] {
                await(loop.create_datagram_endpoint([] { return std::make_shared<Recorder>(); },
                                                    {.sock = pair.take()}));
              }),
              "a transport of datagrams needs a DatagramProtocol; this is none");
    EXPECT_EQ(::send(pair.peer(), "x", 1, MSG_NOSIGNAL), -1);
  });
}

FIBER_TEST(DatagramEndpointTest, LeavesNothingOpenWhenCancelled) {
  with_loop([](EventLoop& loop) {
    DatagramPair pair;
    const auto protocol = std::make_shared<Datagrams>();
    auto making = loop.create_task(loop.create_datagram_endpoint(
        [protocol] { return std::shared_ptr(protocol); }, {.sock = pair.take()}));
    fibers::checkpoint();
    making.cancel();
    run_until(loop, [&] { return making.done(); });
    EXPECT_TRUE(making.cancelled());
    for (int i = 0; i < 5; ++i) loop.synchronize();
    EXPECT_EQ(::send(pair.peer(), "x", 1, MSG_NOSIGNAL), -1);
    EXPECT_TRUE(protocol->log.empty() || protocol->is_lost());
  });
}

}  // namespace
}  // namespace weft::loop
