// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/task_handle.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>

#include "weft/fibers/exception_group.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/testing/checkpoints.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

using testing::assert_checkpoints;
using testing::assert_no_checkpoints;
using ::testing::HasSubstr;

FIBER_TEST(TaskHandleTest, GetWaitsAndReturnsTheValue) {
  open_nursery([](Nursery& nursery) {
    const TaskHandle<int> handle = create_task(nursery, [] {
      sleep(seconds(1));
      return 7;
    });
    EXPECT_FALSE(handle.done());
    EXPECT_EQ(handle.get(), 7);
    EXPECT_TRUE(handle.done());
    EXPECT_EQ(handle.result(), 7);
    EXPECT_EQ(handle.error(), nullptr);
    assert_checkpoints([&] { EXPECT_EQ(handle.get(), 7); });
    assert_no_checkpoints([&] { EXPECT_EQ(handle.result(), 7); });
  });
}

FIBER_TEST(TaskHandleTest, AHandleOutlivesItsNurseryAndItsTask) {
  std::optional<TaskHandle<std::string>> handle;
  open_nursery([&](Nursery& nursery) {
    handle = create_task(nursery, [] { return std::string("value"); });
  });
  EXPECT_EQ(handle->result(), "value");
}

FIBER_TEST(TaskHandleTest, ATaskWithoutAResultHasAnEnd) {
  bool ran = false;
  open_nursery([&ran](Nursery& nursery) {
    const TaskHandle<void> handle = create_task(nursery, [&] { ran = true; });
    handle.get();
    EXPECT_TRUE(ran);
    handle.result();
  });
}

FIBER_TEST(TaskHandleTest, AResultThatCannotBeCopiedIsHadOnce) {
  open_nursery([](Nursery& nursery) {
    const auto handle = create_task(nursery, [] { return std::make_unique<int>(3); });
    EXPECT_EQ(*handle.get(), 3);
    EXPECT_THROW(handle.result(), UsageError);
  });
}

FIBER_TEST(TaskHandleTest, AskingTooEarlyIsAMistakeThatNamesTheTask) {
  open_nursery([](Nursery& nursery) {
    const auto handle = create_task(nursery, [] { return 1; }, {.name = "one"});
    try {
      handle.result();
      ADD_FAILURE() << "there was a result";
    } catch (const UsageError& error) {
      EXPECT_THAT(error.what(), HasSubstr("'one'"));
    }
  });
}

FIBER_TEST(TaskHandleTest, AnErrorGoesToTheNurseryAndIsSeenByTheHandleToo) {
  WEFT_NOT_ALLOCATION_SWEPT("it asks a handle that it has not got");
  std::optional<TaskHandle<int>> handle;
  try {
    open_nursery([&](Nursery& nursery) {
      handle = create_task(nursery, []() -> int { throw std::out_of_range("far"); });
      sleep_forever();
    });
    ADD_FAILURE() << "the error got lost";
  } catch (const ExceptionGroup& group) {
    ASSERT_EQ(group.exceptions().size(), 1U);
    EXPECT_EQ(group.exceptions().front(), handle->error());
  }
  EXPECT_THROW(handle->result(), std::out_of_range);
}

FIBER_TEST(TaskHandleTest, AnErrorThatIsKeptCancelsNobody) {
  open_nursery([](Nursery& nursery) {
    const auto handle =
        create_task(nursery, []() -> int { throw std::out_of_range("far"); }, {.keep_error = true});
    sleep(seconds(1));
    EXPECT_THROW(handle.get(), std::out_of_range);
    EXPECT_THROW(handle.get(), std::out_of_range);
  });
}

FIBER_TEST(TaskHandleTest, CancelEndsThatTaskAlone) {
  open_nursery([](Nursery& nursery) {
    const auto other = create_task(nursery, [] {
      sleep(seconds(5));
      return 1;
    });
    const auto handle = create_task(nursery, []() -> int { sleep_forever(); }, {.name = "sleeper"});
    handle.cancel("not needed");
    handle.wait();
    try {
      handle.result();
      ADD_FAILURE() << "there was a result";
    } catch (const TaskCancelledError& error) {
      EXPECT_THAT(error.what(), HasSubstr("'sleeper'"));
    }
    EXPECT_EQ(other.get(), 1);
  });
}

FIBER_TEST(TaskHandleTest, ATaskThatFinishesInSpiteOfCancelHasAResult) {
  open_nursery([](Nursery& nursery) {
    const auto handle = create_task(nursery, [] { return 1; });
    handle.cancel();
    EXPECT_EQ(handle.get(), 1);
  });
}

FIBER_TEST(TaskHandleTest, ATaskCancelledWithItsNurseryHasNoResult) {
  std::optional<TaskHandle<void>> handle;
  open_nursery([&](Nursery& nursery) {
    handle = create_task(nursery, [] { sleep_forever(); });
    checkpoint();
    nursery.cancel_scope().cancel();
  });
  EXPECT_THROW(handle->result(), TaskCancelledError);
}

FIBER_TEST(TaskHandleTest, WhoWaitsCanBeCancelledAndTheTaskGoesOn) {
  open_nursery([](Nursery& nursery) {
    const auto handle = create_task(nursery, [] {
      sleep(seconds(5));
      return 2;
    });
    EXPECT_FALSE(move_on_after(seconds(1), [&] { handle.wait(); }));
    EXPECT_FALSE(handle.done());
    EXPECT_EQ(handle.get(), 2);
  });
}

FIBER_TEST(TaskHandleTest, DroppingTheHandleNeitherWaitsNorCancels) {
  bool ended = false;
  open_nursery([&](Nursery& nursery) {
    assert_no_checkpoints([&] {
      create_task(nursery, [&] {
        sleep(seconds(1));
        ended = true;
      });
    });
    EXPECT_FALSE(ended);
  });
  EXPECT_TRUE(ended);
}

// Beside its error a group may hold the Cancelled of a scope around the nursery, which is not to
// come out at the handle.
FIBER_TEST(TaskHandleTest, WhatIsKeptHoldsNoCancelled) {
  std::optional<TaskHandle<void>> handle;
  EXPECT_FALSE(move_on_after(seconds(1), [&] {
    open_nursery([&](Nursery& nursery) {
      handle = create_task(nursery,
                           [] {
                             open_nursery([](Nursery& inner) {
                               inner.start_soon([] { sleep_forever(); });
                               try {
                                 sleep_forever();
                               } catch (...) {
                                 throw std::out_of_range("far");
                               }
                             });
                           },
                           {.keep_error = true});
    });
  }));
  try {
    handle->result();
    ADD_FAILURE() << "no error";
  } catch (const ExceptionGroup& group) {
    EXPECT_EQ(group.exceptions().size(), 1U);
  }
}

}  // namespace
}  // namespace weft::fibers
