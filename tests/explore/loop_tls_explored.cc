// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// TLS over the loop's transports, both ends of which are in the process.

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "tests/explore/outside.h"
#include "tests/tls/test_authority.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/loop/event_loop.h"
#include "weft/loop/start_tls.h"
#include "weft/loop/task.h"
#include "weft/loop_tls/ssl_layer.h"

namespace weft::loop {
namespace {

using fibers::checkpoint;
using namespace testing;  // NOLINT: the helpers of the folder.

// Holds TLS to what a protocol may be told: made, data, the end of them, lost; each end once.
struct TlsProtocol : Protocol {
  void connection_made(Transport made) override {
    EXPECT_FALSE(std::exchange(is_made, true));
    transport = std::move(made);
  }
  void data_received(std::string_view data) override {
    EXPECT_TRUE(is_made && !has_eof && !is_lost);
    EXPECT_FALSE(data.empty());
    received += data;
  }
  bool eof_received() override {
    EXPECT_TRUE(is_made && !is_lost);
    EXPECT_FALSE(std::exchange(has_eof, true));
    return false;
  }
  void connection_lost(std::exception_ptr error) override {
    EXPECT_TRUE(is_made);
    EXPECT_FALSE(std::exchange(is_lost, true));
    lost_with = std::move(error);
    transport = {};
    lost.set();
  }
  // Those that are harmless once it is lost.
  void write(std::string_view data) {
    if (transport) transport.write(data);
  }
  void close() {
    if (transport) transport.close();
  }
  void abort() {
    if (transport) transport.abort();
  }

  Transport transport;
  std::string received;
  std::exception_ptr lost_with;
  fibers::Event lost;
  bool is_made = false;
  bool has_eof = false;
  bool is_lost = false;
};
using Side = std::shared_ptr<TlsProtocol>;

// Both ends of a Unix socket, each to be taken over once.
class BothEnds {
 public:
  BothEnds() {
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends_.data()),
              0);
  }
  BothEnds(const BothEnds&) = delete;
  BothEnds& operator=(const BothEnds&) = delete;
  ~BothEnds() {
    for (std::size_t end = 0; end < 2; ++end) close(end);
  }
  int take(std::size_t end) { return std::exchange(ends_[end], -1); }
  void close(std::size_t end) {
    if (ends_[end] >= 0) ::close(take(end));
  }

 private:
  std::array<int, 2> ends_{-1, -1};
};

// A client and a server of TLS.
struct Pair {
  SSLLayer client_layer{fibers::test_client_context()};
  SSLLayer server_layer{fibers::test_server_context()};
  Side client = std::make_shared<TlsProtocol>();
  Side server = std::make_shared<TlsProtocol>();
  BothEnds ends;

  auto begin_client(EventLoop& loop) {
    return loop.create_task(
        loop.create_connection([this] { return client; }, ends.take(0),
                               {.ssl = &client_layer, .server_hostname = "example.org"}));
  }
  auto begin_server(EventLoop& loop) {
    return loop.create_task(loop.connect_accepted_socket([this] { return server; }, ends.take(1),
                                                         {.ssl = &server_layer}));
  }
  // Hands are shaken.
  void connect(EventLoop& loop) {
    auto serving = begin_server(loop);
    await(begin_client(loop));
    await(serving);
  }
  // The same without TLS.
  void connect_plainly(EventLoop& loop) {
    auto serving =
        loop.create_task(loop.connect_accepted_socket([this] { return server; }, ends.take(1)));
    await(loop.create_connection([this] { return client; }, ends.take(0)));
    await(serving);
  }
  void wait_lost() const {
    client->lost.wait();
    server->lost.wait();
  }
  auto upgrade(EventLoop& loop, const Side& side) {
    const bool serves = side == server;
    return loop.create_task(
        start_tls(side->transport, side, serves ? server_layer : client_layer,
                  {.server_side = serves, .server_hostname = serves ? "" : "example.org"}));
  }
};

// "" or the system's words.
template <class T>
std::string failure_of(T task) {
  try {
    await(task);
  } catch (const CancelledError&) {
    return "cancelled";
  } catch (const std::exception& error) {
    return error.what();
  }
  return {};
}

// --- A connection. ---

// explores: loop.SSLLayer
EXPLORE_TEST(LoopTlsExplored, WhatIsWrittenBeforeACloseArrives) {
  with_loop([](EventLoop& loop) {
    Pair pair;
    pair.connect(loop);
    together(
        [&] {
          pair.client->write("quest");
          checkpoint();
          pair.client->write("ion");
          pair.client->close();
        },
        [&] { pair.server->write("answer"); });
    pair.wait_lost();
    EXPECT_EQ(pair.server->received, "question");
    EXPECT_TRUE(pair.client->received.empty() || pair.client->received == "answer");
    EXPECT_TRUE(pair.server->has_eof);
    EXPECT_EQ(pair.client->lost_with, nullptr);
    EXPECT_EQ(pair.server->lost_with, nullptr);
  });
}

