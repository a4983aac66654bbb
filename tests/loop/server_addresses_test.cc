// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Where servers listen, and what is left of that when they are closed.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <fstream>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "tests/loop/connection_testing.h"
#include "tests/support/temporary_directory.h"
#include "weft/fibers/errors.h"
#include "weft/loop/streams.h"

namespace weft::loop {
namespace {

using fibers::SocketAddress;
using ::testing::HasSubstr;
using namespace testing;  // NOLINT: the helpers of the folder.

auto quiet() {
  return std::make_unique<Recorder>();
}

int code_of(const auto& make) {
  try {
    make();
  } catch (const std::system_error& error) {
    return error.code().value();
  }
  ADD_FAILURE() << "nothing was thrown";
  return 0;
}

// What connect(2) says, without any help of the loop's.
int connect_by_hand(const SocketAddress& address) {
  const OwnFd client(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  const auto size = static_cast<socklen_t>(address.size());
  return ::connect(client.get(), address.data(), size) == 0 ? 0 : errno;
}

bool has_ipv6() {
  const OwnFd probe(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in6 any{};
  any.sin6_family = AF_INET6;
  any.sin6_addr = in6addr_loopback;
  return ::bind(probe.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any) == 0;
}

// asyncio: test_base_events.py::BaseEventLoopWithSelectorTests::test_create_server_ipv6
// asyncio: test_events.py::EventLoopTestsMixin::test_create_server_multiple_hosts_ipv6
FIBER_TEST(ServerAddressesTest, ListensOnThoseOfIpv6ThatThisMachineHas) {
  if (!has_ipv6()) GTEST_SKIP() << "this machine has no IPv6";
  with_loop([](EventLoop& loop) {
    const CapturedLog log;
    const std::vector<std::string_view> hosts{"::1", "2001:db8::2", "::1"};
    Server server = await(loop.create_server(quiet, hosts, 0));
    ASSERT_EQ(server.sockets().size(), 1U);
    const SocketAddress address = address_of(server.sockets()[0]);
    EXPECT_EQ(address.host(), "::1");
    EXPECT_EQ(connect_by_hand(address), 0);
    ASSERT_EQ(log.lines.size(), 1U) << "the one that it lacks is told";
    EXPECT_THAT(log.lines[0], HasSubstr("2001:db8::2"));
    stop(server);
  });
}

// On a port of the system's choice. Another process may have the port of the other kind.
Server listen_everywhere(EventLoop& loop) {
  for (int attempts = 20;; --attempts) {
    Server probe = await(loop.create_server(quiet, "::", 0));
    const std::uint16_t port = port_of(probe);
    stop(probe);
    try {
      return await(loop.create_server(quiet, "", port));
    } catch (const std::system_error& e) {
      if (e.code() != std::errc::address_in_use || attempts == 1) throw;
    }
  }
}

// asyncio: test_events.py::EventLoopTestsMixin::test_create_server_dual_stack
// asyncio: test_base_events.py::BaseEventLoopWithSelectorTests::test_create_server_empty_host
FIBER_TEST(ServerAddressesTest, WithoutAHostItListensOnAllInterfacesOfBothKinds) {
  if (!has_ipv6()) GTEST_SKIP() << "this machine has no IPv6";
  with_loop([](EventLoop& loop) {
    const Names nobody_is_asked;
    Server server = listen_everywhere(loop);
    const std::uint16_t port = port_of(server);
    EXPECT_THAT(nobody_is_asked.asked, ::testing::IsEmpty());
    EXPECT_EQ(server.sockets().size(), 2U);
    for (const char* host : {"127.0.0.1", "127.0.0.9", "::1"}) {
      const auto found = await(loop.getaddrinfo(host, port, {.type = SOCK_STREAM}));
      EXPECT_EQ(connect_by_hand(found.at(0).address), 0) << host;
    }
    stop(server);
  });
}

// asyncio: test_base_events.py::BaseEventLoopWithSelectorTests::test_create_server_no_getaddrinfo
FIBER_TEST(ServerAddressesTest, ANameWithoutAddressesIsAnError) {
  with_loop([](EventLoop& loop) {
    const Names names;
    EXPECT_EQ(code_of([&] { await(loop.create_server(quiet, "nobody.example", 0)); }),
              EADDRNOTAVAIL);
  });
}

// asyncio: test_events.py::EventLoopTestsMixin::test_create_server_addr_in_use
// asyncio: test_base_events.py::BaseEventLoopWithSelectorTests::test_create_server_cant_bind
FIBER_TEST(ServerAddressesTest, OneThatIsInUseIsAnErrorAndNothingListens) {
  with_loop([](EventLoop& loop) {
    Server taken = listen_on(loop, "127.0.0.2", 0);
    const std::uint16_t port = port_of(taken);
    const std::vector<std::string_view> hosts{"127.0.0.1", "127.0.0.2"};
    EXPECT_EQ(code_of([&] { await(loop.create_server(quiet, hosts, port)); }), EADDRINUSE);
    const auto first = await(loop.getaddrinfo("127.0.0.1", port, {.type = SOCK_STREAM}));
    EXPECT_EQ(connect_by_hand(first.at(0).address), ECONNREFUSED) << "the first is not left over";
    stop(taken);
  });
}

// asyncio: test_events.py::EventLoopTestsMixin::test_create_server_sock
FIBER_TEST(ServerAddressesTest, ASocketThatIsGivenIsTheOneThatListens) {
  WEFT_NOT_FAULT_SWEPT("it waits for an answer that a fault may have cut off");
  with_loop([](EventLoop& loop) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in any{};
    any.sin_family = AF_INET;
    EXPECT_EQ(::bind(fd, reinterpret_cast<const sockaddr*>(&any), sizeof any), 0);
    const auto served = std::make_shared<Recorder>();
    Server server = await(loop.create_server([&] { return std::shared_ptr(served); }, fd));
    EXPECT_THAT(server.sockets(), ::testing::ElementsAre(fd));
    EXPECT_EQ(address_of(fd).host(), "0.0.0.0");
    auto client =
        await(loop.create_connection(recorder, "127.0.0.1", address_of(fd).port())).second;
    client->transport.write("xxx");
    client->transport.close();
    run_until(loop, [&] { return is_lost(*served); });
    EXPECT_EQ(served->received, "xxx");
    stop(server);
  });
}

// No turn of the loop is needed for that.
// asyncio: test_events.py::EventLoopTestsMixin::test_server_close
// asyncio: claims_servers::close_stops_accepting_at_once
FIBER_TEST(ServerAddressesTest, NobodyIsLetInOnceItIsClosed) {
  with_loop([](EventLoop& loop) {
    int made = 0;
    Server server = await(loop.create_server(
        [&] {
          ++made;
          return std::make_unique<Recorder>();
        },
        "127.0.0.1", 0));
    const SocketAddress address = address_of(server.sockets().at(0));
    EXPECT_EQ(connect_by_hand(address), 0);  // Accepted by the system, not by the server yet.
    server.close();
    EXPECT_EQ(connect_by_hand(address), ECONNREFUSED);
    for (int i = 0; i < 10; ++i) loop.synchronize();
    EXPECT_EQ(made, 0);
    await(server.wait_closed());
  });
}

// asyncio: test_server.py::TestServer2::test_wait_closed_race
FIBER_TEST(ServerAddressesTest, AConnectionThatEndsWhileTheServerIsClosedKeepsNobodyWaiting) {
  WEFT_NOT_FAULT_SWEPT("it waits for a connection that a fault may have kept open");
  with_loop([](EventLoop& loop) {
    for (const bool server_first : {true, false}) {
      Server server = await(start_server(loop, echo, "127.0.0.1", 0));
      auto [reader, writer] = await(open_connection(loop, "127.0.0.1", port_of(server)));
      writer.write("x");
      EXPECT_EQ(await(reader.readexactly(1)), "x");  // The server knows of it.
      if (server_first) loop.call_soon([&] { server.close(); });
      loop.call_soon([&, &writer = writer] { writer.close(); });
      if (!server_first) loop.call_soon([&] { server.close(); });
      await(server.wait_closed());
      EXPECT_FALSE(server.is_serving());
      await(writer.wait_closed());
    }
  });
}

// Small pieces are not held back, on whichever side, however the connection came about.
// asyncio: test_base_events.py::TestSelectorUtils::test_set_nodelay
FIBER_TEST(ServerAddressesTest, ConnectionsOfTcpDoNotDelaySmallPieces) {
  WEFT_NOT_FAULT_SWEPT("a connection without it works, too");
  const auto is_set = [](const std::shared_ptr<Recorder>& of) {
    int value = 0;
    socklen_t size = sizeof value;
    const int fd = of->transport.get_extra_info(extra_info::socket).value();
    EXPECT_EQ(::getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &size), 0);
    return value != 0;
  };
  with_loop([&](EventLoop& loop) {
    std::vector<std::shared_ptr<Recorder>> all;
    Server server =
        await(loop.create_server([&] { return all.emplace_back(recorder()); }, "127.0.0.1", 0));
    const SocketAddress address = address_of(server.sockets().at(0));
    auto client = await(loop.create_connection(recorder, "127.0.0.1", address.port())).second;
    for (const int flags : {0, O_NONBLOCK}) {
      const int given = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      EXPECT_EQ(::connect(given, address.data(), static_cast<socklen_t>(address.size())), 0);
      EXPECT_EQ(::fcntl(given, F_SETFL, flags), 0);
      auto own = await(loop.create_connection(recorder, given)).second;
      EXPECT_TRUE(is_set(own));
      own->transport.close();
    }
    run_until(loop, [&] { return all.size() == 3 && !all[0]->log.empty(); });
    EXPECT_TRUE(is_set(client));
    EXPECT_TRUE(is_set(all[0]));
    client->transport.close();
    stop(server);
  });
}

// --- Unix sockets. ---

int bind_by_hand(const SocketAddress& address) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  EXPECT_EQ(::bind(fd, address.data(), static_cast<socklen_t>(address.size())), 0);
  return fd;
}
bool exists(const std::string& path) {
  return ::access(path.c_str(), F_OK) == 0;
}

// asyncio: test_server.py::UnixServerCleanupTests::test_unix_server_sock_cleanup
// asyncio: test_server.py::UnixServerCleanupTests::test_unix_server_cleanup_prevented
FIBER_TEST(UnixServerTest, TheFileOfASocketThatIsGivenGoesTooUnlessItIsToStay) {
  with_loop([](EventLoop& loop) {
    const test::TemporaryDirectory directory;
    const std::string path = directory / "socket";
    const SocketAddress address = SocketAddress::from_path(path);
    stop(await(loop.create_unix_server(quiet, bind_by_hand(address))));
    EXPECT_FALSE(exists(path));
    stop(await(loop.create_unix_server(quiet, bind_by_hand(address), {.cleanup_socket = false})));
    EXPECT_TRUE(exists(path));
    stop(await(loop.create_unix_server(quiet, path, {.cleanup_socket = false})));
    EXPECT_TRUE(exists(path));
    // One without a file.
    const std::string name = std::string(1, '\0') + path;
    stop(await(loop.create_unix_server(quiet, bind_by_hand(SocketAddress::from_path(name)))));
    EXPECT_TRUE(exists(path));
  });
}

// asyncio: test_unix_events.py::SelectorEventLoopUnixSocketTests::test_create_unix_server_existing_path_nonsock
// asyncio: test_unix_events.py::SelectorEventLoopUnixSocketTests::test_create_unix_server_bind_error
FIBER_TEST(UnixServerTest, AFileThatIsNoSocketStaysAndIsAnError) {
  with_loop([](EventLoop& loop) {
    const test::TemporaryDirectory directory;
    const std::string path = directory / "file";
    std::ofstream(path) << "somebody's";
    EXPECT_THAT(thrown<std::system_error>([&] { await(loop.create_unix_server(quiet, path)); }),
                HasSubstr("Address '" + path + "' is already in use"));
    std::string left;
    std::ifstream(path) >> left;
    EXPECT_EQ(left, "somebody's");
    const std::string nowhere = directory / "missing/socket";
    EXPECT_EQ(code_of([&] { await(loop.create_unix_server(quiet, nowhere)); }), ENOENT);
  });
  // The fixture finds the sockets if they are left open.
}

// asyncio: test_server.py::SelectorStartServerTests::test_start_unix_server_1
FIBER_TEST(UnixServerTest, AHandlerMayCancelWhoServesForEver) {
  WEFT_NOT_FAULT_SWEPT("it waits for a line that a fault may have cut off");
  with_loop([](EventLoop& loop) {
    const test::TemporaryDirectory directory;
    const std::string path = directory / "socket";
    Task<void> serving;
    std::string line;
    const auto serve = [&](StreamReader reader, StreamWriter writer) -> Coro<void> {
      line = co_await reader.readline();
      serving.cancel();
      writer.write("1");
      writer.close();
      co_await writer.wait_closed();
    };
    Server server = await(start_unix_server(loop, serve, path, {.start_serving = false}));
    EXPECT_FALSE(server.is_serving());
    serving = loop.create_task(server.serve_forever());
    loop.synchronize();
    EXPECT_TRUE(server.is_serving());
    auto [reader, writer] = await(open_unix_connection(loop, path));
    const std::string sent = std::string(5120, '1') + "\n";
    writer.write(sent);
    EXPECT_EQ(await(reader.readexactly(1)), "1");
    EXPECT_THROW(await(serving), CancelledError);
    EXPECT_EQ(line, sent);
    EXPECT_TRUE(server.sockets().empty());
    EXPECT_FALSE(server.is_serving());
    EXPECT_THAT(thrown<fibers::UsageError>([&] { await(server.serve_forever()); }),
                HasSubstr("is closed"));
    writer.close();
    await(writer.wait_closed());
  });
}

// asyncio: test_base_events.py::BaseEventLoopWithSelectorTests::test_create_server_ssl_timeout_for_plain_socket
// asyncio: test_unix_events.py::SelectorEventLoopUnixSocketTests::test_create_unix_server_ssl_timeout_with_plain_sock
// asyncio: test_unix_events.py::SelectorEventLoopUnixSocketTests::test_create_unix_connection_ssl_timeout_with_plain_sock
// asyncio: test_unix_events.py::SelectorEventLoopUnixSocketTests::test_create_unix_connection_nossl_serverhost
// asyncio: test_events.py::EventLoopTestsMixin::test_connect_accepted_socket_ssl_timeout_for_plain_socket
FIBER_TEST(UnixServerTest, OptionsOfALayerNeedOneEverywhere) {
  with_loop([](EventLoop& loop) {
    const auto refusal = [](auto call) {
      return thrown<fibers::UsageError>([&] { await(call()); });
    };
    const std::string timeout = "ssl_handshake_timeout is only meaningful with ssl";
    EXPECT_EQ(refusal([&] {
                return loop.create_server(quiet, "127.0.0.1", 0, {.ssl_handshake_timeout = 1s});
              }),
              timeout);
    EXPECT_EQ(refusal([&] {
                return loop.create_unix_server(quiet, "spam", {.ssl_handshake_timeout = 1s});
              }),
              timeout);
    EXPECT_EQ(refusal([&] {
                return loop.create_unix_connection(recorder, "spam", {.ssl_handshake_timeout = 1s});
              }),
              timeout);
    EXPECT_EQ(refusal([&] {
                return loop.create_unix_connection(recorder, "spam", {.server_hostname = "spam"});
              }),
              "server_hostname is only meaningful with ssl");
    SocketPair pair;
    EXPECT_EQ(refusal([&] {
                return loop.connect_accepted_socket(recorder, pair.take(),
                                                    {.ssl_handshake_timeout = 1s});
              }),
              timeout);
    EXPECT_TRUE(pair.at_end()) << "it is closed";
    EXPECT_FALSE(exists("spam"));
  });
}

}  // namespace
}  // namespace weft::loop
