// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/src/testing/byte_queue.h"

#include <gtest/gtest.h>

#include <array>
#include <string>

#include "weft/fibers/errors.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/checkpoints.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/memory_stream.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"

namespace weft::fibers::testing {
namespace {

using detail::ByteQueue;

// trio: test_testing.py::test__UnboundeByteQueue
FIBER_TEST(ByteQueueTest, GivesOutWhatWasPutInAsMuchAsIsAskedFor) {
  ByteQueue queue;
  queue.put("123");
  queue.put("456");
  EXPECT_EQ(queue.get_nowait(1), "1");
  EXPECT_EQ(queue.get_nowait(4), "2345");
  EXPECT_EQ(queue.get_nowait(kNoLimit), "6");
  EXPECT_THROW(queue.get_nowait(kNoLimit), WouldBlock);
  EXPECT_THROW(queue.get_nowait(0), UsageError);
  EXPECT_THROW(queue.get(std::size_t{0}), UsageError);
}

// trio: test_testing.py::test__UnboundeByteQueue
FIBER_TEST(ByteQueueTest, GetWaitsForData) {
  ByteQueue queue;
  queue.put("ab");
  assert_checkpoints([&] { EXPECT_EQ(queue.get(1), "a"); });
  assert_checkpoints([&] { EXPECT_EQ(queue.get(10), "b"); });
  std::string got;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { got = queue.get(kNoLimit); });
    wait_all_tasks_blocked();
    EXPECT_EQ(got, "");
    EXPECT_THROW(queue.get(1), BusyResourceError);
    EXPECT_THROW(queue.get_nowait(1), BusyResourceError);
    queue.put("now");
    wait_all_tasks_blocked();
    EXPECT_EQ(got, "now");
  });
}

// trio: test_testing.py::test__UnboundeByteQueue
FIBER_TEST(ByteQueueTest, ClosedQueueGivesOutTheRestAndThenTheEnd) {
  ByteQueue queue;
  queue.put("rest");
  queue.close();
  EXPECT_TRUE(queue.closed());
  EXPECT_THROW(queue.put("more"), ClosedResourceError);
  std::array<std::byte, 3> buffer{};
  EXPECT_EQ(queue.get(buffer), 3U);
  EXPECT_EQ(queue.get(kNoLimit), "t");
  EXPECT_EQ(queue.get(kNoLimit), "");
  EXPECT_EQ(queue.get_nowait(kNoLimit), "");
  EXPECT_EQ(queue.get(buffer), 0U);
}

// trio: test_testing.py::test__UnboundeByteQueue
FIBER_TEST(ByteQueueTest, ClosingWakesWhoWaits) {
  ByteQueue queue;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { EXPECT_EQ(queue.get(kNoLimit), ""); });
    wait_all_tasks_blocked();
    queue.close();
  });
}

// trio: test_testing.py::test__UnboundeByteQueue
FIBER_TEST(ByteQueueTest, DroppingLeavesTheEndOnly) {
  ByteQueue queue;
  queue.put("dropped");
  queue.close_and_drop();
  EXPECT_EQ(queue.get_nowait(kNoLimit), "");
}

}  // namespace
}  // namespace weft::fibers::testing
