// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/broadcast_channel.h"

#include <vector>

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/fiber_test.h"

namespace weft::fibers {
namespace {

// explores: open_broadcast_channel
EXPLORE_TEST(BroadcastChannelExplored, EveryReceiverGetsEveryItemInOrder) {
  std::vector<int> got[2];
  auto ends = open_broadcast_channel<int>(1);
  open_nursery([&](Nursery& nursery) {
    for (auto& mine : got) {
      nursery.start_soon([&mine, in = ends.second.clone()]() mutable {
        for (const int item : in) mine.push_back(item);
      });
    }
    nursery.start_soon([&, out = std::move(ends.first)]() mutable {
      for (int i = 0; i < 3; ++i) out.send(i);
      out.close();
    });
    ends.second.close();
  });
  for (const auto& mine : got) EXPECT_EQ(mine, (std::vector{0, 1, 2}));
}

// explores: open_broadcast_channel
EXPLORE_TEST(BroadcastChannelExplored, ACancelledReceiveLosesNothing) {
  CancelScope leaves;
  std::vector<int> got[2];
  auto ends = open_broadcast_channel<int>(1);
  auto other = ends.second.clone();
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      leaves.run([&] { got[0].push_back(ends.second.receive()); });
      for (const int item : ends.second) got[0].push_back(item);
    });
    nursery.start_soon([&] {
      for (const int item : other) got[1].push_back(item);
    });
    nursery.start_soon([&] {
      ends.first.send(0);
      leaves.cancel();
      ends.first.send(1);
      ends.first.close();
    });
  });
  for (const auto& mine : got) EXPECT_EQ(mine, (std::vector{0, 1}));
}

// Either send() returns and all get the item, or it is cancelled and nobody does.
// explores: open_broadcast_channel
EXPLORE_TEST(BroadcastChannelExplored, ACancelledSendReachesNobody) {
  CancelScope leaves;
  int sent = 0;
  int got[2] = {0, 0};
  auto ends = open_broadcast_channel<int>(1);
  auto other = ends.second.clone();
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      leaves.run([&] {
        for (int i = 0; i < 2; ++i) {
          ends.first.send(i);
          ++sent;
        }
      });
      ends.first.close();
    });
    nursery.start_soon([&] {
      while (ends.second.next()) ++got[0];
      while (other.next()) ++got[1];
    });
    nursery.start_soon([&] {
      checkpoint();
      leaves.cancel();
    });
  });
  EXPECT_EQ(got[0], sent);
  EXPECT_EQ(got[1], sent);
}

// explores: open_broadcast_channel
EXPLORE_TEST(BroadcastChannelExplored, WhoIsSlowIsToldHowMuchItMissed) {
  std::size_t got[2] = {0, 0};
  auto ends = open_broadcast_channel<int>(1, SlowReceivers::kDropOldest);
  auto other = ends.second.clone();
  const auto take_all = [](BroadcastReceiveChannel<int>& in, std::size_t& count) {
    int last = -1;
    while (const auto item = in.next()) {
      EXPECT_GT(*item, last);
      last = *item;
      count += 1 + in.take_missed();
    }
  };
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { take_all(ends.second, got[0]); });
    nursery.start_soon([&] { take_all(other, got[1]); });
    nursery.start_soon([&] {
      for (int i = 0; i < 3; ++i) ends.first.send(i);
      ends.first.close();
    });
  });
  for (const std::size_t count : got) EXPECT_EQ(count, 3U);
}

// explores: open_broadcast_channel
EXPLORE_TEST(BroadcastChannelExplored, ASlowReceiverThatLeavesLetsTheSendersGoOn) {
  int got = 0;
  auto ends = open_broadcast_channel<int>(1);
  auto slow = ends.second.clone();
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      for (int i = 0; i < 2; ++i) ends.first.send(i);
      ends.first.close();
    });
    nursery.start_soon([&] {
      while (ends.second.next()) ++got;
    });
    nursery.start_soon([&] {
      checkpoint();
      slow.close();
    });
  });
  EXPECT_EQ(got, 2);
  EXPECT_EQ(ends.second.statistics().current_buffer_used, 0U);
}

}  // namespace
}  // namespace weft::fibers
