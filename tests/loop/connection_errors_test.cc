// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Connections that do not come about, and those from an address of the caller's choice.

#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include "tests/loop/connection_testing.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/exception_group.h"
#include "weft/loop/errors.h"
#include "weft/loop/wait_for.h"

namespace weft::loop {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;
using namespace testing;  // NOLINT: the helpers of the folder.

// What connecting to `host` ends with.
std::system_error failure(EventLoop& loop, std::string_view host, std::uint16_t port,
                          const ConnectionOptions& options = {}) {
  try {
    await(loop.create_connection(recorder, host, port, options));
  } catch (const std::system_error& error) {
    return error;
  }
  ADD_FAILURE() << "nothing was thrown";
  return {std::error_code(), "nothing"};
}

// The connection's own address; then it is ended.
fibers::SocketAddress came_from(EventLoop& loop, std::string_view host, std::uint16_t port,
                                const ConnectionOptions& options = {}) {
  auto [transport, protocol] = await(loop.create_connection(recorder, host, port, options));
  auto own = transport.get_extra_info(extra_info::sockname).value();
  transport.close();
  run_until(loop, [&] { return is_lost(*protocol); });
  return own;
}

// asyncio: test_base_events.py::BaseEventLoopWithSelectorTests::test_create_connection_multiple_errors
// asyncio: claims_connections::a_single_error_is_raised_and_several_are_combined
FIBER_TEST(ConnectionErrorsTest, OneErrorIsThrownAndSeveralAreCombined) {
  with_loop([](EventLoop& loop) {
    const ClosedPort port;
    Names names("alike.example", {"127.0.0.1", "127.0.0.1"});
    names.add("several.example", {"127.0.0.1", "255.255.255.255", "127.0.0.2"});
    const std::system_error one = failure(loop, "alike.example", port.number);
    EXPECT_EQ(one.code().value(), ECONNREFUSED);
    EXPECT_THAT(one.what(), Not(HasSubstr("Multiple")));
    const std::system_error all = failure(loop, "several.example", port.number);
    EXPECT_EQ(all.code().value(), ECONNREFUSED) << "that of the first";
    EXPECT_THAT(all.what(), StartsWith("Multiple exceptions: "));
    EXPECT_THAT(all.what(), HasSubstr("Network is unreachable"));
    try {
      await(loop.create_connection(recorder, "several.example", port.number, {.all_errors = true}));
      ADD_FAILURE() << "nothing was thrown";
    } catch (const fibers::ExceptionGroup& group) {
      EXPECT_EQ(group.exceptions().size(), 3U);
    }
  });
}

// asyncio: test_base_events.py::BaseEventLoopWithSelectorTests::test_create_connection_timeout
FIBER_TEST(ConnectionErrorsTest, ATimeoutLeavesNoSocket) {
  with_loop([](EventLoop& loop) {
    Server server = listen_on(loop, "127.0.0.2", 0);  // Chooses the port.
    const Busy busy(loop, "127.0.0.1", port_of(server));
    const fibers::Instant begun = loop.time();
    auto connecting =
        loop.create_task(loop.create_connection(recorder, "127.0.0.1", port_of(server)));
    EXPECT_THROW(await(wait_for(connecting, 3s)), TimeoutError);
    EXPECT_EQ(loop.time() - begun, 3s);
    EXPECT_TRUE(connecting.cancelled());
    EXPECT_EQ(loop.statistics().writers, 0U);
    stop(server);
  });
  // The fixture finds the socket if it is left open.
}

// asyncio: test_base_events.py::BaseEventLoopWithSelectorTests::test_create_connection_no_getaddrinfo
// asyncio: test_base_events.py::BaseEventLoopWithSelectorTests::test_create_connection_no_local_addr
FIBER_TEST(ConnectionErrorsTest, ANameWithoutAddressesIsAnError) {
  with_loop([](EventLoop& loop) {
    const ClosedPort port;
    Names names;
    EXPECT_THAT(failure(loop, "nobody.example", port.number).what(),
                HasSubstr("getaddrinfo() returned empty list"));
    names.add("somebody.example", {"127.0.0.1"});
    names.asked.clear();
    EXPECT_THAT(failure(loop, "somebody.example", port.number,
                        {.local_host = "nobody.example", .local_port = 8080})
                    .what(),
                HasSubstr("getaddrinfo() returned empty list"));
    EXPECT_THAT(names.asked, ::testing::ElementsAre("somebody.example", "nobody.example"));
  });
}

// asyncio: test_base_events.py::BaseEventLoopWithSelectorTests::test_create_connection_ip_addr
FIBER_TEST(ConnectionErrorsTest, AnAddressIsNotLookedUp) {
  with_loop([](EventLoop& loop) {
    Server server = listen_on(loop, "127.0.0.1", 0);
    const Names names;
    EXPECT_EQ(came_from(loop, "127.0.0.1", port_of(server)).host(), "127.0.0.1");
    EXPECT_THAT(names.asked, ::testing::IsEmpty());
    stop(server);
  });
}

// asyncio: test_base_events.py::BaseEventLoopWithSelectorTests::test_create_connection_ipv6_scope
FIBER_TEST(ConnectionErrorsTest, AnInterfaceGoesWithAnAddressOfIpv6) {
  with_loop([](EventLoop& loop) {
    const auto found = await(loop.getaddrinfo("fe80::1%1", 80, {.type = SOCK_STREAM}));
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found[0].family, AF_INET6);
    sockaddr_in6 address{};
    std::memcpy(&address, found[0].address.data(), sizeof address);
    EXPECT_EQ(address.sin6_scope_id, 1U);
    EXPECT_EQ(found[0].address.port(), 80);
    // It is the system that decides by it: here that there is no such way.
    const std::system_error unreachable = failure(loop, "fe80::1%4000000", 80);
    EXPECT_THAT(unreachable.code().value(),
                ::testing::AnyOf(ENXIO, ENODEV, EINVAL, ENETUNREACH, EAFNOSUPPORT));
  });
}

