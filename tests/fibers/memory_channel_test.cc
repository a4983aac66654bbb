// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/memory_channel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "weft/fibers/errors.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/checkpoints.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

using testing::assert_checkpoints;
using testing::assert_no_checkpoints;
using testing::wait_all_tasks_blocked;

template <class T>
struct Ends {
  explicit Ends(std::size_t capacity) : Ends(open_memory_channel<T>(capacity)) {}
  explicit Ends(MemoryChannelPair<T> pair)
      : send(std::move(pair.first)), receive(std::move(pair.second)) {}
  MemorySendChannel<T> send;
  MemoryReceiveChannel<T> receive;
};

// trio: test_channel.py::test_channel
FIBER_TEST(MemoryChannelTest, BuffersUpToItsCapacity) {
  Ends<int> ends(2);
  EXPECT_THROW(ends.receive.receive_nowait(), WouldBlock);
  assert_checkpoints([&] { ends.send.send(1); });
  assert_no_checkpoints([&] { ends.send.send_nowait(2); });
  EXPECT_THROW(ends.send.send_nowait(3), WouldBlock);
  assert_checkpoints([&] { EXPECT_EQ(ends.receive.receive(), 1); });
  EXPECT_EQ(ends.receive.receive_nowait(), 2);
  EXPECT_THROW(ends.receive.receive_nowait(), WouldBlock);
}

// trio: test_channel.py::test_unbuffered
FIBER_TEST(MemoryChannelTest, WithoutBufferSenderAndReceiverMeet) {
  Ends<int> ends(0);
  EXPECT_THROW(ends.send.send_nowait(1), WouldBlock);
  EXPECT_THROW(ends.receive.receive_nowait(), WouldBlock);
  bool sent = false;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      ends.send.send(1);
      sent = true;
    });
    wait_all_tasks_blocked();
    EXPECT_FALSE(sent);
    EXPECT_EQ(ends.receive.receive(), 1);
    wait_all_tasks_blocked();
    EXPECT_TRUE(sent);
    nursery.start_soon([&] { EXPECT_EQ(ends.receive.receive(), 2); });
    wait_all_tasks_blocked();
    ends.send.send_nowait(2);
    // That receiver owns the item, so there is no room for another.
    EXPECT_THROW(ends.send.send_nowait(3), WouldBlock);
  });
}

// trio: test_channel.py::test_553
FIBER_TEST(MemoryChannelTest, CancelledReceiverTakesNoItem) {
  Ends<std::string> ends(1);
  EXPECT_FALSE(move_on_after(seconds(1), [&] { ends.receive.receive(); }));
  ends.send.send("test for a second time");
  EXPECT_EQ(ends.receive.receive(), "test for a second time");
  ends.send.send_nowait("kept");
  CancelScope cancelled;
  cancelled.cancel();
  EXPECT_FALSE(cancelled.run([&] { ends.receive.receive(); }));
  EXPECT_EQ(ends.receive.receive_nowait(), "kept");
}

FIBER_TEST(MemoryChannelTest, CancelledSenderLeavesNoItem) {
  Ends<int> ends(0);
  EXPECT_FALSE(move_on_after(seconds(1), [&] { ends.send.send(1); }));
  EXPECT_EQ(ends.send.statistics().tasks_waiting_send, 0U);
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { EXPECT_EQ(ends.receive.receive(), 2); });
    wait_all_tasks_blocked();
    CancelScope cancelled;
    cancelled.cancel();
    EXPECT_FALSE(cancelled.run([&] { ends.send.send(1); }));
    ends.send.send(2);
  });
}

// An item that was handed over arrives also when the receiver is cancelled before it runs.
FIBER_TEST(MemoryChannelTest, ItemHandedOverIsNotLostToACancellation) {
  Ends<int> ends(0);
  CancelScope scope;
  int received = 0;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { scope.run([&] { received = ends.receive.receive(); }); });
    wait_all_tasks_blocked();
    ends.send.send_nowait(7);
    scope.cancel();
  });
  EXPECT_EQ(received, 7);
}

FIBER_TEST(MemoryChannelTest, CarriesWhatCanOnlyBeMoved) {
  Ends<std::unique_ptr<int>> ends(1);
  ends.send.send(std::make_unique<int>(1));
  auto kept = std::make_unique<int>(2);
  EXPECT_THROW(ends.send.send_nowait(std::move(kept)), WouldBlock);
  // NOLINTNEXTLINE(bugprone-use-after-move): that is the promise.
  ASSERT_NE(kept, nullptr);
  EXPECT_EQ(*ends.receive.receive(), 1);
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { EXPECT_EQ(*ends.receive.receive(), 2); });
    wait_all_tasks_blocked();
    ends.send.send(std::move(kept));
  });
}

