// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What a transport does while something else is under way: a buffer that is not empty, a call of
// its protocol.

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/loop/transport_testing.h"
#include "weft/loop/transport.h"

namespace weft::loop {
namespace {

using namespace testing;
using Log = std::vector<std::string>;

FIBER_TEST(TransportTest, WhatIsWrittenLaterComesLaterAlsoIfThereIsRoomAgain) {
  with_loop([](EventLoop& loop) {
    SocketPair pair;
    const auto protocol = connect_over(loop, pair);
    protocol->transport.write(much());
    std::string got = pair.get();
    protocol->transport.write("end");  // Before the loop has seen that there is room.
    protocol->transport.close();
    run_until(loop, [&] {
      got += pair.get();
      return is_lost(*protocol);
    });
    got += pair.get();
    EXPECT_EQ(got.size(), much().size() + 3);
    EXPECT_TRUE(got.ends_with("xend"));
  });
}

FIBER_TEST(TransportTest, ResumesWritingAtTheLowWaterMarkAndPausesAboveTheHighOneOnly) {
  with_loop([](EventLoop& loop) {
    SocketPair pair;
    const auto protocol = connect_over(loop, pair);
    Transport transport = protocol->transport;
    transport.set_write_buffer_limits(much().size());
    transport.write(much());
    EXPECT_EQ(protocol->log, (Log{"made"})) << "a part of it has been sent";
    transport.set_write_buffer_limits(much().size() - 1000000, much().size() - 2000000);
    EXPECT_EQ(last(*protocol), "pause");
    run_until(loop, [&] {
      pair.get();
      return last(*protocol) == "resume";
    });
    EXPECT_GT(transport.get_write_buffer_size(), 0u);
    transport.abort();
    run_until(loop, [&] { return is_lost(*protocol); });
  });
}

// Another protocol takes its place as soon as data come.
struct Replaced : Protocol {
  explicit Replaced(bool& told) : gone(told) {}
  Replaced(const Replaced&) = delete;
  Replaced& operator=(const Replaced&) = delete;
  ~Replaced() override { gone = true; }
  void connection_made(Transport made) override { transport = std::move(made); }
  void data_received(std::string_view) override {
    const auto next = std::make_shared<Recorder>();
    next->transport = transport;
    transport.set_protocol(next);
    EXPECT_FALSE(gone) << "it is being called";
  }
  bool& gone;
  Transport transport;
};

FIBER_TEST(TransportTest, AProtocolThatIsReplacedGoesAfterTheCallThatItIsIn) {
  bool gone = false;
  with_loop([&](EventLoop& loop) {
    SocketPair pair;
    const auto make = [&] { return std::make_shared<Replaced>(gone); };
    Transport transport = await(loop.create_connection(make, pair.take())).first;
    pair.put("a");
    run_until(loop, [&] { return gone; });
    transport.abort();
    run_until(loop, [&] { return pair.at_end(); });
  });
}

// Closes while there is more to read, and more to send.
struct Closing final : Recorder {
  void data_received(std::string_view data) override {
    Recorder::data_received(data);
    pair->put("b");
    transport.write(much());
    transport.close();
  }
  SocketPair* pair = nullptr;
};

FIBER_TEST(TransportTest, ReceivesNothingAfterCloseAlsoWhileItStillSends) {
  with_loop([](EventLoop& loop) {
    SocketPair pair;
    const auto protocol = connect_over<Closing>(loop, pair);
    protocol->pair = &pair;
    pair.put("a");
    std::size_t got = 0;
    run_until(loop, [&] {
      got += pair.get().size();
      return is_lost(*protocol);
    });
    EXPECT_EQ(got + pair.get().size(), much().size());
    EXPECT_EQ(protocol->received, "a");
  });
}

FIBER_TEST(TransportTest, ReceivesNothingAfterClose) {
  with_loop([](EventLoop& loop) {
    SocketPair pair;
    const auto protocol = connect_over(loop, pair);
    pair.put("too late");
    // It runs in the iteration that finds the data, before these are read.
    loop.call_soon([&] {
      Transport transport = protocol->transport;
      transport.close();
      EXPECT_TRUE(transport.is_closing());
    });
    run_until(loop, [&] { return is_lost(*protocol); });
    EXPECT_EQ(protocol->log, (Log{"made", "lost"}));
  });
}

}  // namespace
}  // namespace weft::loop