// asyncio: test_events.py::EventLoopTestsMixin::test_create_connection_local_addr
FIBER_TEST(LocalAddressTest, AConnectionComesFromIt) {
  with_loop([](EventLoop& loop) {
    Server server = listen_on(loop, "127.0.0.1", 0);
    std::uint16_t port = 0;
    {
      Server probe = listen_on(loop, "127.0.0.5", 0);
      port = port_of(probe);
      stop(probe);
    }
    const auto own = came_from(loop, "127.0.0.1", port_of(server),
                               {.local_host = "127.0.0.5", .local_port = port});
    EXPECT_EQ(own.host(), "127.0.0.5");
    EXPECT_EQ(own.port(), port);
    stop(server);
  });
}

// asyncio: test_events.py::EventLoopTestsMixin::test_create_connection_local_addr_skip_different_family
// asyncio: test_events.py::EventLoopTestsMixin::test_create_connection_local_addr_nomatch_family
FIBER_TEST(LocalAddressTest, OnlyThoseOfTheSameFamilyCount) {
  with_loop([](EventLoop& loop) {
    Server server = listen_on(loop, "127.0.0.1", 0);
    Names names("both.example", {"::1", "127.0.0.6"});
    names.add("six.example", {"::1"});
    EXPECT_EQ(came_from(loop, "127.0.0.1", port_of(server), {.local_host = "both.example"}).host(),
              "127.0.0.6");
    const std::system_error none =
        failure(loop, "127.0.0.1", port_of(server), {.local_host = "six.example"});
    EXPECT_EQ(none.code().value(), EADDRNOTAVAIL);
    EXPECT_THAT(none.what(), HasSubstr("no matching local address"));
    stop(server);
  });
}

// asyncio: test_events.py::EventLoopTestsMixin::test_create_connection_local_addr_in_use
FIBER_TEST(LocalAddressTest, OneThatIsInUseIsNamed) {
  with_loop([](EventLoop& loop) {
    Server server = listen_on(loop, "127.0.0.1", 0);
    const std::uint16_t port = port_of(server);
    const std::system_error error =
        failure(loop, "127.0.0.1", port, {.local_host = "127.0.0.1", .local_port = port});
    EXPECT_EQ(error.code().value(), EADDRINUSE);
    EXPECT_THAT(error.what(), HasSubstr("bind on address 127.0.0.1:" + std::to_string(port)));
    stop(server);
  });
}

// The next one is tried; but if there is no connection in the end, each error is told.
// asyncio: test_base_events.py::BaseEventLoopWithSelectorTests::test_create_connection_multiple_errors_local_addr
FIBER_TEST(LocalAddressTest, WhatCannotBeBoundToIsToldWithWhatFailsLater) {
  with_loop([](EventLoop& loop) {
    Server server = listen_on(loop, "127.0.0.1", 0);
    const ClosedPort closed;
    Names names("locals.example",
                {"203.0.113.1", "127.0.0.6"});  // The first is not this machine's.
    names.add("none.example", {"203.0.113.1", "203.0.113.2"});
    EXPECT_EQ(
        came_from(loop, "127.0.0.1", port_of(server), {.local_host = "locals.example"}).host(),
        "127.0.0.6");
    for (const std::optional<fibers::Duration> delay :
         {std::optional<fibers::Duration>(), {250ms}}) {
      const std::string refused =
          failure(loop, "127.0.0.1", closed.number,
                  {.local_host = "locals.example", .happy_eyeballs_delay = delay})
              .what();
      EXPECT_THAT(refused, StartsWith("Multiple exceptions: "));
      EXPECT_THAT(refused, HasSubstr("bind on address 203.0.113.1"));
      EXPECT_THAT(refused, HasSubstr("Connection refused"));
      const std::string unbound =
          failure(loop, "127.0.0.1", closed.number,
                  {.local_host = "none.example", .happy_eyeballs_delay = delay})
              .what();
      EXPECT_THAT(unbound, HasSubstr("bind on address 203.0.113.1"));
      EXPECT_THAT(unbound, HasSubstr("bind on address 203.0.113.2"));
    }
    stop(server);
  });
}

}  // namespace
}  // namespace weft::loop
