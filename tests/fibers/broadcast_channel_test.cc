// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/broadcast_channel.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "weft/fibers/errors.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/memory_channel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/checkpoints.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

using testing::assert_checkpoints;
using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;
using testing::wait_all_tasks_blocked;

std::vector<int> all_of(BroadcastReceiveChannel<int>& channel) {
  std::vector<int> items;
  for (const int item : channel) items.push_back(item);
  return items;
}

FIBER_TEST(BroadcastChannelTest, EveryReceiverGetsEveryItem) {
  auto [send, first] = open_broadcast_channel<int>(2);
  auto second = send.subscribe();
  std::vector<int> a, b;
  open_nursery([&, &send = send, &first = first](Nursery& nursery) {
    nursery.start_soon([&] { a = all_of(first); });
    nursery.start_soon([&] { b = all_of(second); });
    for (int i = 0; i < 5; ++i) send.send(i);
    send.close();
  });
  EXPECT_THAT(a, ElementsAre(0, 1, 2, 3, 4));
  EXPECT_THAT(b, ElementsAre(0, 1, 2, 3, 4));
}

FIBER_TEST(BroadcastChannelTest, ASubscriberGetsWhatIsSentFromThenOnAndACloneWhatIsLeft) {
  auto [send, first] = open_broadcast_channel<int>(10);
  send.send_nowait(1);
  send.send_nowait(2);
  EXPECT_EQ(first.receive_nowait(), 1);
  auto late = send.subscribe();
  auto clone = first.clone();
  send.send_nowait(3);
  send.close();
  EXPECT_THAT(all_of(first), ElementsAre(2, 3));
  EXPECT_THAT(all_of(late), ElementsAre(3));
  EXPECT_THAT(all_of(clone), ElementsAre(2, 3));
  EXPECT_EQ(first.statistics().current_buffer_used, 0U);
}

FIBER_TEST(BroadcastChannelTest, TheSlowestReceiverHoldsUpTheSender) {
  auto [send, quick] = open_broadcast_channel<int>(1);
  auto slow = send.subscribe();
  bool sent = false;
  open_nursery([&, &send = send, &quick = quick](Nursery& nursery) {
    send.send(1);
    EXPECT_THROW(send.send_nowait(2), WouldBlock);
    nursery.start_soon([&] {
      send.send(2);
      sent = true;
    });
    EXPECT_EQ(quick.receive(), 1);
    wait_all_tasks_blocked();
    EXPECT_FALSE(sent);
    EXPECT_EQ(send.statistics().tasks_waiting_send, 1U);
    EXPECT_EQ(slow.receive(), 1);
    EXPECT_EQ(quick.receive(), 2);
    EXPECT_EQ(slow.receive(), 2);
  });
  EXPECT_TRUE(sent);
}

FIBER_TEST(BroadcastChannelTest, ASlowReceiverThatClosesLetsTheSenderGo) {
  auto [send, quick] = open_broadcast_channel<int>(1);
  std::optional slow = send.subscribe();
  open_nursery([&, &send = send, &quick = quick](Nursery& nursery) {
    send.send(1);
    nursery.start_soon([&] { send.send(2); });
    EXPECT_EQ(quick.receive(), 1);
    wait_all_tasks_blocked();
    slow.reset();
    EXPECT_EQ(quick.receive(), 2);
  });
}

FIBER_TEST(BroadcastChannelTest, OrTheSlowReceiverMissesItemsAndIsTold) {
  auto [send, slow] = open_broadcast_channel<int>(2, SlowReceivers::kDropOldest);
  auto quick = send.subscribe();
  for (int i = 0; i < 5; ++i) {
    send.send(i);
    EXPECT_EQ(quick.receive(), i);
  }
  EXPECT_EQ(slow.receive(), 3);
  EXPECT_EQ(slow.receive(), 4);
  EXPECT_EQ(slow.take_missed(), 3U);
  EXPECT_EQ(slow.take_missed(), 0U);
  EXPECT_EQ(quick.take_missed(), 0U);
}

