// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/no_suspend.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

#include "tests/support/pipe.h"
#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/event.h"
#include "weft/fibers/io.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

using std::chrono::seconds;
using ::testing::AllOf;
using ::testing::HasSubstr;

template <class F>
std::string usage_error_of(F&& fn) {
  try {
    fn();
  } catch (const UsageError& e) {
    return e.what();
  }
  return "no UsageError";
}

FIBER_TEST(NoSuspendTest, AWaitNamesThePlaceAndItself) {
  const NoSuspend guard("the write callback");
  EXPECT_THAT(usage_error_of([] { sleep(seconds(1)); }),
              AllOf(HasSubstr("the write callback"), HasSubstr("sleep")));
  EXPECT_THAT(usage_error_of([] { checkpoint(); }), HasSubstr("checkpoint"));
  EXPECT_THAT(usage_error_of([] { cancel_shielded_checkpoint(); }),
              HasSubstr("the write callback"));
  test::Pipe pipe;
  EXPECT_THAT(usage_error_of([&] { wait_readable(pipe[0]); }), HasSubstr("readable fd"));
  Event event;
  EXPECT_THAT(usage_error_of([&] { event.wait(); }), HasSubstr("Event"));
}

// Of a task that is cancelled already the abort function runs before the task is suspended: what is
// refused in there leaves the wait around it as it was.
FIBER_TEST(NoSuspendTest, AWaitRefusedInAnAbortFunctionLeavesTheOuterWaitAlone) {
  WEFT_NOT_ALLOCATION_SWEPT("an abort function of its own allocates");
  CancelScope scope;
  scope.cancel();
  std::string refused;
  int value = 0;
  scope.run([&] {
    Task& me = current_task();
    value = wait_task_rescheduled<int>([&](const RaiseCancel&) {
      const NoSuspend guard("an abort function");
      refused = usage_error_of([] { sleep(seconds(1)); });
      refused += usage_error_of([] { checkpoint(); });
      reschedule(me, Outcome<int>(Value<int>{7}));
      return Abort::kFailed;
    });
  });
  EXPECT_THAT(refused, AllOf(HasSubstr("sleep"), HasSubstr("checkpoint")));
  EXPECT_EQ(value, 7);
}

FIBER_TEST(NoSuspendTest, ARefusedWaitLeavesNothingBehind) {
  test::Pipe pipe;
  {
    const NoSuspend guard("here");
    EXPECT_THROW(wait_readable(pipe[0]), UsageError);
    EXPECT_THROW(sleep(seconds(1)), UsageError);
    EXPECT_EQ(current_statistics().fds_watched, 0U);
    EXPECT_EQ(current_statistics().deadlines, 0U);
    EXPECT_EQ(current_task().state(), TaskState::kRunning);
  }
  pipe.write(1);
  wait_readable(pipe[0]);
  sleep(seconds(1));
}

FIBER_TEST(NoSuspendTest, TheInnermostPlaceIsNamedAndTheOuterOneComesBack) {
  const NoSuspend outer("outer");
  {
    const NoSuspend inner("inner");
    EXPECT_THAT(usage_error_of([] { checkpoint(); }), HasSubstr("inner"));
  }
  EXPECT_THAT(usage_error_of([] { checkpoint(); }), HasSubstr("outer"));
}

FIBER_TEST(NoSuspendTest, EndsWithItsScopeAlsoByAnException) {
  try {
    const NoSuspend guard("here");
    throw std::runtime_error("x");
  } catch (const std::runtime_error&) {
  }
  checkpoint();
}

FIBER_TEST(NoSuspendTest, ConcernsItsOwnTaskOnly) {
  Event ready;
  bool other_waited = false;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      ready.wait();
      checkpoint();
      other_waited = true;
    });
    checkpoint();
    const NoSuspend guard("here");
    ready.set();
    nursery.start_soon([] { checkpoint(); });
  });
  EXPECT_TRUE(other_waited);
}

TEST(NoSuspendTest, NeedsATask) {
  EXPECT_THROW(NoSuspend("here"), UsageError);
}

}  // namespace
}  // namespace weft::fibers
