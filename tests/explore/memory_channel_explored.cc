// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/memory_channel.h"

#include <vector>

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/fiber_test.h"

namespace weft::fibers {
namespace {

// Every item arrives once, and those of one sender in order.
void all_arrive(std::size_t capacity, int senders, int receivers) {
  constexpr int kItems = 2;
  std::vector<int> last(static_cast<std::size_t>(senders), -1);
  int received = 0;
  auto [send, receive] = open_memory_channel<std::pair<int, int>>(capacity);
  open_nursery([&, &send = send, &receive = receive](Nursery& nursery) {
    for (int sender = 0; sender < senders; ++sender) {
      nursery.start_soon([mine = send, sender]() mutable {
        for (int item = 0; item < kItems; ++item) mine.send({sender, item});
      });
    }
    for (int receiver = 0; receiver < receivers; ++receiver) {
      nursery.start_soon([&, mine = receive]() mutable {
        for (const auto& [sender, item] : mine) {
          if (receivers == 1) {
            EXPECT_EQ(item, last[static_cast<std::size_t>(sender)] + 1);
          }
          last[static_cast<std::size_t>(sender)] = item;
          ++received;
        }
      });
    }
    send.close();
    receive.close();
  });
  EXPECT_EQ(received, senders * kItems);
}

// explores: open_memory_channel
EXPLORE_TEST(MemoryChannelExplored, ARendezvousLosesNothing) {
  all_arrive(0, 2, 1);
}
// explores: open_memory_channel
EXPLORE_TEST(MemoryChannelExplored, ABufferLosesNothing) {
  all_arrive(1, 2, 1);
}
// explores: open_memory_channel
EXPLORE_TEST(MemoryChannelExplored, TwoReceiversShareTheItems) {
  all_arrive(0, 1, 2);
}

// What a cancelled receiver did not get is there for the next; what a cancelled sender did not send
// nobody gets.
// explores: open_memory_channel
EXPLORE_TEST(MemoryChannelExplored, ACancellationNeitherLosesNorDoublesAnItem) {
  int sent = 0;
  int received = 0;
  CancelScope sender_leaves;
  CancelScope receiver_leaves;
  auto [send, receive] = open_memory_channel<int>(0);
  open_nursery([&, &send = send, &receive = receive](Nursery& nursery) {
    nursery.start_soon([&] {
      sender_leaves.run([&] {
        send.send(1);
        ++sent;
      });
      send.close();
    });
    nursery.start_soon([&] {
      receiver_leaves.run([&] { received += receive.receive(); });
      try {
        received += receive.receive();
      } catch (const EndOfChannel&) {
      }
    });
    nursery.start_soon([&] { receiver_leaves.cancel(); });
    nursery.start_soon([&] {
      checkpoint();
      sender_leaves.cancel();
    });
  });
  EXPECT_EQ(sent, received);
}

// explores: open_memory_channel
EXPLORE_TEST(MemoryChannelExplored, ClosingTellsEverybodyWhoWaits) {
  int ended = 0;
  auto [send, receive] = open_memory_channel<int>(0);
  open_nursery([&, &send = send, &receive = receive](Nursery& nursery) {
    for (int i = 0; i < 2; ++i) {
      nursery.start_soon([&] {
        try {
          receive.receive();
          ADD_FAILURE() << "nobody sends";
        } catch (const EndOfChannel&) {
          ++ended;
        }
      });
    }
    nursery.start_soon([&] { send.close(); });
  });
  EXPECT_EQ(ended, 2);
}

// explores: open_memory_channel
EXPLORE_TEST(MemoryChannelExplored, SendersHearThatNobodyReceives) {
  int broken = 0;
  auto [send, receive] = open_memory_channel<int>(1);
  open_nursery([&, &send = send, &receive = receive](Nursery& nursery) {
    for (int i = 0; i < 2; ++i) {
      nursery.start_soon([&] {
        try {
          for (int item = 0; item < 3; ++item) send.send(item);
        } catch (const BrokenResourceError&) {
          ++broken;
        }
      });
    }
    nursery.start_soon([&] {
      receive.receive();
      receive.close();
    });
  });
  EXPECT_EQ(broken, 2);
}

}  // namespace
}  // namespace weft::fibers
