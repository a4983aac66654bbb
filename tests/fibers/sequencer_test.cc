// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/testing/sequencer.h"

#include <gtest/gtest.h>

#include <vector>

#include "weft/fibers/errors.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"

namespace weft::fibers {
namespace {

using testing::Sequencer;
using testing::wait_all_tasks_blocked;

// trio: test_testing.py::test_Sequencer
FIBER_TEST(SequencerTest, RunsItsPositionsInOrder) {
  Sequencer sequencer;
  std::vector<int> order;
  const auto claim = [&](int position) {
    sequencer.seq(position, [&] { order.push_back(position); });
  };
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      claim(0);
      claim(3);
    });
    nursery.start_soon([&] {
      claim(2);
      claim(4);
    });
    nursery.start_soon([&] { claim(1); });
  });
  EXPECT_EQ(order, (std::vector{0, 1, 2, 3, 4}));
  EXPECT_THROW(claim(0), UsageError);
}

FIBER_TEST(SequencerTest, ReturnsWhatTheBodyReturnsAndGoesOnWhenItThrows) {
  Sequencer sequencer;
  EXPECT_EQ(sequencer.seq(0, [] { return 4; }), 4);
  EXPECT_THROW(sequencer.seq(1, [] { throw 5; }), int);
  EXPECT_EQ(sequencer.seq(2, [] { return 6; }), 6);
}

// trio: test_testing.py::test_Sequencer_cancel
FIBER_TEST(SequencerTest, CancelledPositionBreaksTheRest) {
  Sequencer sequencer;
  CancelScope scope;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { scope.run([&] { sequencer.seq(1, [] { ADD_FAILURE(); }); }); });
    nursery.start_soon([&] { EXPECT_THROW(sequencer.seq(2, [] {}), UsageError); });
    wait_all_tasks_blocked();
    scope.cancel();
    wait_all_tasks_blocked();
    EXPECT_THROW(sequencer.seq(0, [] {}), UsageError);
  });
  EXPECT_TRUE(scope.cancelled_caught());
}

// Nobody stands before such a position, and nobody ever will.
FIBER_TEST(SequencerTest, WhoComesAfterItIsBrokenDoesNotWait) {
  Sequencer sequencer;
  CancelScope scope;
  scope.cancel();
  scope.run([&] { sequencer.seq(1, [] { ADD_FAILURE(); }); });
  EXPECT_THROW(sequencer.seq(5, [] { ADD_FAILURE(); }), UsageError);
}

}  // namespace
}  // namespace weft::fibers
