// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/tcp.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include "tests/support/captured_log.h"
#include "weft/fibers/catch.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/log.h"
#include "weft/fibers/memory_channel.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

using namespace std::chrono_literals;
using testing::wait_all_tasks_blocked;

void echo(SocketStream& stream) {
  for (std::string data = stream.receive_some(); !data.empty(); data = stream.receive_some()) {
    stream.send_all(data);
  }
}

// --- A race against a network that only exists here. ---

struct Scenario {
  // How long each address takes, and whether it then succeeds.
  struct Host {
    Duration delay;
    bool succeeds;
  };
  std::map<std::string, Host> hosts;
  std::map<std::string, Duration> started = {}, cancelled = {};
  std::deque<SocketStream> peers = {};
  Instant start = current_time();

  SocketStream connect(const SocketAddress& target) {
    const std::string name = target.host();
    started[name] = current_time() - start;
    try {
      sleep(hosts.at(name).delay);
    } catch (const Cancelled&) {
      cancelled[name] = current_time() - start;
      throw;
    }
    if (!hosts.at(name).succeeds) {
      throw std::system_error(ECONNREFUSED, std::generic_category(), name);
    }
    auto [ours, theirs] = socket_stream_pair();
    theirs.send_all(name);
    peers.push_back(std::move(theirs));
    return std::move(ours);
  }

  // The name of the address that won.
  std::string race(const std::vector<std::string>& names, Duration delay = 250ms) {
    std::vector<SocketAddress> targets;
    for (const std::string& name : names) targets.push_back(resolve(name, 80).front());
    start = current_time();
    SocketStream winner = detail::race_connections(
        targets, delay, "test:80", [this](const SocketAddress& target) { return connect(target); });
    return winner.receive_some();
  }
};

// trio: test_highlevel_open_tcp_stream.py::test_one_host_quick_success
FIBER_TEST(TcpRaceTest, OneHostThatAnswersWins) {
  Scenario net{.hosts = {{"1.1.1.1", {123ms, true}}}};
  EXPECT_EQ(net.race({"1.1.1.1"}), "1.1.1.1");
  EXPECT_EQ(current_time() - net.start, 123ms);
}

// trio: test_highlevel_open_tcp_stream.py::test_one_host_slow_fail
FIBER_TEST(TcpRaceTest, OneHostThatFailsFailsTheRace) {
  Scenario net{.hosts = {{"1.1.1.1", {900ms, false}}}};
  try {
    net.race({"1.1.1.1"});
    FAIL() << "connected to nobody";
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code(), std::errc::connection_refused);
    try {
      std::rethrow_if_nested(error);
      FAIL() << "no causes given";
    } catch (const ExceptionGroup& group) {
      EXPECT_EQ(group.exceptions().size(), 1U);
    }
  }
  EXPECT_EQ(current_time() - net.start, 900ms);
}

// trio: test_highlevel_open_tcp_stream.py::test_basic_fallthrough
FIBER_TEST(TcpRaceTest, NextHostJoinsInEveryQuarterSecond) {
  Scenario net{
      .hosts = {{"1.1.1.1", {1s, true}}, {"2.2.2.2", {1s, true}}, {"3.3.3.3", {200ms, true}}}};
  EXPECT_EQ(net.race({"1.1.1.1", "2.2.2.2", "3.3.3.3"}), "3.3.3.3");
  EXPECT_EQ(current_time() - net.start, 700ms);
  EXPECT_EQ(net.started["1.1.1.1"], 0ms);
  EXPECT_EQ(net.started["2.2.2.2"], 250ms);
  EXPECT_EQ(net.started["3.3.3.3"], 500ms);
  EXPECT_EQ(net.cancelled["1.1.1.1"], 700ms);
  EXPECT_EQ(net.cancelled["2.2.2.2"], 700ms);
}

// trio: test_highlevel_open_tcp_stream.py::test_early_success
FIBER_TEST(TcpRaceTest, NobodyJoinsInAfterTheWinner) {
  Scenario net{
      .hosts = {{"1.1.1.1", {1s, true}}, {"2.2.2.2", {100ms, true}}, {"3.3.3.3", {0s, true}}}};
  EXPECT_EQ(net.race({"1.1.1.1", "2.2.2.2", "3.3.3.3"}), "2.2.2.2");
  EXPECT_EQ(current_time() - net.start, 350ms);
  EXPECT_EQ(net.started.count("3.3.3.3"), 0U);
}

