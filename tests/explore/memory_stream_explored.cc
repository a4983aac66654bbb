// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/testing/memory_stream.h"

#include <string>

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/fiber_test.h"

namespace weft::fibers::testing {
namespace {

std::string read_all(ReceiveStream& in) {
  std::string all;
  for (;;) {
    const std::string some = in.receive_some(2);
    if (some.empty()) return all;
    all += some;
  }
}

// explores: memory_stream_one_way_pair
EXPLORE_TEST(MemoryStreamExplored, EveryByteArrivesAndThenTheEnd) {
  auto pair = memory_stream_one_way_pair();
  std::string got;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      pair.first.send_all("abc");
      pair.first.send_all("d");
      pair.first.aclose();
    });
    nursery.start_soon([&] { got = read_all(pair.second); });
  });
  EXPECT_EQ(got, "abcd");
}

// explores: memory_stream_one_way_pair
EXPLORE_TEST(MemoryStreamExplored, ACancelledReceiveHasReceivedNothing) {
  auto pair = memory_stream_one_way_pair();
  CancelScope leaves;
  std::string got;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      pair.first.send_all("abc");
      pair.first.close();
    });
    nursery.start_soon([&] {
      leaves.run([&] { got += pair.second.receive_some(1); });
      got += read_all(pair.second);
    });
    nursery.start_soon([&] {
      checkpoint();
      checkpoint();
      leaves.cancel();
    });
  });
  EXPECT_EQ(got, "abc");
}

// Of two who receive at once one is told; nothing is lost by that.
// explores: memory_stream_one_way_pair
EXPLORE_TEST(MemoryStreamExplored, TwoReceiversAreTold) {
  auto pair = memory_stream_one_way_pair();
  std::string got;
  int busy = 0;
  open_nursery([&](Nursery& nursery) {
    for (int i = 0; i < 2; ++i) {
      nursery.start_soon([&] {
        try {
          got += pair.second.receive_some();
        } catch (const BusyResourceError&) {
          ++busy;
        }
      });
    }
    nursery.start_soon([&] { pair.first.send_all("x"); });
  });
  EXPECT_EQ(got, "x");
  EXPECT_EQ(busy, 1);
}

// explores: memory_stream_one_way_pair
EXPLORE_TEST(MemoryStreamExplored, ClosingEndsTheWaitOfTheOtherTask) {
  auto pair = memory_stream_one_way_pair();
  bool told = false;
  bool broken = false;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      try {
        for (;;) pair.second.receive_some();
      } catch (const ClosedResourceError&) {
        told = true;
      }
    });
    nursery.start_soon([&] {
      try {
        pair.first.send_all("x");
      } catch (const BrokenResourceError&) {
        broken = true;
      }
    });
    nursery.start_soon([&] { pair.second.aclose(); });
  });
  EXPECT_TRUE(told);
  EXPECT_TRUE(broken);
}

// Both directions at once: neither waits for the other.
// explores: memory_stream_pair
EXPLORE_TEST(MemoryStreamPairExplored, TheDirectionsAreIndependent) {
  auto pair = memory_stream_pair();
  std::string got[2];
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      pair.first.send_all("a");
      got[0] = pair.first.receive_some();
    });
    nursery.start_soon([&] {
      pair.second.send_all("b");
      got[1] = pair.second.receive_some();
    });
  });
  EXPECT_EQ(got[0], "b");
  EXPECT_EQ(got[1], "a");
}

// explores: memory_stream_pair
EXPLORE_TEST(MemoryStreamPairExplored, TheEndOfOneDirectionIsNotThatOfTheOther) {
  auto pair = memory_stream_pair();
  std::string asked;
  std::string answered;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      pair.first.send_all("?");
      pair.first.send_eof();
      answered = read_all(pair.first);
    });
    nursery.start_soon([&] {
      asked = read_all(pair.second);
      pair.second.send_all("!");
      pair.second.aclose();
    });
  });
  EXPECT_EQ(asked, "?");
  EXPECT_EQ(answered, "!");
}

// A sender that is cut short has sent all or nothing here, and its peer gets that and the end.
// explores: memory_stream_pair
EXPLORE_TEST(MemoryStreamPairExplored, ACancelledSendIsAllOrNothing) {
  auto pair = memory_stream_pair();
  CancelScope leaves;
  std::string got;
  bool sent = false;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      sent = leaves.run([&] { pair.first.send_all("ab"); });
      pair.first.aclose();
    });
    nursery.start_soon([&] { got = read_all(pair.second); });
    nursery.start_soon([&] {
      checkpoint();
      leaves.cancel();
    });
  });
  EXPECT_EQ(got, sent ? "ab" : "");
}

}  // namespace
}  // namespace weft::fibers::testing
