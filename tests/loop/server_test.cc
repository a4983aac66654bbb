// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/server.h"

#include <netinet/in.h>

#include <optional>
#include <string>
#include <vector>

#include "tests/loop/transport_testing.h"
#include "weft/fibers/errors.h"

namespace weft::loop {
namespace {

using namespace testing;

struct Echo : Protocol {
  void connection_made(Transport made) override { transport = std::move(made); }
  void data_received(std::string_view data) override { transport.write(data); }
  Transport transport;
};

std::uint16_t port_of(const Server& server) {
  fibers::SocketAddress address;
  auto size = static_cast<socklen_t>(fibers::SocketAddress::capacity());
  EXPECT_EQ(::getsockname(server.sockets().at(0), address.data(), &size), 0);
  address.set_size(size);
  return address.port();
}

Server echo_server(EventLoop& loop, const ServerOptions& options = {}) {
  return await(
      loop.create_server([] { return std::make_unique<Echo>(); }, "127.0.0.1", 0, options));
}

std::shared_ptr<Recorder> connect_to(EventLoop& loop, const Server& server) {
  return await(loop.create_connection([] { return std::make_shared<Recorder>(); }, "127.0.0.1",
                                      port_of(server)))
      .second;
}

// asyncio: test_events.py::test_create_server
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
FIBER_TEST(ServerTest, IsClosedWhenTheLastConnectionHasEnded) {
  with_loop([](EventLoop& loop) {
    Server server = echo_server(loop);
    const auto client = connect_to(loop, server);
    client->transport.write("x");
    run_until(loop, [&] { return client->received == "x"; });
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

// asyncio: test_server.py::test_close_clients
FIBER_TEST(ServerTest, ClosesItsClients) {
  with_loop([](EventLoop& loop) {
    Server server = echo_server(loop);
    const auto client = connect_to(loop, server);
    client->transport.write("x");
    run_until(loop, [&] { return client->received == "x"; });
    server.close();
    server.close_clients();
    await(server.wait_closed());
    run_until(loop, [&] { return is_lost(*client); });
  });
}

// asyncio: test_server.py::test_abort_clients
FIBER_TEST(ServerTest, AbortsItsClients) {
  with_loop([](EventLoop& loop) {
    Server server = echo_server(loop);
    const auto client = connect_to(loop, server);
    client->transport.write("x");
    run_until(loop, [&] { return client->received == "x"; });
    server.close();
    server.abort_clients();
    await(server.wait_closed());
    run_until(loop, [&] { return is_lost(*client); });
  });
}

// asyncio: test_server.py::test_start_server_1
FIBER_TEST(ServerTest, IsClosedByTheCancellationOfServeForever) {
  with_loop([](EventLoop& loop) {
    Server server = echo_server(loop, {.start_serving = false});
    EXPECT_FALSE(server.is_serving());
    Task<void> serving = loop.create_task(server.serve_forever());
    EXPECT_TRUE(server.is_serving());
    EXPECT_TRUE(thrown<fibers::UsageError>([&] {
                  server.serve_forever().close();
                }).starts_with("this server is already being awaited"));
    loop.synchronize();
    serving.cancel();
    thrown<CancelledError>([&] { await(serving); });
    EXPECT_FALSE(server.is_serving());
    EXPECT_EQ(thrown<fibers::UsageError>([&] { await(server.start_serving()); }),
              "this server is closed");
  });
}

// A bad handler does not stop accepting.
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
    const auto client = connect_to(loop, server);
    client->transport.write("x");
    run_until(loop, [&] { return client->received == "x"; });
    EXPECT_EQ(reports,
              std::vector<std::string>{"Error on transport creation for incoming connection"});
    be_strict(loop);
    client->transport.close();
    server.close();
    await(server.wait_closed());
  });
}

// asyncio: test_server.py::test_unix_server_cleanup_gone
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