FIBER_TEST(BroadcastChannelTest, ReceiversThatWaitAreServedAtOnce) {
  auto [send, receive] = open_broadcast_channel<int>(1);
  auto other = receive.clone();
  std::vector<int> got;
  open_nursery([&, &send = send, &receive = receive](Nursery& nursery) {
    // Two tasks of one handle share its items; the other handle has its own.
    for (int i = 0; i < 2; ++i) {
      nursery.start_soon([&] { got.push_back(receive.receive()); });
    }
    nursery.start_soon([&] {
      EXPECT_EQ(other.receive(), 1);
      EXPECT_EQ(other.receive(), 2);
    });
    wait_all_tasks_blocked();
    EXPECT_EQ(send.statistics().tasks_waiting_receive, 3U);
    send.send_nowait(1);
    send.send(2);
  });
  EXPECT_THAT(got, UnorderedElementsAre(1, 2));
}

FIBER_TEST(BroadcastChannelTest, WhenTheLastSenderIsClosedReceiversGetTheRest) {
  auto [send, receive] = open_broadcast_channel<int>(5);
  std::optional second = send.clone();
  send.send_nowait(1);
  send.close();
  send.close();
  EXPECT_THROW(send.send(1), ClosedResourceError);
  EXPECT_THROW(send.clone(), ClosedResourceError);
  second->send_nowait(2);
  second.reset();
  EXPECT_EQ(receive.receive(), 1);
  EXPECT_EQ(receive.next(), 2);
  EXPECT_EQ(receive.next(), std::nullopt);
  EXPECT_THROW(receive.receive(), EndOfChannel);
  EXPECT_THROW(receive.receive_nowait(), EndOfChannel);
}

FIBER_TEST(BroadcastChannelTest, WhoWaitsWhenTheOtherSideClosesIsTold) {
  auto [send, receive] = open_broadcast_channel<int>(1);
  send.send_nowait(0);
  open_nursery([&, &send = send, &receive = receive](Nursery& nursery) {
    nursery.start_soon([&] { EXPECT_THROW(send.send(1), BrokenResourceError); });
    wait_all_tasks_blocked();
    receive.close();
  });
  EXPECT_THROW(send.send(2), BrokenResourceError);
  EXPECT_THROW(send.send_nowait(2), BrokenResourceError);
  auto again = send.subscribe();
  send.send(3);
  EXPECT_EQ(again.receive(), 3);
  open_nursery([&, &send = send](Nursery& nursery) {
    nursery.start_soon([&] { EXPECT_THROW(again.receive(), EndOfChannel); });
    wait_all_tasks_blocked();
    send.close();
  });
}

FIBER_TEST(BroadcastChannelTest, WhoWaitsByAHandleThatIsClosedIsTold) {
  auto [send, receive] = open_broadcast_channel<int>(1);
  auto other = receive.clone();
  open_nursery([&, &receive = receive](Nursery& nursery) {
    nursery.start_soon([&] { EXPECT_THROW(receive.receive(), ClosedResourceError); });
    wait_all_tasks_blocked();
    receive.close();
    receive.close();
    EXPECT_THROW(receive.receive(), ClosedResourceError);
    EXPECT_THROW(receive.clone(), ClosedResourceError);
  });
  send.send(1);
  auto second = send.clone();
  open_nursery([&, &send = send](Nursery& nursery) {
    nursery.start_soon([&] { EXPECT_THROW(send.send(2), ClosedResourceError); });
    nursery.start_soon([&] { second.send(3); });
    wait_all_tasks_blocked();
    send.close();
    EXPECT_EQ(other.receive(), 1);
    EXPECT_EQ(other.receive(), 3);
  });
}

