// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/event.h"

#include <gtest/gtest.h>

#include <memory>
#include <type_traits>

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

static_assert(!std::is_constructible_v<bool, Event>);

// trio: test_sync.py::test_Event
FIBER_TEST(EventTest, SetWakesEveryWaiterAndStaysSet) {
  Event event;
  EXPECT_FALSE(event.is_set());
  int woken = 0;
  open_nursery([&](Nursery& nursery) {
    for (int i = 0; i < 3; ++i) {
      nursery.start_soon([&] {
        event.wait();
        ++woken;
      });
    }
    wait_all_tasks_blocked();
    EXPECT_EQ(woken, 0);
    EXPECT_EQ(event.statistics().tasks_waiting, 3U);
    assert_no_checkpoints([&] { event.set(); });
    EXPECT_EQ(woken, 0);
  });
  EXPECT_EQ(woken, 3);
  EXPECT_TRUE(event.is_set());
  EXPECT_EQ(event.statistics().tasks_waiting, 0U);
  assert_checkpoints([&] { event.wait(); });
  event.set();
}

FIBER_TEST(EventTest, CancelledWaiterLeavesTheQueue) {
  Event event;
  EXPECT_FALSE(move_on_after(Duration(1), [&] { event.wait(); }));
  EXPECT_EQ(event.statistics().tasks_waiting, 0U);
}

FIBER_TEST(EventTest, DestroyingItFailsItsWaiters) {
  auto event = std::make_unique<Event>();
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { EXPECT_THROW(event->wait(), BrokenResourceError); });
    wait_all_tasks_blocked();
    event.reset();
  });
}

}  // namespace
}  // namespace weft::fibers
