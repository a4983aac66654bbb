// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/testing/lockstep_stream.h"

#include <string>

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/fiber_test.h"

namespace weft::fibers::testing {
namespace {

// explores: lockstep_stream_one_way_pair
EXPLORE_TEST(LockstepStreamExplored, SendingEndsWhenAllHasBeenReceived) {
  auto pair = lockstep_stream_one_way_pair();
  std::string got;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      pair.first.send_all("abc");
      EXPECT_EQ(got, "abc");
      pair.first.send_all("d");
      EXPECT_EQ(got, "abcd");
      pair.first.close();
    });
    nursery.start_soon([&] {
      for (std::string some; !(some = pair.second.receive_some(2)).empty();) got += some;
    });
  });
  EXPECT_EQ(got, "abcd");
}

// A sender that gives up is not the end of the stream, whenever the receiver has heard of the data.
// explores: lockstep_stream_one_way_pair
EXPLORE_TEST(LockstepStreamExplored, ASenderThatGivesUpIsNotTheEnd) {
  auto pair = lockstep_stream_one_way_pair();
  CancelScope leaves;
  std::string got;
  bool sent = false;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      sent = leaves.run([&] { pair.first.send_all("a"); });
      checkpoint();
      pair.first.send_all("b");
    });
    nursery.start_soon([&] {
      while (got.empty() || got.back() != 'b') {
        const std::string some = pair.second.receive_some();
        ASSERT_NE(some, "");
        got += some;
      }
    });
    nursery.start_soon([&] {
      checkpoint();
      leaves.cancel();
    });
  });
  EXPECT_TRUE(got == "ab" || (got == "b" && !sent)) << got;
}

// explores: lockstep_stream_one_way_pair
EXPLORE_TEST(LockstepStreamExplored, AReceiverThatGivesUpHasReceivedNothing) {
  auto pair = lockstep_stream_one_way_pair();
  CancelScope leaves;
  std::string got;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      pair.first.wait_send_all_might_not_block();
      pair.first.send_all("ab");
      EXPECT_EQ(got, "ab");
    });
    nursery.start_soon([&] {
      leaves.run([&] { got += pair.second.receive_some(1); });
      while (got.size() < 2) got += pair.second.receive_some(1);
    });
    nursery.start_soon([&] {
      checkpoint();
      checkpoint();
      leaves.cancel();
    });
  });
  EXPECT_EQ(got, "ab");
}

// Either all has been received, and sending succeeds, or the sender is told.
// explores: lockstep_stream_one_way_pair
EXPLORE_TEST(LockstepStreamExplored, ClosingTheReceiverTellsTheSender) {
  auto pair = lockstep_stream_one_way_pair();
  std::string got;
  bool broken = false;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      try {
        pair.first.send_all("ab");
      } catch (const BrokenResourceError&) {
        broken = true;
      }
    });
    nursery.start_soon([&] {
      try {
        for (int i = 0; i < 2; ++i) got += pair.second.receive_some(1);
      } catch (const ClosedResourceError&) {
      }
    });
    nursery.start_soon([&] {
      checkpoint();
      checkpoint();
      pair.second.close();
    });
  });
  EXPECT_EQ(broken, got != "ab") << got;
}

// explores: lockstep_stream_pair
EXPLORE_TEST(LockstepStreamPairExplored, TheDirectionsAreIndependent) {
  auto pair = lockstep_stream_pair();
  std::string got[2];
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { pair.first.send_all("a"); });
    nursery.start_soon([&] {
      pair.second.send_all("b");
      got[1] = pair.second.receive_some();
    });
    got[0] = pair.first.receive_some();
  });
  EXPECT_EQ(got[0], "b");
  EXPECT_EQ(got[1], "a");
}

// explores: lockstep_stream_pair
EXPLORE_TEST(LockstepStreamPairExplored, QuestionAndAnswer) {
  auto pair = lockstep_stream_pair();
  std::string answer;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      pair.first.send_all("?");
      answer = pair.first.receive_some();
      pair.first.aclose();
    });
    nursery.start_soon([&] {
      while (pair.second.receive_some() == "?") pair.second.send_all("!");
    });
  });
  EXPECT_EQ(answer, "!");
}

// Cancelling both ends in the middle leaves nobody behind, and the streams can be used again.
// explores: lockstep_stream_pair
EXPLORE_TEST(LockstepStreamPairExplored, CanBeUsedAfterACancellation) {
  auto pair = lockstep_stream_pair();
  CancelScope leave[2];
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { leave[0].run([&] { pair.first.send_all("abc"); }); });
    nursery.start_soon([&] { leave[1].run([&] { pair.second.receive_some(1); }); });
    nursery.start_soon([&] {
      checkpoint();
      for (CancelScope& scope : leave) scope.cancel();
    });
  });
  std::string got;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { pair.first.send_all("x"); });
    got = pair.second.receive_some();
  });
  EXPECT_EQ(got, "x");
}

}  // namespace
}  // namespace weft::fibers::testing
