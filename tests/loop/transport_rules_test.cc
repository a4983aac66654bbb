// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// How connections begin and end, whoever has made the socket.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/loop/connection_testing.h"

namespace weft::loop {
namespace {

using ::testing::ElementsAre;
using namespace testing;  // NOLINT: the helpers of the folder.

// Answers what comes.
struct Roger : Recorder {
  void data_received(std::string_view data) override {
    Recorder::data_received(data);
    transport.write("roger");
  }
};

// Whatever ends a connection, and however often: at the end, once, and nothing after it.
// asyncio: claims_transports::connection_lost_once_and_last
FIBER_TEST(TransportRulesTest, TheLossIsToldOnceAndLast) {
  using End = void (*)(Transport, SocketPair&);
  const std::vector<End> ends{
      [](Transport transport, SocketPair&) {
        transport.close();
        transport.abort();
        transport.close();
      },
      [](Transport transport, SocketPair& pair) {
        pair.put("late");
        pair.close_peer();
        transport.abort();
        transport.write("x");
      },
      [](Transport transport, SocketPair& pair) {
        transport.write(much());
        pair.close_peer();
        transport.close();
      },
      [](Transport, SocketPair& pair) {
        pair.put("last");
        pair.close_peer();
      },
      [](Transport transport, SocketPair& pair) {
        pair.put("last");
        transport.pause_reading();
        transport.close();
        transport.resume_reading();
        pair.close_peer();
      },
  };
  for (const End end : ends) {
    with_loop([&](EventLoop& loop) {
      SocketPair pair;
      const auto protocol = connect_over(loop, pair);
      Transport transport = protocol->transport;
      end(transport, pair);
      EXPECT_FALSE(is_lost(*protocol)) << "not while it is being ended";
      run_until(loop, [&] { return is_lost(*protocol); });
      transport.close();
      transport.abort();
      transport.resume_reading();
      for (int i = 0; i < 10; ++i) loop.synchronize();
      const auto& log = protocol->log;
      EXPECT_EQ(log.front(), "made");
      EXPECT_TRUE(log.back().starts_with("lost"));
      EXPECT_EQ(std::ranges::count_if(log, [](auto& each) { return each.starts_with("lost"); }), 1);
    });
  }
}

// asyncio: test_transports.py::TransportTests::test_get_extra_info
FIBER_TEST(TransportRulesTest, WhatItDoesNotKnowIsNothing) {
  with_loop([](EventLoop& loop) {
    constexpr ExtraInfo<int> kUnknown{"unknown"};
    constexpr ExtraInfo<std::string> kOfAnotherType{"socket"};
    SocketPair pair;
    const int fd = pair.transports();
    const auto protocol = connect_over(loop, pair);
    const Transport transport = protocol->transport;
    EXPECT_EQ(transport.get_extra_info(extra_info::socket), fd);
    EXPECT_EQ(transport.get_extra_info(kUnknown), std::nullopt);
    EXPECT_EQ(transport.get_extra_info(kUnknown).value_or(7), 7);
    EXPECT_EQ(transport.get_extra_info(kOfAnotherType), std::nullopt);
    protocol->transport.close();
    run_until(loop, [&] { return is_lost(*protocol); });
  });
}

// Both sides by hand: accept(2) on the one, sock_connect() on the other.
// asyncio: test_events.py::EventLoopTestsMixin::test_connect_accepted_socket
// asyncio: test_sock_lowlevel.py::BaseSockTestsMixin::test_create_connection_sock
FIBER_TEST(TransportRulesTest, SocketsThatAreConnectedAlreadyTalk) {
  WEFT_NOT_FAULT_SWEPT("it waits for an answer that a fault may have cut off");
  with_loop([](EventLoop& loop) {
    const OwnFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_in any{};
    any.sin_family = AF_INET;
    any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any), 0);
    EXPECT_EQ(::listen(listener.get(), 1), 0);
    const fibers::SocketAddress address = address_of(listener.get());
    detail::GivenFd connecting(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    await(loop.sock_connect(connecting.get(), address));
    const int accepted = await(loop.sock_accept(listener.get())).first;
    const auto server =
        await(loop.connect_accepted_socket([] { return std::make_shared<Roger>(); }, accepted))
            .second;
    const auto client = await(loop.create_connection(recorder, connecting.release())).second;
    client->transport.write("test data");
    run_until(loop, [&] { return client->received == "roger"; });
    client->transport.close();
    run_until(loop, [&] { return is_lost(*client) && is_lost(*server); });
    EXPECT_THAT(server->log, ElementsAre("made", "data test data", "eof", "lost"));
    EXPECT_EQ(::fcntl(accepted, F_GETFD), -1);
  });
}

}  // namespace
}  // namespace weft::loop
