// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/testing/checkpoints.h"

#include <gtest/gtest.h>

#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

using testing::assert_checkpoints;
using testing::assert_no_checkpoints;
using testing::AssertionError;

// trio: test_testing.py::test_assert_checkpoints
FIBER_TEST(CheckpointsTest, AFullCheckpointIsAskedFor) {
  EXPECT_NO_THROW(assert_checkpoints([] { checkpoint(); }));
  EXPECT_NO_THROW(assert_checkpoints([] { sleep(seconds(1)); }));
  EXPECT_THROW(assert_checkpoints([] {}), AssertionError);
  EXPECT_THROW(assert_checkpoints([] { cancel_shielded_checkpoint(); }), AssertionError);
  EXPECT_THROW(assert_checkpoints([] { checkpoint_if_cancelled(); }), AssertionError);
  EXPECT_NO_THROW(assert_checkpoints([] {
    checkpoint_if_cancelled();
    cancel_shielded_checkpoint();
  }));
}

// trio: test_testing.py::test_assert_checkpoints
FIBER_TEST(CheckpointsTest, WhoThrowsNeedNotPassOne) {
  EXPECT_THROW(assert_checkpoints([] { throw 3; }), int);
}

// trio: test_testing.py::test_assert_no_checkpoints
FIBER_TEST(CheckpointsTest, NotEvenHalfACheckpointIsAllowed) {
  EXPECT_NO_THROW(assert_no_checkpoints([] {}));
  EXPECT_THROW(assert_no_checkpoints([] { throw 3; }), int);
  EXPECT_THROW(assert_no_checkpoints([] { checkpoint(); }), AssertionError);
  EXPECT_THROW(assert_no_checkpoints([] { cancel_shielded_checkpoint(); }), AssertionError);
  EXPECT_THROW(assert_no_checkpoints([] { checkpoint_if_cancelled(); }), AssertionError);
  EXPECT_THROW(assert_no_checkpoints([] {
                 checkpoint();
                 throw 3;
               }),
               AssertionError);
}

}  // namespace
}  // namespace weft::fibers
