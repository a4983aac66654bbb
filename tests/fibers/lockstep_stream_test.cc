// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/testing/lockstep_stream.h"

#include <gtest/gtest.h>

#include <string>

#include "weft/fibers/errors.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/check_streams.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"

namespace weft::fibers::testing {
namespace {

// trio: test_testing.py::test_lockstep_streams_with_generic_tests
FIBER_TEST(LockstepStreamTest, PassesTheConformanceKit) {
  WEFT_NOT_FAULT_SWEPT("hundreds of runs of it take minutes");
  check_one_way_stream(lockstep_stream_one_way_pair, lockstep_stream_one_way_pair);
  check_two_way_stream(lockstep_stream_pair, lockstep_stream_pair);
  // Without the clogged ones: a task that sends does not keep send_eof(), which closes, from it.
  check_half_closeable_stream(lockstep_stream_pair);
}

FIBER_TEST(LockstepStreamTest, SendingTakesAsLongAsReceivingAll) {
  auto [send, receive] = lockstep_stream_one_way_pair();
  bool sent = false;
  open_nursery([&, &send = send, &receive = receive](Nursery& nursery) {
    nursery.start_soon([&] {
      send.send_all("abc");
      sent = true;
    });
    EXPECT_EQ(receive.receive_some(2), "ab");
    wait_all_tasks_blocked();
    EXPECT_FALSE(sent);
    EXPECT_EQ(receive.receive_some(2), "c");
    wait_all_tasks_blocked();
    EXPECT_TRUE(sent);
  });
}

FIBER_TEST(LockstepStreamTest, CancelledSenderTakesItsDataAway) {
  auto [send, receive] = lockstep_stream_one_way_pair();
  open_nursery([&, &send = send](Nursery& nursery) {
    nursery.start_soon([&] { send.send_all("never"); });
    wait_all_tasks_blocked();
    nursery.cancel_scope().cancel();
  });
  open_nursery([&, &send = send, &receive = receive](Nursery& nursery) {
    nursery.start_soon([&] { send.send_all("x"); });
    EXPECT_EQ(receive.receive_some(), "x");
  });
}

FIBER_TEST(LockstepStreamTest, MovedAwayStreamIsClosed) {
  auto pair = lockstep_stream_pair();
  LockstepStream moved = std::move(pair.first);
  EXPECT_THROW(pair.first.send_all("x"), ClosedResourceError);
  EXPECT_THROW(pair.first.receive_some(), ClosedResourceError);
  moved = std::move(pair.second);
  EXPECT_THROW(moved.send_all("x"), BrokenResourceError);
}

}  // namespace
}  // namespace weft::fibers::testing
