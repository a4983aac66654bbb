// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include <netinet/in.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "tests/loop/server_testing.h"
#include "tests/loop/transport_testing.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/socket/hooks.h"
#include "weft/loop/detail/connecting.h"
#include "weft/loop/transport_layer.h"

namespace weft::loop {
namespace {

using fibers::socket::AddressInfo;
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

// A name with the addresses that the test gives it. Installed while it lives.
class Name final : public fibers::socket::HostnameResolver {
 public:
  explicit Name(std::vector<std::string> hosts) : hosts_(std::move(hosts)) {
    fibers::socket::set_custom_hostname_resolver(this);
  }
  ~Name() override { fibers::socket::set_custom_hostname_resolver(nullptr); }
  std::vector<AddressInfo> getaddrinfo(const std::string&, const std::string& service,
                                       const fibers::socket::AddressHints& hints) override {
    std::vector<AddressInfo> all;
    for (const std::string& host : hosts_) {
      for (auto& each : fibers::socket::getaddrinfo(host, service, hints)) all.push_back(each);
    }
    return all;
  }
  std::pair<std::string, std::string> getnameinfo(const fibers::SocketAddress&, int) override {
    return {};
  }

 private:
  std::vector<std::string> hosts_;
};

// Whom a connection to `name` has reached, which it then ends.
std::string reached(EventLoop& loop, std::uint16_t port, const ConnectionOptions& options) {
  auto [transport, protocol] =
      await(loop.create_connection(recorder, "name.example", port, options));
  std::string host = transport.get_extra_info(extra_info::peername)->host();
  transport.close();
  run_until(loop, [&] { return is_lost(*protocol); });
  return host;
}

Server listen_on(EventLoop& loop, std::string_view host, std::uint16_t port,
                 const ServerOptions& options = {}) {
  return await(
      loop.create_server([] { return std::make_unique<Recorder>(); }, host, port, options));
}

// asyncio: test_staggered.py::StaggeredTests::test_none_successful
FIBER_TEST(ConnectionTest, RacesAndThrowsIfNobodyWins) {
  with_loop([](EventLoop& loop) {
    const ClosedPort port;
    const Name name({"127.0.0.1", "127.0.0.2"});
    const std::string text = thrown<std::system_error>([&] {
      await(loop.create_connection(recorder, "name.example", port.number,
                                   {.happy_eyeballs_delay = 250ms}));
    });
    EXPECT_NE(text.find("Connection refused"), std::string::npos) << text;
  });
}

// asyncio: test_base_events.py::BaseEventLoopWithSelectorTests::test_create_connection_multiple
// asyncio: claims_connections::addresses_are_tried_in_order
// asyncio: test_staggered.py::StaggeredTests::test_first_error_second_successful
FIBER_TEST(ConnectionTest, TriesTheAddressesInTheirOrder) {
  with_loop([](EventLoop& loop) {
    Server server = listen_on(loop, "127.0.0.2", 0);
    const std::uint16_t port = port_of(server);
    const Name name({"127.0.0.1", "127.0.0.2", "127.0.0.3"});
    const fibers::Instant begun = loop.time();
    EXPECT_EQ(reached(loop, port, {}), "127.0.0.2");
    EXPECT_EQ(reached(loop, port, {.happy_eyeballs_delay = 250ms}), "127.0.0.2");
    EXPECT_EQ(loop.time(), begun) << "what fails does not keep the next one waiting";
    stop(server);
  });
}

// A server whose queue is full: the system lets whoever else connects to it wait.
class Busy {
 public:
  Busy(EventLoop& loop, std::string_view host, std::uint16_t port)
      : server_(listen_on(loop, host, port, {.start_serving = false})) {
    const int listener = server_.sockets().at(0);
    EXPECT_EQ(::listen(listener, 0), 0);
    const fibers::SocketAddress address = address_of(listener);
    EXPECT_EQ(::connect(client_.get(), address.data(), static_cast<socklen_t>(address.size())), 0);
  }
  Busy(const Busy&) = delete;
  Busy& operator=(const Busy&) = delete;
  ~Busy() { server_.close(); }

 private:
  Server server_;
  const detail::GivenFd client_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
};

// asyncio: claims_connections::staggered_attempts
// asyncio: claims_connections::losers_are_closed
// asyncio: test_staggered.py::StaggeredTests::test_first_timeout_second_successful
FIBER_TEST(ConnectionTest, RacesAndTakesTheOneThatIsThereFirst) {
  with_loop([](EventLoop& loop) {
    Server server = listen_on(loop, "127.0.0.2", 0);
    const std::uint16_t port = port_of(server);
    const Busy busy(loop, "127.0.0.1", port);
    const Name name({"127.0.0.1", "127.0.0.2"});
    const fibers::Instant begun = loop.time();
    std::string winner;
    fibers::move_on_after(10s,
                          [&] { winner = reached(loop, port, {.happy_eyeballs_delay = 250ms}); });
    EXPECT_EQ(winner, "127.0.0.2");
    EXPECT_EQ(loop.time() - begun, 250ms) << "so long the first one is alone";
    // Without a race the second one has no turn.
    EXPECT_FALSE(fibers::move_on_after(10s, [&] { reached(loop, port, {}); }));
    stop(server);
  });
  // The fixture finds the descriptor of a loser that is left open.
}

FIBER_TEST(ConnectionTest, AnAttemptThatFailsLetsTheNextOneBeginAlsoWhileAnEarlierOneGoesOn) {
  with_loop([](EventLoop& loop) {
    Server server = listen_on(loop, "127.0.0.3", 0);
    const std::uint16_t port = port_of(server);
    const Busy busy(loop, "127.0.0.1", port);
    const Name name({"127.0.0.1", "127.0.0.2", "127.0.0.3"});
    const fibers::Instant begun = loop.time();
    std::string winner;
    fibers::move_on_after(10s,
                          [&] { winner = reached(loop, port, {.happy_eyeballs_delay = 250ms}); });
    EXPECT_EQ(winner, "127.0.0.3");
    EXPECT_EQ(loop.time() - begun, 250ms) << "the second address refuses at once";
    stop(server);
  });
}

FIBER_TEST(ConnectionTest, CancelledBeforeItIsKnownItIsClosed) {
  with_idle_loop([](EventLoop& loop) {
    SocketPair pair;
    auto connecting = loop.create_task(loop.create_connection(recorder, pair.take()));
    run_once(loop);  // There is a transport, and connection_made() is on its way.
    connecting.cancel();
    for (int i = 0; i < 4; ++i) run_once(loop);
    EXPECT_TRUE(connecting.cancelled());
    EXPECT_TRUE(pair.at_end());
  });
}

FIBER_TEST(ConnectionTest, InterleavesTheFamilies) {
  const auto order = [](int first_count) {
    detail::AddressInfos infos;
    for (const int family : {AF_INET6, AF_INET6, AF_INET6, AF_INET, AF_INET}) {
      AddressInfo info;
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
// asyncio: claims_connections::ssl_handshake_timeout_needs_ssl
// asyncio: test_base_events.py::BaseEventLoopWithSelectorTests::test_create_connection_ssl_timeout_for_plain_socket
// asyncio: test_base_events.py::BaseEventLoopWithSelectorTests::test_create_connection_no_ssl_server_hostname_errors
// asyncio: test_base_events.py::BaseEventLoopWithSelectorTests::test_create_connection_no_host_port_sock
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