// trio: test_highlevel_open_tcp_stream.py::test_custom_delay
FIBER_TEST(TcpRaceTest, DelayCanBeChosen) {
  Scenario net{.hosts = {{"1.1.1.1", {450ms, true}}, {"2.2.2.2", {450ms, true}}}};
  EXPECT_EQ(net.race({"1.1.1.1", "2.2.2.2"}, 400ms), "1.1.1.1");
  EXPECT_EQ(net.started["2.2.2.2"], 400ms);
  Scenario patient{.hosts = net.hosts};
  patient.hosts["1.1.1.1"] = {1h, false};
  EXPECT_EQ(patient.race({"1.1.1.1", "2.2.2.2"}, Duration::max()), "2.2.2.2");
  EXPECT_EQ(patient.started["2.2.2.2"], 1h);
}

// trio: test_highlevel_open_tcp_stream.py::test_custom_errors_expedite
FIBER_TEST(TcpRaceTest, FailureLetsTheNextOneStartAtOnce) {
  Scenario net{.hosts = {{"1.1.1.1", {100ms, false}},
                         {"2.2.2.2", {200ms, false}},
                         {"3.3.3.3", {1s, true}},
                         {"4.4.4.4", {250ms, true}}}};
  EXPECT_EQ(net.race({"1.1.1.1", "2.2.2.2", "3.3.3.3", "4.4.4.4"}), "4.4.4.4");
  EXPECT_EQ(net.started["2.2.2.2"], 100ms);
  EXPECT_EQ(net.started["3.3.3.3"], 300ms);
  EXPECT_EQ(net.started["4.4.4.4"], 550ms);
  EXPECT_EQ(current_time() - net.start, 800ms);
}

// trio: test_highlevel_open_tcp_stream.py::test_all_fail
FIBER_TEST(TcpRaceTest, AllFailuresAreTold) {
  Scenario net{.hosts = {{"1.1.1.1", {100ms, false}},
                         {"2.2.2.2", {200ms, false}},
                         {"3.3.3.3", {300ms, false}}}};
  try {
    net.race({"1.1.1.1", "2.2.2.2", "3.3.3.3"});
    FAIL() << "connected to nobody";
  } catch (const std::system_error& error) {
    try {
      std::rethrow_if_nested(error);
    } catch (const ExceptionGroup& group) {
      EXPECT_EQ(group.exceptions().size(), 3U);
    }
  }
  EXPECT_EQ(current_time() - net.start, 600ms);
}

// trio: test_highlevel_open_tcp_stream.py::test_multi_success
FIBER_TEST(TcpRaceTest, OfSeveralThatSucceedTogetherOneIsKept) {
  Scenario net{.hosts = {{"1.1.1.1", {500ms, true}}, {"2.2.2.2", {250ms, true}}}};
  const std::string winner = net.race({"1.1.1.1", "2.2.2.2"});
  EXPECT_EQ(current_time() - net.start, 500ms);
  EXPECT_TRUE(winner == "1.1.1.1" || winner == "2.2.2.2");
  // All that were opened are closed again: the test's end counts descriptors.
}

// trio: test_highlevel_open_tcp_stream.py::test_does_reorder
FIBER_TEST(TcpRaceTest, SecondAttemptUsesTheOtherFamily) {
  Scenario net{.hosts = {{"1.1.1.1", {10s, true}},
                         {"2.2.2.2", {10s, true}},
                         {"::3", {500ms, true}},
                         {"::4", {10s, true}}}};
  EXPECT_EQ(net.race({"1.1.1.1", "2.2.2.2", "::3", "::4"}), "::3");
  EXPECT_EQ(net.started["::3"], 250ms);
  EXPECT_EQ(net.started["2.2.2.2"], 500ms);
}

// trio: test_highlevel_open_tcp_stream.py::test_cancel
FIBER_TEST(TcpRaceTest, CancellationStopsAllAttempts) {
  Scenario net{.hosts = {{"1.1.1.1", {10s, true}}, {"2.2.2.2", {10s, true}}}};
  EXPECT_FALSE(move_on_after(5s, [&] { net.race({"1.1.1.1", "2.2.2.2"}); }));
  EXPECT_EQ(net.cancelled["1.1.1.1"], 5s);
  EXPECT_EQ(net.cancelled["2.2.2.2"], 5s);
}

// trio: test_highlevel_open_tcp_stream.py::test_no_hosts
FIBER_TEST(TcpRaceTest, NoAddressIsAnError) {
  Scenario net;
  EXPECT_THROW(net.race({}), std::system_error);
}

// --- Real sockets. ---

// An address of this machine that no other process uses: a port that is given back is not taken by
// somebody else, nor by our own outgoing side.
std::string own_loopback() {
  const auto id = static_cast<unsigned>(::getpid());
  std::string address = "127.";
  address += std::to_string(64 + (id >> 16U) % 128) + '.';
  address += std::to_string((id >> 8U) % 256) + '.';
  return address + std::to_string(id % 256);
}

