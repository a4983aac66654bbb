// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/testing/sequencer.h"

#include <vector>

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/fiber_test.h"

namespace weft::fibers::testing {
namespace {

// explores: Sequencer
EXPLORE_TEST(SequencerExplored, TheOrderIsThatOfThePositions) {
  Sequencer sequencer;
  std::vector<int> order;
  open_nursery([&](Nursery& nursery) {
    for (int i = 0; i < 3; ++i) {
      nursery.start_soon([&, i] {
        for (int position = i; position < 6; position += 3) {
          sequencer.seq(position, [&] { order.push_back(position); });
        }
      });
    }
  });
  EXPECT_EQ(order, (std::vector{0, 1, 2, 3, 4, 5}));
}

// Also those that come only when it is broken, and whose predecessors have never been there.
// explores: Sequencer
EXPLORE_TEST(SequencerExplored, NobodyWaitsForASequenceThatIsBroken) {
  Sequencer sequencer;
  CancelScope leaves;
  int done = 0;
  int refused = 0;
  const auto take = [&](int position) {
    try {
      sequencer.seq(position, [&] { ++done; });
    } catch (const UsageError&) {
      ++refused;
    }
  };
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { leaves.run([&] { take(1); }); });
    nursery.start_soon([&] {
      checkpoint();
      take(3);
    });
    nursery.start_soon([&] { leaves.cancel(); });
    for (int i = 0; i < 2; ++i) checkpoint();
    take(0);
  });
  // The one that was cancelled broke it; the first may have come before that.
  EXPECT_TRUE(leaves.cancelled_caught());
  EXPECT_LE(done, 1);
  EXPECT_EQ(refused, 2 - done);
}

// explores: Sequencer
EXPLORE_TEST(SequencerExplored, ABodyThatIsCutShortHasHadItsTurn) {
  Sequencer sequencer;
  CancelScope leaves;
  int refused = 0;
  bool begun = false;
  bool after = false;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      leaves.run([&] {
        sequencer.seq(1, [&] {
          begun = true;
          checkpoint();
          checkpoint();
        });
      });
    });
    nursery.start_soon([&] {
      try {
        sequencer.seq(2, [&] { after = true; });
      } catch (const UsageError&) {
        ++refused;
      }
    });
    nursery.start_soon([&] {
      checkpoint();
      leaves.cancel();
    });
    try {
      sequencer.seq(0, [] {});
    } catch (const UsageError&) {
    }
  });
  EXPECT_EQ(after, begun);
  EXPECT_EQ(refused, begun ? 0 : 1);
}

}  // namespace
}  // namespace weft::fibers::testing
