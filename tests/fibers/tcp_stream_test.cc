// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Connecting where the machine does not have everything, and what a race leaves behind.

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <deque>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "weft/fibers/errors.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/socket/hooks.h"
#include "weft/fibers/tcp.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

using namespace std::chrono_literals;

// What a name means, and which family of sockets there is not.
class FakeMachine final : public socket::HostnameResolver, public socket::SocketFactory {
 public:
  FakeMachine() {
    socket::set_custom_hostname_resolver(this);
    socket::set_custom_socket_factory(this);
  }
  FakeMachine(const FakeMachine&) = delete;
  FakeMachine& operator=(const FakeMachine&) = delete;
  ~FakeMachine() override {
    socket::set_custom_hostname_resolver(nullptr);
    socket::set_custom_socket_factory(nullptr);
  }

  std::vector<socket::AddressInfo> getaddrinfo(const std::string& /*host*/,
                                               const std::string& service,
                                               const socket::AddressHints& hints) override {
    std::vector<socket::AddressInfo> found;
    for (const std::string& address : addresses) {
      for (auto& each : socket::getaddrinfo(address, service, hints)) found.push_back(each);
    }
    return found;
  }
  std::pair<std::string, std::string> getnameinfo(const SocketAddress&, int) override { return {}; }
  socket::SocketType socket(int family, int type, int proto) override {
    if (family == missing) throw std::system_error(EAFNOSUPPORT, std::generic_category(), "socket");
    return socket::SocketType(
        OwnedFd(::socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, proto)));
  }

  std::vector<std::string> addresses = {};
  int missing = -1;
};

void expect_connects_to(const std::string& host, const std::string& address) {
  auto listeners = open_tcp_listeners(0, {.host = address});
  SocketStream client = open_tcp_stream(host, listeners.front().local_address().port());
  EXPECT_EQ(client.peer_address(), listeners.front().local_address());
}

// trio: test_highlevel_open_tcp_stream.py::test_handles_no_ipv6
FIBER_TEST(TcpStreamTest, AddressesOfAMissingFamilyAreSkipped) {
  FakeMachine machine;
  machine.addresses = {"::1", "127.0.0.1"};
  machine.missing = AF_INET6;
  expect_connects_to("both.example", "127.0.0.1");
}

// trio: test_highlevel_open_tcp_stream.py::test_handles_no_ipv4
FIBER_TEST(TcpStreamTest, AddressesOfTheOtherMissingFamilyAreSkippedToo) {
  FakeMachine machine;
  machine.addresses = {"127.0.0.1", "::1"};
  machine.missing = AF_INET;
  expect_connects_to("both.example", "::1");
}

// trio: test_highlevel_open_tcp_stream.py::test_no_hosts
FIBER_TEST(TcpStreamTest, NameWithoutAddressesIsAnError) {
  const FakeMachine machine;
  EXPECT_THROW(open_tcp_stream("nothing.example", 80), std::system_error);
}

// trio: test_highlevel_open_tcp_stream.py::test_open_tcp_stream_input_validation
FIBER_TEST(TcpStreamTest, HostIsNeeded) {
  EXPECT_THROW(open_tcp_stream("", 80), UsageError);
}

// trio: test_highlevel_open_tcp_stream.py::test_format_host_port
FIBER_TEST(TcpStreamTest, ErrorsWriteHostAndPortAsUsual) {
  FakeMachine machine;
  machine.missing = AF_INET;
  try {
    open_tcp_stream("127.0.0.1", 80);
    FAIL() << "connected without a socket";
  } catch (const std::system_error& error) {
    EXPECT_NE(std::string(error.what()).find("127.0.0.1:80"), std::string::npos);
  }
  machine.missing = AF_INET6;
  try {
    open_tcp_stream("::1", 443);
    FAIL() << "connected without a socket";
  } catch (const std::system_error& error) {
    EXPECT_NE(std::string(error.what()).find("[::1]:443"), std::string::npos);
  }
}