// trio: test_channel.py::test_channel_multiple_producers
FIBER_TEST(MemoryChannelTest, EndsWhenTheLastProducerIsDone) {
  std::vector<int> received;
  open_nursery([&](Nursery& nursery) {
    auto [send, receive] = open_memory_channel<int>(0);
    for (int producer = 0; producer < 3; ++producer) {
      nursery.start_soon([send = send.clone(), producer]() mutable {
        for (int i = 0; i < 3; ++i) send.send(producer * 3 + i);
      });
    }
    send.close();
    for (const int item : receive) received.push_back(item);
  });
  std::sort(received.begin(), received.end());
  EXPECT_EQ(received, (std::vector{0, 1, 2, 3, 4, 5, 6, 7, 8}));
}

// trio: test_channel.py::test_channel_multiple_consumers
FIBER_TEST(MemoryChannelTest, EachItemGoesToOneConsumer) {
  std::vector<int> received;
  open_nursery([&](Nursery& nursery) {
    Ends<int> ends(1);
    for (int consumer = 0; consumer < 2; ++consumer) {
      nursery.start_soon([&received, receive = ends.receive.clone()]() mutable {
        for (const int item : receive) received.push_back(item);
      });
    }
    for (int i = 0; i < 10; ++i) ends.send.send(i);
  });
  std::sort(received.begin(), received.end());
  EXPECT_EQ(received, (std::vector{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
}

// trio: test_channel.py::test_close_sync
FIBER_TEST(MemoryChannelTest, ClosedSenderEndsTheChannel) {
  Ends<int> ends(0);
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { EXPECT_THROW(ends.send.send(1), ClosedResourceError); });
    wait_all_tasks_blocked();
    ends.send.close();
    ends.send.close();
  });
  EXPECT_THROW(ends.send.send_nowait(1), ClosedResourceError);
  EXPECT_THROW(ends.send.send(1), ClosedResourceError);
  EXPECT_THROW(MemorySendChannel<int>{ends.send}, ClosedResourceError);
  EXPECT_THROW(ends.receive.receive_nowait(), EndOfChannel);
  EXPECT_THROW(ends.receive.receive(), EndOfChannel);
  EXPECT_EQ(ends.receive.next(), std::nullopt);
}

// trio: test_channel.py::test_close_sync
FIBER_TEST(MemoryChannelTest, ClosedReceiverBreaksTheChannel) {
  Ends<int> ends(0);
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { EXPECT_THROW(ends.send.send(1), BrokenResourceError); });
    wait_all_tasks_blocked();
    ends.receive.close();
  });
  EXPECT_THROW(ends.send.send_nowait(1), BrokenResourceError);
  EXPECT_THROW(ends.send.send(1), BrokenResourceError);
  EXPECT_THROW(ends.receive.receive_nowait(), ClosedResourceError);
  EXPECT_THROW(ends.receive.receive(), ClosedResourceError);
  EXPECT_THROW(ends.receive.next(), ClosedResourceError);
}

// trio: test_channel.py::test_close_sync
FIBER_TEST(MemoryChannelTest, ClosedReceiverWakesWhoWaitsOnIt) {
  Ends<int> ends(0);
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { EXPECT_THROW(ends.receive.receive(), ClosedResourceError); });
    wait_all_tasks_blocked();
    ends.receive.close();
  });
}

// trio: test_channel.py::test_close_basics
FIBER_TEST(MemoryChannelTest, AcloseClosesAsCloseDoesAndIsACheckpoint) {
  Ends<int> by_sender(0);
  Ends<int> by_receiver(0);
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { EXPECT_THROW(by_sender.send.send(1), ClosedResourceError); });
    nursery.start_soon([&] { EXPECT_THROW(by_receiver.send.send(1), BrokenResourceError); });
    wait_all_tasks_blocked();
    assert_checkpoints([&] { by_sender.send.aclose(); });
    assert_checkpoints([&] { by_receiver.receive.aclose(); });
  });
  EXPECT_THROW(by_sender.send.send(1), ClosedResourceError);
  EXPECT_THROW(by_sender.receive.receive(), EndOfChannel);
  EXPECT_THROW(by_receiver.send.send(1), BrokenResourceError);
  EXPECT_THROW(by_receiver.receive.receive(), ClosedResourceError);
  by_sender.receive.aclose();
  by_sender.receive.aclose();
  EXPECT_THROW(by_sender.receive.receive_nowait(), ClosedResourceError);
}

// trio: test_channel.py::test_receive_channel_clone_and_close
FIBER_TEST(MemoryChannelTest, AChannelIsBrokenWhenTheLastCloneOfItsReceiverIsClosed) {
  Ends<int> ends(10);
  auto clone = ends.receive.clone();
  auto third = clone.clone();
  ends.send.send_nowait(1);
  ends.receive.close();
  EXPECT_THROW(ends.receive.clone(), ClosedResourceError);
  ends.send.send_nowait(2);
  clone.close();
  ends.send.send_nowait(3);
  EXPECT_EQ(third.receive_nowait(), 1);
  third.close();
  EXPECT_THROW(ends.send.send_nowait(4), BrokenResourceError);
  EXPECT_THROW(ends.send.send(4), BrokenResourceError);
}

