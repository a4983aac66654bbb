// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/channel.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "weft/fibers/as_safe_channel.h"
#include "weft/fibers/broadcast_channel.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/memory_channel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/checkpoints.h"
#include "weft/fibers/testing/fiber_test.h"

namespace weft::fibers {
namespace {

void count_to(int last, SendChannel<int>& out) {
  for (int i = 1; i <= last; ++i) out.send(i);
  out.aclose();
}

int sum_of(ReceiveChannel<int>& in) {
  int sum = 0;
  for (const int item : in) sum += item;
  in.aclose();
  return sum;
}

int pass(SendChannel<int>& send, ReceiveChannel<int>& receive) {
  int sum = 0;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { count_to(4, send); });
    nursery.start_soon([&] { sum = sum_of(receive); });
  });
  return sum;
}

FIBER_TEST(ChannelTest, FunctionsTakeTheEndsOfAnyChannel) {
  auto [memory_send, memory_receive] = open_memory_channel<int>(0);
  EXPECT_EQ(pass(memory_send, memory_receive), 10);
  auto [all_send, all_receive] = open_broadcast_channel<int>(1);
  EXPECT_EQ(pass(all_send, all_receive), 10);
  EXPECT_EQ(as_safe_channel<int>(
                [](SafeSendChannel<int>& out) {
                  out.send(7);
                  out.send(3);
                },
                [](SafeReceiveChannel<int>& in) { return sum_of(in); }),
            10);
}

FIBER_TEST(ChannelTest, ClosesWhatItIsClosedBy) {
  auto [send, receive] = open_memory_channel<int>(1);
  auto [all_send, all_receive] = open_broadcast_channel<int>(1);
  for (AsyncResource* end : std::vector<AsyncResource*>{&send, &receive, &all_send, &all_receive}) {
    testing::assert_checkpoints([&] { end->aclose(); });
    EXPECT_NO_THROW(end->aclose());
  }
  EXPECT_THROW(send.send(1), ClosedResourceError);
  EXPECT_THROW(receive.receive(), ClosedResourceError);
  EXPECT_THROW(all_send.send(1), ClosedResourceError);
  EXPECT_THROW(all_receive.receive(), ClosedResourceError);
}

// Kept by a base class, each end closes when it is destroyed.
FIBER_TEST(ChannelTest, EndsCanBeKeptByTheirBase) {
  auto [send, receive] = open_memory_channel<int>(1);
  std::unique_ptr<SendChannel<int>> kept =
      std::make_unique<MemorySendChannel<int>>(std::move(send));
  kept->send(1);
  kept.reset();
  EXPECT_EQ(receive.receive(), 1);
  EXPECT_THROW(receive.receive(), EndOfChannel);
}

// One of a user's: the least that it takes.
class Countdown final : public ReceiveChannel<std::unique_ptr<int>> {
 public:
  explicit Countdown(int from) : left_(from) {}
  std::unique_ptr<int> receive() override {
    checkpoint();
    if (closed_) throw ClosedResourceError("the countdown is closed");
    if (left_ == 0) throw EndOfChannel();
    return std::make_unique<int>(left_--);
  }
  void aclose() override {
    closed_ = true;
    checkpoint();
  }

 private:
  int left_;
  bool closed_ = false;
};

FIBER_TEST(ChannelTest, ReceiveIsEnoughToGoThroughTheItems) {
  Countdown countdown(3);
  std::vector<int> got;
  for (const std::unique_ptr<int>& item : countdown) got.push_back(*item);
  EXPECT_EQ(got, (std::vector<int>{3, 2, 1}));
  EXPECT_EQ(countdown.next(), std::nullopt);
  countdown.aclose();
  EXPECT_THROW(countdown.next(), ClosedResourceError);
}

// Two memory channels make one for both ways.
class Line final : public Channel<int> {
 public:
  Line(MemorySendChannel<int> send, MemoryReceiveChannel<int> receive)
      : send_(std::move(send)), receive_(std::move(receive)) {}
  void send(int item) override { send_.send(item); }
  int receive() override { return receive_.receive(); }
  void aclose() override {
    send_.close();
    receive_.aclose();
  }

 private:
  MemorySendChannel<int> send_;
  MemoryReceiveChannel<int> receive_;
};

FIBER_TEST(ChannelTest, BothWays) {
  auto [there, from_here] = open_memory_channel<int>(1);
  auto [back, from_there] = open_memory_channel<int>(1);
  Line client(std::move(there), std::move(from_there));
  Line server(std::move(back), std::move(from_here));
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      for (const int item : server) server.send(item * item);
      server.aclose();
    });
    Channel<int>& line = client;
    line.send(5);
    EXPECT_EQ(line.receive(), 25);
    line.aclose();
  });
}

}  // namespace
}  // namespace weft::fibers
