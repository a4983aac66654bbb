// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/task_handle.h"

#include <stdexcept>

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/event.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/fiber_test.h"

namespace weft::fibers {
namespace {

// explores: create_task
EXPLORE_TEST(TaskHandleExplored, EverybodyWhoAsksGetsTheResult) {
  int sum = 0;
  open_nursery([&](Nursery& nursery) {
    const auto handle = create_task(nursery, [] {
      checkpoint();
      return 7;
    });
    for (int i = 0; i < 3; ++i) {
      nursery.start_soon([&sum, handle] {
        sum += handle.get();
        EXPECT_TRUE(handle.done());
      });
    }
  });
  EXPECT_EQ(sum, 21);
}

// The task alone is cancelled; who asks is not.
// explores: create_task
EXPLORE_TEST(TaskHandleExplored, ACancelledTaskHasAResultOrSaysThatItHasNone) {
  int finished = 0;
  int got = 0;
  int told = 0;
  open_nursery([&](Nursery& nursery) {
    const auto handle = create_task(nursery, [&finished] {
      checkpoint();
      checkpoint();
      return ++finished;
    });
    for (int i = 0; i < 2; ++i) {
      nursery.start_soon([&, handle] {
        try {
          got += handle.get();
        } catch (const TaskCancelledError&) {
          ++told;
        }
        checkpoint();
      });
    }
    nursery.start_soon([handle] {
      checkpoint();
      handle.cancel();
    });
  });
  EXPECT_EQ(got, 2 * finished);
  EXPECT_EQ(told, 2 - 2 * finished);
}

// explores: create_task
EXPLORE_TEST(TaskHandleExplored, WhoGivesUpAskingLeavesTheTaskAlone) {
  CancelScope leaves;
  bool finished = false;
  int got = 0;
  open_nursery([&](Nursery& nursery) {
    const auto handle = create_task(nursery, [&] {
      checkpoint();
      finished = true;
      return 1;
    });
    nursery.start_soon([&, handle] { leaves.run([&] { got += handle.get(); }); });
    nursery.start_soon([&, handle] { got += handle.get(); });
    nursery.start_soon([&] { leaves.cancel(); });
  });
  EXPECT_TRUE(finished);
  EXPECT_EQ(got, leaves.cancelled_caught() ? 1 : 2);
}

// explores: create_task
EXPLORE_TEST(TaskHandleExplored, AnErrorThatIsKeptGoesToWhoAsksAndToNobodyElse) {
  int told = 0;
  bool other = false;
  open_nursery([&](Nursery& nursery) {
    const auto handle = create_task(nursery, [] { checkpoint(), throw std::runtime_error("kept"); },
                                    {.keep_error = true});
    for (int i = 0; i < 2; ++i) {
      nursery.start_soon([&told, handle] {
        try {
          handle.get();
        } catch (const std::runtime_error&) {
          ++told;
        }
      });
    }
    nursery.start_soon([&] {
      for (int i = 0; i < 3; ++i) checkpoint();
      other = true;
    });
  });
  EXPECT_EQ(told, 2);
  EXPECT_TRUE(other);
}

}  // namespace
}  // namespace weft::fibers