// explores: loop.SSLLayer
EXPLORE_TEST(LoopTlsExplored, BothMayCloseAtOnce) {
  with_loop([](EventLoop& loop) {
    Pair pair;
    pair.connect(loop);
    together([&] { pair.client->close(); },
             [&] {
               pair.server->write("last words");
               pair.server->close();
             });
    pair.wait_lost();
    EXPECT_EQ(pair.client->lost_with, nullptr);
    EXPECT_EQ(pair.server->lost_with, nullptr);
    EXPECT_EQ(pair.server->received, "");
  });
}

// explores: loop.SSLLayer
EXPLORE_TEST(LoopTlsExplored, AnAbortEndsBothOnce) {
  with_loop([](EventLoop& loop) {
    Pair pair;
    pair.connect(loop);
    together(
        [&] {
          pair.client->write("to the last");
          pair.client->abort();
        },
        [&] {
          pair.server->write("unheard");
          checkpoint();
          pair.server->write("perhaps");
        });
    pair.wait_lost();
    EXPECT_TRUE(std::string_view("to the last").starts_with(pair.server->received));
    EXPECT_EQ(pair.client->lost_with, nullptr);
  });
}

// --- The handshake. ---

// explores: loop.SSLLayer
EXPLORE_TEST(LoopTlsExplored, WhoIsCancelledDuringTheHandshakeLeavesNothingOpen) {
  with_loop([](EventLoop& loop) {
    Pair pair;
    auto serving = pair.begin_server(loop);
    auto connecting = pair.begin_client(loop);
    together([&] { connecting.cancel(); },
             [&] {
               checkpoint();
               checkpoint();
             });
    const std::string client = failure_of(connecting);
    if (client.empty()) pair.client->close();
    if (failure_of(serving).empty()) pair.server->lost.wait();
    EXPECT_TRUE(client.empty() || client == "cancelled");
    EXPECT_EQ(pair.client->is_made, client.empty() || pair.client->is_lost);
    if (pair.client->is_made) pair.client->lost.wait();
  });
}

// explores: loop.SSLLayer
EXPLORE_TEST(LoopTlsExplored, APeerThatGoesDuringTheHandshakeIsAnError) {
  with_loop([](EventLoop& loop) {
    Pair pair;
    auto connecting = pair.begin_client(loop);
    together([&] { pair.ends.close(1); }, [&] { checkpoint(); });
    EXPECT_NE(failure_of(connecting), "");
    EXPECT_FALSE(pair.client->is_made);
  });
}

// explores: loop.SSLLayer
EXPLORE_TEST(LoopTlsExplored, ASilentPeerIsGivenUpInTime) {
  with_loop([](EventLoop& loop) {
    Pair pair;
    const fibers::Instant begun = loop.time();
    auto connecting = pair.begin_client(loop);
    together([&] { EXPECT_NE(failure_of(connecting), ""); },
             [&] {
               fibers::sleep(std::chrono::seconds(60));
               pair.ends.close(1);
             });
    EXPECT_EQ(loop.time() - begun, std::chrono::seconds(60));
    EXPECT_FALSE(pair.client->is_made);
  });
}

// --- An upgrade. ---

// explores: loop.start_tls
EXPLORE_TEST(LoopTlsExplored, BothSidesMayBeginTlsInAnyOrder) {
  with_loop([](EventLoop& loop) {
    Pair pair;
    pair.connect_plainly(loop);
    const auto upgrade = [&](const Side& side, std::string_view text) {
      Transport upgraded = await(pair.upgrade(loop, side));
      upgraded.write(text);
      side->transport = upgraded;
    };
    // A server's first bytes come after the client's, so it must not be the later one to begin.
    together([&] { upgrade(pair.server, "from the server"); },
             [&] { upgrade(pair.client, "from the client"); });
    while (pair.client->received.empty() || pair.server->received.empty()) loop.synchronize();
    pair.client->close();
    pair.wait_lost();
    EXPECT_EQ(pair.client->received, "from the server");
    EXPECT_EQ(pair.server->received, "from the client");
  });
}

// explores: loop.start_tls
EXPLORE_TEST(LoopTlsExplored, AnUpgradeThatIsCancelledClosesTheConnection) {
  with_loop([](EventLoop& loop) {
    Pair pair;
    pair.connect_plainly(loop);
    auto serving = pair.upgrade(loop, pair.server);
    auto upgrading = pair.upgrade(loop, pair.client);
    together([&] { upgrading.cancel(); }, [&] { checkpoint(); });
    const std::string client = failure_of(upgrading);
    const std::string server = failure_of(serving);
    EXPECT_TRUE(client.empty() || client == "cancelled");
    if (client.empty()) Transport(upgrading.result()).abort();
    pair.wait_lost();
    EXPECT_TRUE(!server.empty() || pair.server->is_lost);
  });
}

// explores: loop.start_tls
EXPLORE_TEST(LoopTlsExplored, APeerThatGoesDuringAnUpgradeIsAnError) {
  with_loop([](EventLoop& loop) {
    Pair pair;
    pair.connect_plainly(loop);
    auto upgrading = pair.upgrade(loop, pair.client);
    together([&] { pair.server->abort(); }, [&] { checkpoint(); });
    EXPECT_NE(failure_of(upgrading), "");
    pair.wait_lost();
    EXPECT_EQ(pair.client->received, "");
  });
}

}  // namespace
}  // namespace weft::loop