// A race between addresses that all lead to socket pairs.
struct Race {
  SocketStream run(const std::vector<std::string>& names, Duration delay = 250ms) {
    std::vector<SocketAddress> targets;
    for (const std::string& name : names) targets.push_back(resolve(name, 80).front());
    return detail::race_connections(
        targets, delay, "test:80", [this](const SocketAddress& target) { return connect(target); });
  }

  SocketStream connect(const SocketAddress& target) {
    attempts.push_back(target.host());
    auto [ours, theirs] = socket_stream_pair();
    peers.push_back(std::move(theirs));
    sleep(delay_of_success);
    if (fails_late) throw std::system_error(EINVAL, std::generic_category(), "after connecting");
    return std::move(ours);
  }

  Duration delay_of_success = 0s;
  bool fails_late = false;
  std::vector<std::string> attempts = {};
  std::deque<SocketStream> peers = {};
};

// trio: test_highlevel_open_tcp_stream.py::test_reorder_for_rfc_6555_section_5_4
FIBER_TEST(TcpStreamTest, OnlyTheFirstOfTheOtherFamilyMovesForward) {
  Race race{.fails_late = true};
  EXPECT_THROW(race.run({"1.1.1.1", "2.2.2.2", "::3", "::4", "3.3.3.3"}), std::system_error);
  EXPECT_EQ(race.attempts,
            (std::vector<std::string>{"1.1.1.1", "::3", "2.2.2.2", "::4", "3.3.3.3"}));
  Race same{.fails_late = true};
  EXPECT_THROW(same.run({"::1", "::2", "::3"}), std::system_error);
  EXPECT_EQ(same.attempts, (std::vector<std::string>{"::1", "::2", "::3"}));
}

// trio: test_highlevel_open_tcp_stream.py::test_one_host_slow_success
FIBER_TEST(TcpStreamTest, LoneHostMayTakeItsTime) {
  Race race{.delay_of_success = 81s};
  const Instant start = current_time();
  EXPECT_TRUE(race.run({"1.1.1.1"}).is_open());
  EXPECT_EQ(current_time() - start, 81s);
}

// trio: test_highlevel_open_tcp_stream.py::test_one_host_quick_fail
FIBER_TEST(TcpStreamTest, LoneHostThatFailsFailsAtOnce) {
  Race race{.delay_of_success = 10ms, .fails_late = true};
  const Instant start = current_time();
  EXPECT_THROW(race.run({"1.1.1.1"}), std::system_error);
  EXPECT_EQ(current_time() - start, 10ms);
}

// trio: test_highlevel_open_tcp_stream.py::test_one_host_failed_after_connect
// trio: test_highlevel_open_tcp_stream.py::test_close_all
FIBER_TEST(TcpStreamTest, NothingStaysOpenOfAttemptsThatFail) {
  Race race{.fails_late = true};
  EXPECT_THROW(race.run({"1.1.1.1", "2.2.2.2"}), std::system_error);
  for (SocketStream& peer : race.peers) EXPECT_EQ(peer.receive_some(), "");
}

// trio: test_highlevel_open_tcp_stream.py::test_close_all
FIBER_TEST(TcpStreamTest, LosersAreClosed) {
  Race race{.delay_of_success = 300ms};
  const SocketStream winner = race.run({"1.1.1.1", "2.2.2.2"});
  int closed = 0;
  for (SocketStream& peer : race.peers) {
    const auto data = move_on_after(1s, [&] { return peer.receive_some(); });
    if (data && data->empty()) ++closed;
  }
  EXPECT_EQ(race.peers.size(), 2U);
  EXPECT_EQ(closed, 1);
}

// trio: test_highlevel_open_tcp_stream.py::test_none_default
FIBER_TEST(TcpStreamTest, WithoutADelayOneIsTriedAfterTheOther) {
  Race race{.delay_of_success = 1h};
  race.run({"1.1.1.1", "2.2.2.2"}, Duration::max());
  EXPECT_EQ(race.attempts, std::vector<std::string>{"1.1.1.1"});
}

}  // namespace
}  // namespace weft::fibers
