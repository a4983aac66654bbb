// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/server.h"

#include <gmock/gmock.h>
#include <netinet/in.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "tests/loop/refusing_testing.h"
#include "tests/loop/server_testing.h"
#include "tests/loop/transport_testing.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/timeouts.h"
#include "weft/loop/event.h"
#include "weft/loop/sync_loop.h"

namespace weft::loop {
namespace {

using fibers::SocketAddress;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using namespace testing;

struct Echo : Protocol {
  void connection_made(Transport made) override { transport = std::move(made); }
  void data_received(std::string_view data) override { transport.write(data); }
  Transport transport;
};

Server echo_server(EventLoop& loop, const ServerOptions& options = {}) {
  return await(
      loop.create_server([] { return std::make_unique<Echo>(); }, "127.0.0.1", 0, options));
}

std::shared_ptr<Recorder> connect_to(EventLoop& loop, const Server& server) {
  return await(loop.create_connection([] { return std::make_shared<Recorder>(); }, "127.0.0.1",
                                      port_of(server)))
      .second;
}

// The same, once it has had an answer: the server knows of it.
std::shared_ptr<Recorder> talk_to(EventLoop& loop, const Server& server) {
  auto client = connect_to(loop, server);
  client->transport.write("x");
  run_until(loop, [&] { return client->received == "x"; });
  return client;
}

// asyncio: test_events.py::test_create_server
// asyncio: test_events.py::TestServer::test_get_loop
FIBER_TEST(ServerTest, ServesEachConnectionByAProtocolOfItsOwn) {
  with_loop([](EventLoop& loop) {
    Server server = echo_server(loop);
    EXPECT_TRUE(server.is_serving());
    EXPECT_EQ(&server.get_loop(), &loop);
    const auto one = connect_to(loop, server);
    const auto two = connect_to(loop, server);
    one->transport.write("one");
    two->transport.write("two");
    run_until(loop, [&] { return one->received == "one" && two->received == "two"; });
    EXPECT_EQ(one->transport.get_extra_info(extra_info::peername)->port(), port_of(server));
    EXPECT_EQ(one->transport.get_extra_info(extra_info::sockname)->host(), "127.0.0.1");
    one->transport.close();
    two->transport.close();
    server.close();
    await(server.wait_closed());
    run_until(loop, [&] { return is_lost(*one) && is_lost(*two); });
  });
}

// asyncio: test_server.py::test_wait_closed_basic
// asyncio: claims_servers::connections_outlive_close
// asyncio: claims_servers::wait_closed_waits_for_close_and_the_last_connection
FIBER_TEST(ServerTest, IsClosedWhenTheLastConnectionHasEnded) {
  with_loop([](EventLoop& loop) {
    Server server = echo_server(loop);
    const auto client = talk_to(loop, server);
    Task<void> waits = loop.create_task(server.wait_closed());
    for (int i = 0; i < 10; ++i) loop.synchronize();
    EXPECT_FALSE(waits.done());
    server.close();
    EXPECT_FALSE(server.is_serving());
    EXPECT_TRUE(server.sockets().empty());
    for (int i = 0; i < 10; ++i) loop.synchronize();
    EXPECT_FALSE(waits.done());
    client->transport.write("y");  // It lives on.
    run_until(loop, [&] { return client->received == "xy"; });
    client->transport.close();
    await(waits);
    await(server.wait_closed());
    run_until(loop, [&] { return is_lost(*client); });
  });
}

// More than the sockets hold.
constexpr std::size_t kMuch = std::size_t{16} << 20;

// So much is on its way to the client, which reads it when the server has ended
// the connection. How much has come then?
std::size_t received_after(void (Server::*end_clients)()) {
  struct Talks : Protocol {
    void connection_made(Transport made) override { made.write(std::string(kMuch, 'x')); }
  };
  std::size_t received = 0;
  with_loop([&](EventLoop& loop) {
    Server server =
        await(loop.create_server([] { return std::make_unique<Talks>(); }, "127.0.0.1", 0));
    const auto client = connect_to(loop, server);
    run_until(loop, [&] { return !client->received.empty(); });
    client->transport.pause_reading();
    for (int i = 0; i < 10; ++i) loop.synchronize();
    server.close();
    (server.*end_clients)();
    for (int i = 0; i < 10; ++i) loop.synchronize();
    client->transport.resume_reading();
    await(server.wait_closed());
    run_until(loop, [&] { return is_lost(*client); });
    received = client->received.size();
  });
  return received;
}

// asyncio: test_server.py::test_close_clients
FIBER_TEST(ServerTest, ClosesItsClientsOnceTheyHaveWhatIsWritten) {
  EXPECT_EQ(received_after(&Server::close_clients), kMuch);
}

// asyncio: test_server.py::test_abort_clients
FIBER_TEST(ServerTest, AbortsItsClientsAtOnce) {
  EXPECT_LT(received_after(&Server::abort_clients), kMuch);
}

// asyncio: test_server.py::test_start_server_1
// asyncio: claims_servers::serve_forever_cancelled_closes
FIBER_TEST(ServerTest, IsClosedByTheCancellationOfServeForever) {
  with_loop([](EventLoop& loop) {
    Server server = echo_server(loop, {.start_serving = false});
    EXPECT_FALSE(server.is_serving());
    Task<void> serving = loop.create_task(server.serve_forever());
    loop.synchronize();
    if (serving.done()) return await(serving);  // A fault.
    EXPECT_TRUE(server.is_serving());
    EXPECT_TRUE(thrown<fibers::UsageError>([&] {
                  await(server.serve_forever());
                }).starts_with("this server is already being awaited"));
    serving.cancel();
    thrown<CancelledError>([&] { await(serving); });
    EXPECT_FALSE(server.is_serving());
    EXPECT_EQ(thrown<fibers::UsageError>([&] { await(server.start_serving()); }),
              "this server is closed");
  });
}

// One that has not been awaited yet has not begun, and leaves nothing behind.
FIBER_TEST(ServerTest, MayServeForeverAfterOneThatWasDropped) {
  with_loop([](EventLoop& loop) {
    Server server = echo_server(loop, {.start_serving = false});
    server.serve_forever().close();
    Task<void> never_begins = loop.create_task(server.serve_forever());
    never_begins.cancel();
    thrown<CancelledError>([&] { await(never_begins); });
    EXPECT_FALSE(server.is_serving());
    Task<void> serving = loop.create_task(server.serve_forever());
    loop.synchronize();
    EXPECT_TRUE(server.is_serving());
    stop(server);
    thrown<CancelledError>([&] { await(serving); });
  });
}

// A bad handler does not stop accepting.
// asyncio: claims_servers::one_bad_handler_does_not_stop_accepting
FIBER_TEST(ServerTest, GoesOnAfterAFactoryThatThrows) {
  with_loop([](EventLoop& loop) {
    int made = 0;
    Server server = await(loop.create_server(
        [&]() -> std::unique_ptr<Echo> {
          if (++made == 1) throw std::runtime_error("no protocol");
          return std::make_unique<Echo>();
        },
        "127.0.0.1", 0));
    std::vector<std::string> reports;
    loop.set_exception_handler(
        [&](EventLoop&, const ExceptionContext& context) { reports.push_back(context.message); });
    const auto refused = connect_to(loop, server);
    run_until(loop, [&] { return is_lost(*refused); });
    const auto client = talk_to(loop, server);
    EXPECT_EQ(reports,
              std::vector<std::string>{"Error on transport creation for incoming connection"});
    be_strict(loop);
    client->transport.close();
    stop(server);
  });
}

// asyncio: test_events.py::EventLoopTestsMixin::test_create_server_multiple_hosts_ipv4
FIBER_TEST(ServerTest, ListensOnSeveralHosts) {
  with_loop([](EventLoop& loop) {
    const std::vector<std::string_view> hosts{"127.0.0.1", "127.0.0.2", "127.0.0.1"};
    Server server = await(loop.create_server([] { return std::make_unique<Echo>(); }, hosts, 0));
    ASSERT_EQ(server.sockets().size(), 2U) << "one that is named twice is one";
    EXPECT_EQ(address_of(server.sockets()[0]).host(), "127.0.0.1");
    EXPECT_EQ(address_of(server.sockets()[1]).host(), "127.0.0.2");
    for (const int fd : server.sockets()) {
      const SocketAddress address = address_of(fd);
      const auto client = await(loop.create_connection([] { return std::make_shared<Recorder>(); },
                                                       address.host(), address.port()))
                              .second;
      client->transport.write("x");
      run_until(loop, [&] { return client->received == "x"; });
      client->transport.close();
    }
    stop(server);
  });
}

// asyncio: test_events.py::EventLoopTestsMixin::test_create_server_reuse_port
FIBER_TEST(ServerTest, SharesItsPortIfAskedTo) {
  with_loop([](EventLoop& loop) {
    const auto serve = [&](std::uint16_t port, bool shares) {
      return await(loop.create_server([] { return std::make_unique<Echo>(); }, "127.0.0.1", port,
                                      {.reuse_port = shares}));
    };
    Server alone = serve(0, false);
    EXPECT_THAT(thrown<std::system_error>([&] { serve(port_of(alone), true); }),
                HasSubstr("error while attempting to bind on address 127.0.0.1:"));
    Server first = serve(0, true);
    Server second = serve(port_of(first), true);
    EXPECT_EQ(port_of(second), port_of(first));
    for (const Server& each : {alone, first, second}) stop(each);
  });
}

FIBER_TEST(ServerTest, DoesNotServeIfItCannotListen) {
  WEFT_NOT_SWEPT("it has a gate of its own");
  with_loop([](EventLoop& loop) {
    Server server = echo_server(loop, {.start_serving = false});
    Refusing gate("listen", EADDRINUSE);
    thrown<std::system_error>([&] { await(server.start_serving()); });
    EXPECT_FALSE(server.is_serving());
    gate.closed = false;
    await(server.start_serving());
    talk_to(loop, server)->transport.close();
    stop(server);
  });
}

// asyncio: test_base_events.py::BaseEventLoopWithSelectorTests::test_accept_connection_retry
// asyncio: test_base_events.py::BaseEventLoopWithSelectorTests::test_accept_connection_exception
// asyncio: claims_servers::no_descriptors_left_pauses_accepting
FIBER_TEST(ServerTest, OutOfDescriptorsItTriesAgainEverySecond) {
  WEFT_NOT_SWEPT("it has a gate of its own");
  with_loop([](EventLoop& loop) {
    Server server = echo_server(loop);
    std::vector<std::string> reports;
    loop.set_exception_handler([&](EventLoop&, const ExceptionContext& context) {
      reports.push_back(context.message);
      EXPECT_EQ(context.socket, server.sockets().at(0));
    });
    Refusing gate("accept4", EMFILE);  // No descriptors are left.
    const fibers::Instant begun = loop.time();
    const auto client = connect_to(loop, server);
    client->transport.write("x");
    fibers::sleep(2500ms);
    EXPECT_EQ(gate.asked_for, 3) << "now, after a second, and after another";
    EXPECT_THAT(reports, ::testing::Each("socket.accept() out of system resource"));
    EXPECT_EQ(reports.size(), 3U);
    gate.closed = false;
    Event answered(loop);
    loop.call_at(begun + 3s, [&] { answered.set(); });
    await(answered.wait());
    run_until(loop, [&] { return client->received == "x"; });
    EXPECT_EQ(loop.time() - begun, 3s);
    EXPECT_EQ(reports.size(), 3U);
    be_strict(loop);
    client->transport.close();
    stop(server);
  });
}

FIBER_TEST(ServerTest, AConnectionThatIsGoneAlreadyDoesNotKeepTheNextOneWaiting) {
  WEFT_NOT_SWEPT("it has a gate of its own");
  with_loop([](EventLoop& loop) {
    Server server = echo_server(loop);
    Refusing gate("accept4", ECONNABORTED);
    gate.once = true;
    const auto client = connect_to(loop, server);
    client->transport.write("x");
    run_until(loop, [&] { return client->received == "x"; });
    client->transport.close();
    stop(server);
  });
}

FIBER_TEST(ServerTest, AFactoryThatClosesItsServerGetsNoConnection) {
  with_loop([](EventLoop& loop) {
    const auto protocol = std::make_shared<Recorder>();
    Server server;
    server = await(loop.create_server(
        [&] {
          server.close();
          return std::shared_ptr<Recorder>(protocol);
        },
        "127.0.0.1", 0));
    const auto client = connect_to(loop, server);
    run_until(loop, [&] { return is_lost(*client); });
    await(server.wait_closed());
    EXPECT_THAT(protocol->log, ElementsAre());
  });
}

// asyncio: test_server.py::test_unix_server_cleanup_replaced
// asyncio: test_unix_events.py::SelectorEventLoopUnixSocketTests::test_create_unix_server_existing_path_sock
FIBER_TEST(ServerTest, LeavesAFileThatIsNotItsOwn) {
  with_loop([](EventLoop& loop) {
    const std::string path = "/tmp/weft-server-other-" + std::to_string(::getpid()) + ".sock";
    const auto make = [] { return std::make_unique<Echo>(); };
    Server first = await(loop.create_unix_server(make, path));
    Server second = await(loop.create_unix_server(make, path));  // In the place of the first.
    stop(first);
    EXPECT_EQ(::access(path.c_str(), F_OK), 0);
    stop(second);
    EXPECT_NE(::access(path.c_str(), F_OK), 0);
  });
}

// asyncio: test_server.py::test_unix_server_cleanup_gone
// asyncio: test_server.py::UnixServerCleanupTests::test_unix_server_addr_cleanup
// asyncio: test_events.py::EventLoopTestsMixin::test_create_unix_server
// asyncio: test_events.py::EventLoopTestsMixin::test_create_unix_connection
FIBER_TEST(ServerTest, RemovesTheFileOfItsUnixSocket) {
  with_loop([](EventLoop& loop) {
    const std::string path = "/tmp/weft-server-test-" + std::to_string(::getpid()) + ".sock";
    Server server = await(loop.create_unix_server([] { return std::make_unique<Echo>(); }, path));
    EXPECT_EQ(::access(path.c_str(), F_OK), 0);
    const auto client =
        await(loop.create_unix_connection([] { return std::make_shared<Recorder>(); }, path))
            .second;
    client->transport.write("x");
    run_until(loop, [&] { return client->received == "x"; });
    client->transport.close();
    server.close();
    EXPECT_NE(::access(path.c_str(), F_OK), 0);
    await(server.wait_closed());
    run_until(loop, [&] { return is_lost(*client); });
  });
}

class ServerInSyncLoopTest : public ::testing::TestWithParam<CallbackStack> {};

TEST_P(ServerInSyncLoopTest, AServerAndAClientTalk) {
  SyncLoop loop({.callback_stack = GetParam()});
  be_strict(loop.loop());
  const auto talk = [](EventLoop& inner) -> Coro<std::vector<std::string>> {
    Server server =
        co_await inner.create_server([] { return std::make_unique<Echo>(); }, "127.0.0.1", 0);
    auto made = co_await inner.create_connection([] { return std::make_shared<Recorder>(); },
                                                 "127.0.0.1", port_of(server));
    const std::shared_ptr<Recorder> client = made.second;
    client->transport.write("hello");
    while (client->received != "hello") co_await sleep(0s);
    client->transport.close();
    server.close();
    co_await server.wait_closed();
    while (!is_lost(*client)) co_await sleep(0s);
    co_return client->log;
  };
  EXPECT_THAT(loop.run_until_complete(loop->create_task(talk(loop.loop()))),
              ElementsAre("made", "data hello", "lost"));
}

INSTANTIATE_TEST_SUITE_P(Stacks, ServerInSyncLoopTest,
                         ::testing::Values(CallbackStack::kTask, CallbackStack::kCaller));

FIBER_TEST(ServerTest, IsClosedWithItsLoop) {
  Server server;
  with_loop([&](EventLoop& loop) { server = echo_server(loop); });
  EXPECT_TRUE(server.sockets().empty());
  server.close();
  EXPECT_EQ(thrown<fibers::UsageError>([] { Server().close(); }),
            "this server is empty: create_server() makes one");
}

}  // namespace
}  // namespace weft::loop
