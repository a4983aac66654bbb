// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/testing/threads.h"

#include <gtest/gtest.h>

#include <semaphore>

#include "weft/fibers/errors.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/checkpoints.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/to_thread.h"

namespace weft::fibers {
namespace {

using testing::active_thread_count;
using testing::assert_checkpoints;
using testing::wait_all_threads_completed;

// trio: test_threads.py::test_wait_all_threads_completed
FIBER_TEST(ThreadsTest, WaitingEndsWithTheLastThread) {
  WEFT_NOT_SWEPT("its threads wait for what the body does later");
  WEFT_NOT_ALLOCATION_SWEPT("its threads wait for what the body does later");
  std::binary_semaphore first(0), second(0);
  bool completed = false;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { to_thread::run_sync([&] { first.acquire(); }); });
    nursery.start_soon([&] { to_thread::run_sync([&] { second.acquire(); }); });
    while (active_thread_count() < 2) checkpoint();
    nursery.start_soon([&] {
      wait_all_threads_completed();
      completed = true;
    });
    first.release();
    while (active_thread_count() > 1) checkpoint();
    for (int i = 0; i < 3; ++i) checkpoint();
    EXPECT_FALSE(completed);
    second.release();
  });
  EXPECT_TRUE(completed);
  EXPECT_EQ(active_thread_count(), 0U);
}

// trio: test_threads.py::test_wait_all_threads_completed_no_threads
FIBER_TEST(ThreadsTest, WithoutThreadsWaitingIsACheckpoint) {
  EXPECT_EQ(active_thread_count(), 0U);
  assert_checkpoints([] { wait_all_threads_completed(); });
}

TEST(ThreadsTest, CountingIsForRuns) {
  EXPECT_THROW(active_thread_count(), UsageError);
}

}  // namespace
}  // namespace weft::fibers