FIBER_TEST(BroadcastChannelTest, CancellationLosesNothing) {
  auto [send, receive] = open_broadcast_channel<int>(1);
  EXPECT_FALSE(move_on_after(seconds(1), [&receive = receive] { receive.receive(); }));
  send.send(1);
  EXPECT_FALSE(move_on_after(seconds(1), [&send = send] { send.send(2); }));
  CancelScope cancelled;
  cancelled.cancel();
  cancelled.run([&receive = receive] { receive.receive(); });
  EXPECT_EQ(receive.receive(), 1);
  send.send(3);
  EXPECT_EQ(receive.receive(), 3);
  EXPECT_THROW(receive.receive_nowait(), WouldBlock);
}

FIBER_TEST(BroadcastChannelTest, SendAndReceiveAreCheckpoints) {
  auto [send, receive] = open_broadcast_channel<int>(1);
  assert_checkpoints([&send = send] { send.send(1); });
  assert_checkpoints([&receive = receive] { receive.receive(); });
  send.close();
  assert_checkpoints([&receive = receive] { receive.next(); });
}

FIBER_TEST(BroadcastChannelTest, AnItemIsSharedAndGoesWithItsLastReceiver) {
  auto [send, receive] = open_broadcast_channel<std::shared_ptr<int>>(kUnbounded);
  auto other = receive.clone();
  const auto item = std::make_shared<int>(1);
  send.send_nowait(item);
  EXPECT_EQ(item.use_count(), 2);
  EXPECT_EQ(receive.receive(), item);
  EXPECT_EQ(item.use_count(), 2);
  other.close();
  EXPECT_EQ(item.use_count(), 1);
}

FIBER_TEST(BroadcastChannelTest, HandlesCanBeMovedAndAssigned) {
  auto [send, receive] = open_broadcast_channel<int>(3);
  auto moved = std::move(receive);
  send.send_nowait(1);
  auto copy = moved;
  EXPECT_EQ(send.statistics().open_receive_channels, 2U);
  copy = std::move(moved);
  EXPECT_EQ(send.statistics().open_receive_channels, 1U);
  EXPECT_EQ(copy.receive(), 1);
  auto sender = std::move(send);
  auto second = sender;
  EXPECT_EQ(copy.statistics().open_send_channels, 2U);
  second = sender;
  EXPECT_EQ(copy.statistics().open_send_channels, 2U);
}

FIBER_TEST(BroadcastChannelTest, ACapacityOfNothingIsRefused) {
  EXPECT_THROW(open_broadcast_channel<int>(0), UsageError);
}

FIBER_TEST(BroadcastChannelTest, AHandleThatWasMovedFromIsAClosedOne) {
  auto [send, receive] = open_broadcast_channel<int>(3);
  const auto moved = std::move(receive);
  // NOLINTBEGIN(bugprone-use-after-move): that is the promise.
  EXPECT_EQ(receive.statistics().open_receive_channels, 1U);
  EXPECT_THROW(receive.receive(), ClosedResourceError);
  EXPECT_THROW(receive.receive_nowait(), ClosedResourceError);
  EXPECT_THROW(receive.clone(), ClosedResourceError);
  receive.close();
  // NOLINTEND(bugprone-use-after-move)
  EXPECT_EQ(moved.statistics().open_receive_channels, 1U);
}

// What is left goes with its last receiver, and may then look at the channel.
FIBER_TEST(BroadcastChannelTest, AnItemThatIsDestroyedSeesTheChannelWithoutIt) {
  WEFT_NOT_ALLOCATION_SWEPT("a destructor of its own allocates");
  struct Look {
    BroadcastSendChannel<std::shared_ptr<void>>* send;
    std::vector<std::size_t>* seen;
    ~Look() { seen->push_back(send->statistics().current_buffer_used); }
  };
  std::vector<std::size_t> seen;
  auto [send, receive] = open_broadcast_channel<std::shared_ptr<void>>(3);
  for (int i = 0; i < 2; ++i) send.send_nowait(std::make_shared<Look>(&send, &seen));
  receive.close();
  EXPECT_THAT(seen, ::testing::ElementsAre(1U, 0U));
}

}  // namespace
}  // namespace weft::fibers
