// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include <netinet/in.h>

#include <string>
#include <system_error>
#include <vector>

#include "tests/loop/transport_testing.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/exception_group.h"
#include "weft/loop/detail/connecting.h"
#include "weft/loop/transport_layer.h"

namespace weft::loop {
namespace {

using namespace testing;

auto recorder() {
  return std::make_shared<Recorder>();
}

// A port of this machine on which nobody listens.
class ClosedPort {
 public:
  ClosedPort() {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    socklen_t size = sizeof address;
    EXPECT_EQ(::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    number = ntohs(address.sin_port);
  }
  ClosedPort(const ClosedPort&) = delete;
  ClosedPort& operator=(const ClosedPort&) = delete;
  ~ClosedPort() { ::close(fd_); }
  std::uint16_t number = 0;

 private:
  int fd_ = ::socket(AF_INET, SOCK_STREAM, 0);
};

// asyncio: test_base_events.py::test_create_connection_connect_err
FIBER_TEST(ConnectionTest, ThrowsTheOneError) {
  with_loop([](EventLoop& loop) {
    const ClosedPort port;
    EXPECT_NE(thrown<std::system_error>([&] {
                await(loop.create_connection(recorder, "127.0.0.1", port.number));
              }).find("Connection refused"),
              std::string::npos);
  });
}

FIBER_TEST(ConnectionTest, ThrowsAllErrorsIfAskedTo) {
  with_loop([](EventLoop& loop) {
    const ClosedPort port;
    EXPECT_NE(
        thrown<fibers::ExceptionGroup>([&] {
          await(loop.create_connection(recorder, "127.0.0.1", port.number, {.all_errors = true}));
        }).find("create_connection failed"),
        std::string::npos);
  });
}

FIBER_TEST(ConnectionTest, RacesAndThrowsIfNobodyWins) {
  with_loop([](EventLoop& loop) {
    const ClosedPort port;
    thrown<std::system_error>([&] {
      await(loop.create_connection(recorder, "127.0.0.1", port.number,
                                   {.happy_eyeballs_delay = 250ms}));
    });
  });
}

FIBER_TEST(ConnectionTest, InterleavesTheFamilies) {
  const auto order = [](int first_count) {
    detail::AddressInfos infos;
    for (const int family : {AF_INET6, AF_INET6, AF_INET6, AF_INET, AF_INET}) {
      fibers::socket::AddressInfo info;
      info.family = family;
      info.type = static_cast<int>(infos.size());
      infos.push_back(std::move(info));
    }
    std::string numbers;
    for (const auto& info : detail::interleave(std::move(infos), first_count))
      numbers += std::to_string(info.type);
    return numbers;
  };
  EXPECT_EQ(order(1), "03142");
  EXPECT_EQ(order(2), "01324");
}

// asyncio: test_base_events.py::test_create_connection_ssl_server_hostname_errors
FIBER_TEST(ConnectionTest, RefusesOptionsOfALayerWithoutOne) {
  with_loop([](EventLoop& loop) {
    EXPECT_EQ(thrown<fibers::UsageError>([&] {
                await(loop.create_connection(recorder, "h", 1, {.server_hostname = "x"}));
              }),
              "server_hostname is only meaningful with ssl");
    EXPECT_EQ(thrown<fibers::UsageError>([&] {
                await(loop.create_connection(recorder, "h", 1, {.ssl_handshake_timeout = 1s}));
              }),
              "ssl_handshake_timeout is only meaningful with ssl");
    EXPECT_EQ(thrown<fibers::UsageError>([&] { await(loop.create_connection(recorder, "", 0)); }),
              "host and port was not specified and no sock specified");
  });
}

// asyncio: test_base_events.py::test_create_connection_wrong_sock
FIBER_TEST(ConnectionTest, RefusesASocketThatKeepsMessagesApart) {
  with_loop([](EventLoop& loop) {
    const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    EXPECT_EQ(thrown<fibers::UsageError>([&] { await(loop.create_connection(recorder, fd)); }),
              "A Stream Socket was expected");
    EXPECT_EQ(::close(fd), -1);  // Taken over.
  });
}

// A layer that passes the raw protocol through.
struct Through : TransportLayer {
  MadeLayer make(LayerRequest request) override {
    hostname = request.server_hostname;
    server_side = request.server_side;
    request.waiter.set_result();
    return {.protocol = request.protocol, .transport = {}};
  }
  std::string hostname;
  bool server_side = false;
};

// asyncio: test_base_events.py::test_create_connection_ssl_server_hostname_default
FIBER_TEST(ConnectionTest, PutsALayerInBetween) {
  with_loop([](EventLoop& loop) {
    SocketPair pair;
    Through layer;
    auto made = await(loop.create_connection(recorder, pair.take(),
                                             {.ssl = &layer, .server_hostname = "example.org"}));
    EXPECT_EQ(layer.hostname, "example.org");
    EXPECT_FALSE(layer.server_side);
    made.first.close();
    run_until(loop, [&] { return is_lost(*made.second); });
    SocketPair accepted;
    auto server = await(loop.connect_accepted_socket(recorder, accepted.take(), {.ssl = &layer}));
    EXPECT_TRUE(layer.server_side);
    server.first.close();
    run_until(loop, [&] { return is_lost(*server.second); });
  });
}

}  // namespace
}  // namespace weft::loop