// trio: test_channel.py::test_close_multiple_receive_handles
FIBER_TEST(MemoryChannelTest, ClosingOneReceiverWakesOnlyItsOwnTasks) {
  Ends<int> ends(0);
  auto clone = ends.receive.clone();
  int received = 0;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { EXPECT_THROW(ends.receive.receive(), ClosedResourceError); });
    nursery.start_soon([&] { received = clone.receive(); });
    wait_all_tasks_blocked();
    ends.receive.close();
    wait_all_tasks_blocked();
    EXPECT_EQ(clone.statistics().tasks_waiting_receive, 1U);
    ends.send.send(3);
  });
  EXPECT_EQ(received, 3);
}

// trio: test_channel.py::test_close_multiple_send_handles
FIBER_TEST(MemoryChannelTest, ClosingOneSenderWakesOnlyItsOwnTasks) {
  Ends<std::string> ends(0);
  auto clone = ends.send.clone();
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { EXPECT_THROW(ends.send.send("nope"), ClosedResourceError); });
    nursery.start_soon([&] { clone.send("hi"); });
    wait_all_tasks_blocked();
    ends.send.close();
    EXPECT_EQ(ends.receive.receive(), "hi");
  });
  // Still open for the clone.
  EXPECT_THROW(ends.receive.receive_nowait(), WouldBlock);
  clone.close();
  EXPECT_THROW(ends.receive.receive_nowait(), EndOfChannel);
}

FIBER_TEST(MemoryChannelTest, WaitingReceiverHearsOfTheEnd) {
  Ends<int> ends(0);
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { EXPECT_THROW(ends.receive.receive(), EndOfChannel); });
    wait_all_tasks_blocked();
    ends.send.close();
  });
}

FIBER_TEST(MemoryChannelTest, WhatIsBufferedOutlivesItsSender) {
  Ends<int> ends(3);
  ends.send.send_nowait(1);
  ends.send.send_nowait(2);
  ends.send.close();
  EXPECT_EQ(ends.receive.receive(), 1);
  EXPECT_EQ(ends.receive.receive_nowait(), 2);
  EXPECT_THROW(ends.receive.receive(), EndOfChannel);
}

FIBER_TEST(MemoryChannelTest, WhatIsBufferedDiesWithTheLastReceiver) {
  Ends<std::shared_ptr<int>> ends(1);
  auto item = std::make_shared<int>(1);
  ends.send.send_nowait(item);
  EXPECT_EQ(item.use_count(), 2);
  ends.receive.close();
  EXPECT_EQ(item.use_count(), 1);
  EXPECT_EQ(ends.send.statistics().current_buffer_used, 0U);
}

// trio: test_channel.py::test_inf_capacity
FIBER_TEST(MemoryChannelTest, UnboundedNeverMakesTheSenderWait) {
  Ends<int> ends(kUnbounded);
  for (int i = 0; i < 1000; ++i) ends.send.send_nowait(i);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(ends.receive.receive_nowait(), i);
}

// trio: test_channel.py::test_statistics
FIBER_TEST(MemoryChannelTest, CountsWhatGoesOn) {
  Ends<int> ends(2);
  const auto stats = [&] { return ends.send.statistics(); };
  EXPECT_EQ(stats().max_buffer_size, 2U);
  EXPECT_EQ(stats().open_send_channels, 1U);
  EXPECT_EQ(stats().open_receive_channels, 1U);
  {
    const auto clone = ends.receive.clone();
    EXPECT_EQ(stats().open_receive_channels, 2U);
  }
  EXPECT_EQ(stats().open_receive_channels, 1U);
  ends.send.send_nowait(1);
  EXPECT_EQ(ends.receive.statistics().current_buffer_used, 1U);
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { ends.send.send(2); });
    wait_all_tasks_blocked();
    nursery.start_soon([&] { ends.send.send(3); });
    wait_all_tasks_blocked();
    EXPECT_EQ(stats().current_buffer_used, 2U);
    EXPECT_EQ(stats().tasks_waiting_send, 1U);
    for (int i = 1; i <= 3; ++i) EXPECT_EQ(ends.receive.receive(), i);
    EXPECT_EQ(stats().peak_buffer_used, 2U);
    nursery.start_soon([&] { ends.receive.receive(); });
    wait_all_tasks_blocked();
    EXPECT_EQ(stats().tasks_waiting_receive, 1U);
    ends.send.send_nowait(4);
    EXPECT_EQ(stats().tasks_waiting_receive, 0U);
  });
}

