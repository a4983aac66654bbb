// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Listening where the machine does not have everything.

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstddef>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

#include "weft/fibers/errors.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/socket/hooks.h"
#include "weft/fibers/tcp.h"
#include "weft/fibers/testing/fiber_test.h"

namespace weft::fibers {
namespace {

template <class Port>
constexpr bool kMayBePort =
    std::is_invocable_v<decltype(&open_tcp_listeners), Port, TcpListenOptions>;

// trio: test_highlevel_open_tcp_listeners.py::test_open_tcp_listeners_port_checking
static_assert(kMayBePort<int>);
static_assert(!kMayBePort<std::string> && !kMayBePort<const char*> && !kMayBePort<std::nullptr_t>);

// The system's sockets, but for those of one family.
class RefusingFactory final : public socket::SocketFactory {
 public:
  RefusingFactory(int refused, int error) : refused_(refused), error_(error) {
    socket::set_custom_socket_factory(this);
  }
  RefusingFactory(const RefusingFactory&) = delete;
  RefusingFactory& operator=(const RefusingFactory&) = delete;
  ~RefusingFactory() override { socket::set_custom_socket_factory(nullptr); }

  socket::SocketType socket(int family, int type, int proto) override {
    if (refused_ == AF_UNSPEC || family == refused_) {
      throw std::system_error(error_, std::generic_category(), "socket");
    }
    ++made;
    return socket::SocketType(
        OwnedFd(::socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, proto)));
  }
  int made = 0;

 private:
  int refused_;
  int error_;
};

// Every name has these addresses.
class Resolver final : public socket::HostnameResolver {
 public:
  explicit Resolver(std::vector<std::string> addresses) : addresses_(std::move(addresses)) {
    socket::set_custom_hostname_resolver(this);
  }
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;
  ~Resolver() override { socket::set_custom_hostname_resolver(nullptr); }

  std::vector<socket::AddressInfo> getaddrinfo(const std::string& /*host*/,
                                               const std::string& service,
                                               const socket::AddressHints& hints) override {
    std::vector<socket::AddressInfo> found;
    for (const std::string& address : addresses_) {
      found.push_back(socket::getaddrinfo(address, service, hints).at(0));
    }
    return found;
  }
  std::pair<std::string, std::string> getnameinfo(const SocketAddress&, int) override { return {}; }

 private:
  std::vector<std::string> addresses_;
};

int family_of(const SocketListener& listener) {
  return listener.local_address().family();
}

// trio: test_highlevel_open_tcp_listeners.py::test_open_tcp_listeners_specific_port_specific_host
FIBER_TEST(TcpListenTest, ListensAtTheAddressAndPortGiven) {
  const std::uint16_t port =
      open_tcp_listeners(0, {.host = "127.0.0.1"}).front().local_address().port();
  const auto listeners = open_tcp_listeners(port, {.host = "127.0.0.1"});
  ASSERT_EQ(listeners.size(), 1U);
  EXPECT_EQ(listeners.front().local_address().to_string(), "127.0.0.1:" + std::to_string(port));
}

// trio: test_highlevel_open_tcp_listeners.py::test_open_tcp_listeners_ipv6_v6only
FIBER_TEST(TcpListenTest, IPv6ListenersLeaveIPv4Alone) {
  const auto six = open_tcp_listeners(0, {.host = "::1"});
  int only = 0;
  socklen_t size = sizeof only;
  ::getsockopt(six.front().fd(), IPPROTO_IPV6, IPV6_V6ONLY, &only, &size);
  EXPECT_EQ(only, 1);
  EXPECT_THROW(open_tcp_stream("127.0.0.1", six.front().local_address().port()), std::system_error);
}

// trio: test_highlevel_open_tcp_listeners.py::test_open_tcp_listeners_some_address_families_unavailable
FIBER_TEST(TcpListenTest, FamilyThatTheMachineLacksIsLeftOut) {
  const Resolver names({"127.0.0.1", "::1"});
  {
    const RefusingFactory no_six(AF_INET6, EAFNOSUPPORT);
    const auto listeners = open_tcp_listeners(0, {.host = "both.example"});
    ASSERT_EQ(listeners.size(), 1U);
    EXPECT_EQ(family_of(listeners.front()), AF_INET);
  }
  {
    const RefusingFactory no_four(AF_INET, EAFNOSUPPORT);
    const auto listeners = open_tcp_listeners(0, {.host = "both.example"});
    ASSERT_EQ(listeners.size(), 1U);
    EXPECT_EQ(family_of(listeners.front()), AF_INET6);
  }
  const RefusingFactory none(AF_UNSPEC, EAFNOSUPPORT);
  try {
    open_tcp_listeners(0, {.host = "both.example"});
    FAIL() << "listening without a socket";
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code().value(), EAFNOSUPPORT);
    try {
      std::rethrow_if_nested(error);
      FAIL() << "no causes given";
    } catch (const ExceptionGroup& causes) {
      EXPECT_EQ(causes.exceptions().size(), 2U);
    }
  }
}

FIBER_TEST(TcpListenTest, AddressOfAnotherMachineIsNotOneOfAnotherKind) {
  for (const char* host : {"192.0.2.1", "2001:db8::1"}) {  // Of documents alone.
    try {
      open_tcp_listeners(0, {.host = host});
      FAIL() << "listening at " << host;
    } catch (const std::system_error& error) {
      EXPECT_EQ(error.code(), std::errc::address_not_available) << error.what();
    }
  }
}

FIBER_TEST(TcpListenTest, AddressThatTheNameHasTwiceIsListenedAtOnce) {
  const Resolver names({"127.0.0.1", "127.0.0.1"});
  EXPECT_EQ(open_tcp_listeners(0, {.host = "twice.example"}).size(), 1U);
}

FIBER_TEST(TcpListenTest, NameWithoutAddressesIsAnError) {
  const Resolver names({});
  try {
    open_tcp_listeners(0, {.host = "none.example"});
    FAIL() << "listening nowhere";
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code(), std::errc::address_not_available) << error.what();
  }
}

// trio: test_highlevel_open_tcp_listeners.py::test_open_tcp_listeners_socket_fails_not_afnosupport
// trio: test_highlevel_open_tcp_listeners.py::test_open_tcp_listeners_multiple_host_cleanup_on_error
FIBER_TEST(TcpListenTest, OtherFailuresLeaveNothingOpen) {
  const Resolver names({"127.0.0.1", "::1"});
  const RefusingFactory factory(AF_INET6, EINVAL);
  try {
    open_tcp_listeners(0, {.host = "both.example"});
    FAIL() << "the error was swallowed";
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code(), std::errc::invalid_argument);
  }
  EXPECT_EQ(factory.made, 1);
  // That the one which was made is closed again is counted at the end.
}

}  // namespace
}  // namespace weft::fibers