// trio: test_highlevel_open_tcp_stream.py::test_open_tcp_stream_real_socket_smoketest
FIBER_TEST(OpenTcpStreamTest, ConnectsByNameAndByAddress) {
  auto listeners = open_tcp_listeners(0, {.host = "127.0.0.1"});
  const std::uint16_t port = listeners.front().local_address().port();
  for (const char* host : {"127.0.0.1", "localhost"}) {
    SocketStream client = open_tcp_stream(host, port);
    SocketStream server = listeners.front().accept();
    client.send_all("x");
    EXPECT_EQ(server.receive_some(), "x");
  }
}

FIBER_TEST(OpenTcpStreamTest, RefusedConnectionSaysWhere) {
  const std::string host = own_loopback();
  const std::uint16_t port = open_tcp_listeners(0, {.host = host}).front().local_address().port();
  try {
    open_tcp_stream(host, port);
    FAIL() << "connected to nobody";
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code(), std::errc::connection_refused);
    EXPECT_NE(std::string(error.what()).find(host + ':' + std::to_string(port)), std::string::npos);
  }
}

// trio: test_highlevel_open_tcp_stream.py::test_local_address_real
FIBER_TEST(OpenTcpStreamTest, LocalAddressCanBeChosen) {
  auto listeners = open_tcp_listeners(0, {.host = "127.0.0.1"});
  const std::uint16_t port = listeners.front().local_address().port();
  SocketStream client = open_tcp_stream("127.0.0.1", port, {.local_address = "127.0.0.2"});
  EXPECT_EQ(listeners.front().accept().peer_address().host(), "127.0.0.2");
  EXPECT_EQ(client.getsockopt(IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT), 1);
  EXPECT_THROW(open_tcp_stream("127.0.0.1", port, {.local_address = "::1"}), std::system_error);
  EXPECT_THROW(open_tcp_stream("127.0.0.1", port, {.happy_eyeballs_delay = -1ns}), UsageError);
}

// trio: test_highlevel_open_tcp_listeners.py::test_open_tcp_listeners_basic
FIBER_TEST(OpenTcpListenersTest, ListensOnEveryAddressAtOnePort) {
  const auto listeners = open_tcp_listeners(0);
  ASSERT_FALSE(listeners.empty());
  const std::uint16_t port = listeners.front().local_address().port();
  EXPECT_NE(port, 0);
  for (const SocketListener& listener : listeners) {
    EXPECT_EQ(listener.local_address().port(), port);
  }
}

// trio: test_highlevel_open_tcp_listeners.py::test_open_tcp_listeners_rebind
FIBER_TEST(OpenTcpListenersTest, PortOfARunningServerIsTaken) {
  const std::string host = own_loopback();
  auto listeners = open_tcp_listeners(0, {.host = host});
  const std::uint16_t port = listeners.front().local_address().port();
  EXPECT_THROW(open_tcp_listeners(port, {.host = host}), std::system_error);
  {
    // A connection that is left over does not keep the port.
    SocketStream client = open_tcp_stream(host, port);
    listeners.front().accept().close();
    client.receive_some();
  }
  listeners.clear();
  EXPECT_NO_THROW(open_tcp_listeners(port, {.host = host}));
}

// trio: test_highlevel_open_tcp_listeners.py::test_open_tcp_listeners_backlog
FIBER_TEST(OpenTcpListenersTest, BacklogIsChecked) {
  EXPECT_THROW(open_tcp_listeners(0, {.host = "127.0.0.1", .backlog = 0}), UsageError);
  EXPECT_NO_THROW(open_tcp_listeners(0, {.host = "127.0.0.1", .backlog = 1 << 30}));
}

// trio: test_highlevel_open_tcp_listeners.py::test_serve_tcp
FIBER_TEST(ServeTcpTest, ServesEachConnectionInATaskOfItsOwn) {
  open_nursery([&](Nursery& nursery) {
    const auto port = nursery.start<std::uint16_t>([&](TaskStatus<std::uint16_t>& status) {
      serve_tcp(echo, 0, {.host = "127.0.0.1"}, status);
    });
    SocketStream first = open_tcp_stream("127.0.0.1", port);
    SocketStream second = open_tcp_stream("127.0.0.1", port);
    second.send_all("2");
    EXPECT_EQ(second.receive_some(), "2");
    first.send_all("1");
    EXPECT_EQ(first.receive_some(), "1");
    nursery.cancel_scope().cancel();
  });
}

// --- Listeners that only exist here. ---

// Hands out one end of each pair, or throws what it is told to.
class FakeListener {
 public:
  explicit FakeListener(MemoryReceiveChannel<SocketStream> incoming)
      : incoming_(std::move(incoming)) {}
  SocketStream accept() {
    if (error != 0) throw std::system_error(error, std::generic_category(), "accept");
    return incoming_.receive();
  }
  int error = 0;

