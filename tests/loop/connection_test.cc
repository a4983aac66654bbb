// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "tests/loop/connection_testing.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/exception_group.h"
#include "weft/loop/detail/connecting.h"
#include "weft/loop/transport_layer.h"

namespace weft::loop {
namespace {

using fibers::socket::AddressInfo;
using namespace testing;

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

// Whom a connection to `name` has reached, which it then ends.
std::string reached(EventLoop& loop, std::uint16_t port, const ConnectionOptions& options) {
  auto [transport, protocol] =
      await(loop.create_connection(recorder, "name.example", port, options));
  std::string host = transport.get_extra_info(extra_info::peername)->host();
  transport.close();
  run_until(loop, [&] { return is_lost(*protocol); });
  return host;
}

// asyncio: test_staggered.py::StaggeredTests::test_none_successful
FIBER_TEST(ConnectionTest, RacesAndThrowsIfNobodyWins) {
  with_loop([](EventLoop& loop) {
    const ClosedPort port;
    const Names names("name.example", {"127.0.0.1", "127.0.0.2"});
    const std::string text = thrown<std::system_error>([&] {
      await(loop.create_connection(recorder, "name.example", port.number,
                                   {.happy_eyeballs_delay = 250ms}));
    });
    EXPECT_NE(text.find("Connection refused"), std::string::npos) << text;
  });
}

// asyncio: test_staggered.py::StaggeredTests::test_empty
FIBER_TEST(ConnectionTest, ARaceWithoutAnAddressHasNoWinner) {
  with_loop([](EventLoop& loop) {
    const Names names("name.example", {});
    const fibers::Instant begun = loop.time();
    const std::string text = thrown<std::system_error>([&] {
      await(loop.create_connection(recorder, "name.example", 1, {.happy_eyeballs_delay = 250ms}));
    });
    EXPECT_NE(text.find("getaddrinfo() returned empty list"), std::string::npos) << text;
    EXPECT_EQ(loop.time(), begun);
  });
}

// asyncio: test_staggered.py::StaggeredTests::test_one_successful
FIBER_TEST(ConnectionTest, WhenTheFirstOneSucceedsTheSecondIsNotTried) {
  with_loop([](EventLoop& loop) {
    int others = 0;
    Server first = listen_on(loop, "127.0.0.1", 0);
    Server second = await(loop.create_server(
        [&others] {
          ++others;
          return std::make_unique<Recorder>();
        },
        "127.0.0.2", port_of(first)));
    const Names names("name.example", {"127.0.0.1", "127.0.0.2"});
    const fibers::Instant begun = loop.time();
    EXPECT_EQ(reached(loop, port_of(first), {.happy_eyeballs_delay = 250ms}), "127.0.0.1");
    EXPECT_EQ(loop.time(), begun);
    fibers::sleep(1s);  // Nor afterwards.
    EXPECT_EQ(others, 0);
    stop(first);
    stop(second);
  });
}

// asyncio: test_base_events.py::BaseEventLoopWithSelectorTests::test_create_connection_multiple
// asyncio: claims_connections::addresses_are_tried_in_order
// asyncio: test_staggered.py::StaggeredTests::test_first_error_second_successful
FIBER_TEST(ConnectionTest, TriesTheAddressesInTheirOrder) {
  with_loop([](EventLoop& loop) {
    Server server = listen_on(loop, "127.0.0.2", 0);
    const std::uint16_t port = port_of(server);
    const Names names("name.example", {"127.0.0.1", "127.0.0.2", "127.0.0.3"});
    const fibers::Instant begun = loop.time();
    EXPECT_EQ(reached(loop, port, {}), "127.0.0.2");
    EXPECT_EQ(reached(loop, port, {.happy_eyeballs_delay = 250ms}), "127.0.0.2");
    EXPECT_EQ(loop.time(), begun) << "what fails does not keep the next one waiting";
    stop(server);
  });
}

// asyncio: claims_connections::staggered_attempts
// asyncio: claims_connections::losers_are_closed
// asyncio: test_staggered.py::StaggeredTests::test_first_timeout_second_successful
FIBER_TEST(ConnectionTest, RacesAndTakesTheOneThatIsThereFirst) {
  with_loop([](EventLoop& loop) {
    Server server = listen_on(loop, "127.0.0.2", 0);
    const std::uint16_t port = port_of(server);
    const Busy busy(loop, "127.0.0.1", port);
    const Names names("name.example", {"127.0.0.1", "127.0.0.2"});
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
    const Names names("name.example", {"127.0.0.1", "127.0.0.2", "127.0.0.3"});
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