// trio: test_channel.py::test_channel_fairness
FIBER_TEST(MemoryChannelTest, WaitingReceiverOwnsTheNextItem) {
  Ends<int> ends(1);
  // One task that sends and receives does not wait for itself.
  for (int i = 0; i < 10; ++i) {
    ends.send.send(i);
    EXPECT_EQ(ends.receive.receive(), i);
  }
  int other = 0;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { other = ends.receive.receive(); });
    wait_all_tasks_blocked();
    ends.send.send_nowait(1);
    ends.send.send_nowait(2);
    EXPECT_EQ(ends.receive.receive_nowait(), 2);
  });
  EXPECT_EQ(other, 1);
}

FIBER_TEST(MemoryChannelTest, WaitingSendersEnterInOrderAsRoomAppears) {
  Ends<int> ends(1);
  ends.send.send_nowait(0);
  open_nursery([&](Nursery& nursery) {
    for (int i = 1; i <= 4; ++i) {
      nursery.start_soon([&, i] { ends.send.send(i); });
      wait_all_tasks_blocked();
    }
    for (int i = 0; i <= 4; ++i) EXPECT_EQ(ends.receive.receive_nowait(), i);
  });
}

FIBER_TEST(MemoryChannelTest, HandlesAreValues) {
  Ends<int> ends(1);
  MemorySendChannel<int> copy = ends.send;
  EXPECT_EQ(copy.statistics().open_send_channels, 2U);
  copy = ends.send;
  EXPECT_EQ(copy.statistics().open_send_channels, 2U);
  ends.send = std::move(copy);
  EXPECT_EQ(ends.send.statistics().open_send_channels, 1U);
  // NOLINTNEXTLINE(bugprone-use-after-move): that is the promise.
  EXPECT_THROW(copy.send_nowait(1), ClosedResourceError);
  ends.send.send_nowait(1);
  assert_checkpoints([&] { ends.send.aclose(); });
  EXPECT_EQ(ends.receive.receive_nowait(), 1);
}

FIBER_TEST(MemoryChannelTest, RingKeepsItsOrderWhileItGrows) {
  Ends<std::unique_ptr<int>> ends(kUnbounded);
  int next_in = 0, next_out = 0;
  for (int round = 1; round < 40; ++round) {
    for (int i = 0; i < round; ++i) ends.send.send_nowait(std::make_unique<int>(next_in++));
    for (int i = 0; i < round / 2; ++i) EXPECT_EQ(*ends.receive.receive_nowait(), next_out++);
  }
  while (next_out < next_in) EXPECT_EQ(*ends.receive.receive_nowait(), next_out++);
}

// As LockTest.AShieldPutUpInTheLastMomentDoesNotMakeTwoOwners.
FIBER_TEST(MemoryChannelTest, AShieldPutUpInTheLastMomentDoesNotTakeAnItemThatIsGone) {
  WEFT_NOT_SWEPT("a shielded wait has nobody left to end it");
  WEFT_NOT_ALLOCATION_SWEPT("a shielded wait has nobody left to end it");
  Ends<std::unique_ptr<int>> ends(1);
  ends.send.send_nowait(std::make_unique<int>(1));
  CancelScope outer;
  CancelScope inner;
  outer.cancel();
  std::unique_ptr<int> got;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon(
        [&] { outer.run([&] { inner.run([&] { got = ends.receive.receive(); }); }); });
    nursery.start_soon([&] {
      EXPECT_EQ(*ends.receive.receive_nowait(), 1);
      inner.set_shield(true);
      wait_all_tasks_blocked();
      EXPECT_EQ(got, nullptr);
      ends.send.send_nowait(std::make_unique<int>(2));
    });
  });
  EXPECT_EQ(*got, 2);
}

FIBER_TEST(MemoryChannelTest, AShieldPutUpInTheLastMomentDoesNotSendAboveTheCapacity) {
  WEFT_NOT_SWEPT("a shielded wait has nobody left to end it");
  WEFT_NOT_ALLOCATION_SWEPT("a shielded wait has nobody left to end it");
  Ends<int> ends(1);
  CancelScope outer;
  CancelScope inner;
  outer.cancel();
  bool sent = false;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      outer.run([&] {
        inner.run([&] {
          ends.send.send(2);
          sent = true;
        });
      });
    });
    nursery.start_soon([&] {
      ends.send.send_nowait(1);
      inner.set_shield(true);
      wait_all_tasks_blocked();
      EXPECT_FALSE(sent);
      EXPECT_EQ(ends.send.statistics().current_buffer_used, 1U);
      EXPECT_EQ(ends.receive.receive_nowait(), 1);
    });
  });
  EXPECT_EQ(ends.receive.receive_nowait(), 2);
}

}  // namespace
}  // namespace weft::fibers