 private:
  MemoryReceiveChannel<SocketStream> incoming_;
};

struct FakeServer {
  FakeServer() : FakeServer(open_memory_channel<SocketStream>(0)) {}
  explicit FakeServer(MemoryChannelPair<SocketStream> ends) : connections(std::move(ends.first)) {
    listeners.emplace_back(std::move(ends.second));
  }
  SocketStream connect() {
    auto [ours, theirs] = socket_stream_pair();
    connections.send(std::move(theirs));
    return std::move(ours);
  }
  MemorySendChannel<SocketStream> connections;
  std::vector<FakeListener> listeners;
};

// trio: test_highlevel_serve_listeners.py::test_serve_listeners_basic
FIBER_TEST(ServeListenersTest, StreamIsClosedWhenItsHandlerHasEnded) {
  FakeServer server;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      serve_listeners([](SocketStream& stream) { stream.send_all("bye"); },
                      std::move(server.listeners));
    });
    for (int i = 0; i < 3; ++i) {
      SocketStream client = server.connect();
      EXPECT_EQ(client.receive_some(), "bye");
      EXPECT_EQ(client.receive_some(), "");
    }
    nursery.cancel_scope().cancel();
  });
}

FIBER_TEST(ServeListenersTest, HandlerMayKeepTheStream) {
  FakeServer server;
  std::optional<SocketStream> kept;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      serve_listeners([&](SocketStream& stream) { kept = std::move(stream); },
                      std::move(server.listeners));
    });
    SocketStream client = server.connect();
    wait_all_tasks_blocked();
    ASSERT_TRUE(kept.has_value());
    kept->send_all("later");
    EXPECT_EQ(client.receive_some(), "later");
    nursery.cancel_scope().cancel();
  });
}

// trio: test_highlevel_serve_listeners.py::test_serve_listeners_accept_unrecognized_error
FIBER_TEST(ServeListenersTest, OtherErrorsOfAcceptEndTheServing) {
  for (const int error : {EIO, EINVAL}) {
    FakeServer server;
    server.listeners.front().error = error;
    bool matched = false;
    catch_([&] { serve_listeners(echo, std::move(server.listeners)); },
           on<std::system_error>([&](const std::exception_ptr&) { matched = true; }));
    EXPECT_TRUE(matched);
  }
}

// trio: test_highlevel_serve_listeners.py::test_serve_listeners_accept_capacity_error
FIBER_TEST(ServeListenersTest, OutOfDescriptorsItTriesAgainTenTimesASecond) {
  for (const int error : {EMFILE, ENFILE, ENOMEM, ENOBUFS, ENOSPC}) {
    FakeServer server;
    server.listeners.front().error = error;
    int logged = 0;
    const test::ReplacedLogSink sink([&](LogLevel level, std::string_view text) {
      EXPECT_EQ(level, LogLevel::kError);
      EXPECT_NE(text.find("100 milliseconds"), std::string_view::npos);
      ++logged;
    });
    EXPECT_FALSE(move_on_after(950ms, [&] { serve_listeners(echo, std::move(server.listeners)); }));
    EXPECT_EQ(logged, 10);
  }
}

// trio: test_highlevel_serve_listeners.py::test_serve_listeners_connection_nursery
FIBER_TEST(ServeListenersTest, ConnectionsMayOutliveTheListening) {
  FakeServer server;
  std::string answer;
  open_nursery([&](Nursery& connections) {
    std::optional<SocketStream> client;
    open_nursery([&](Nursery& listening) {
      listening.start_soon(
          [&] { serve_listeners(echo, std::move(server.listeners), &connections); });
      client = server.connect();
      wait_all_tasks_blocked();
      listening.cancel_scope().cancel();
    });
    EXPECT_EQ(connections.child_tasks().size(), 1U);
    client->send_all("still served");
    answer = client->receive_some();
    client->close();
  });
  EXPECT_EQ(answer, "still served");
}

FIBER_TEST(ServeListenersTest, ErrorOfAHandlerIsNotLost) {
  FakeServer server;
  bool matched = false;
  catch_(
      [&] {
        open_nursery([&](Nursery& nursery) {
          nursery.start_soon([&] {
            serve_listeners([](SocketStream&) { throw std::domain_error("handler"); },
                            std::move(server.listeners));
          });
          server.connect();
          sleep_forever();
        });
      },
      on<std::domain_error>([&](const std::exception_ptr&) { matched = true; }));
  EXPECT_TRUE(matched);
}

FIBER_TEST(ServeListenersTest, NeedsAListener) {
  EXPECT_THROW(serve_listeners(echo, std::vector<SocketListener>{}), UsageError);
}

}  // namespace
}  // namespace weft::fibers
