// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/lowlevel.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/testing/checkpoints.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

using std::chrono::seconds;
using ::testing::Each;
using ::testing::ElementsAre;
using testing::wait_all_tasks_blocked;

constexpr auto kNeverAborted = [](const RaiseCancel&) {
  ADD_FAILURE() << "aborted";
  return Abort::kSucceeded;
};
constexpr auto kAbort = [](const RaiseCancel&) { return Abort::kSucceeded; };

// A task that runs `wait` and is waiting when this returns.
template <class F>
Task& parked(Nursery& nursery, F wait) {
  Task* task = nullptr;
  nursery.start_soon(
      [&task, wait] {
        task = &current_task();
        wait();
      },
      {.unchecked_captures = true});
  wait_all_tasks_blocked();
  return *task;
}

// trio: test_run.py::test_reschedule
FIBER_TEST(LowlevelTest, RescheduleEndsTheWait) {
  bool woken = false;
  open_nursery([&](Nursery& nursery) {
    Task& task = parked(nursery, [&woken] {
      wait_task_rescheduled(kNeverAborted);
      woken = true;
    });
    EXPECT_EQ(task.state(), TaskState::kWaiting);
    reschedule(task);
    EXPECT_EQ(task.state(), TaskState::kReady);
    EXPECT_FALSE(woken);  // It runs in its turn, not inside reschedule().
  });
  EXPECT_TRUE(woken);
}

// trio: test_run.py::test_reschedule
FIBER_TEST(LowlevelTest, RescheduleDeliversAnError) {
  open_nursery([](Nursery& nursery) {
    Task& task = parked(
        nursery, [] { EXPECT_THROW(wait_task_rescheduled(kNeverAborted), std::runtime_error); });
    EXPECT_THROW(reschedule(task, std::exception_ptr()), UsageError);
    reschedule(task, std::make_exception_ptr(std::runtime_error("x")));
  });
}

// trio: test_run.py::test_reschedule
FIBER_TEST(LowlevelTest, RescheduleDeliversAValueOrAnOutcomesError) {
  open_nursery([](Nursery& nursery) {
    Task& value = parked(
        nursery, [] { EXPECT_EQ(*wait_task_rescheduled<std::unique_ptr<int>>(kNeverAborted), 5); });
    reschedule(value, Outcome<std::unique_ptr<int>>::value(std::make_unique<int>(5)));
    Task& error = parked(nursery, [] {
      EXPECT_THROW(wait_task_rescheduled<int>(kNeverAborted), std::runtime_error);
    });
    reschedule(error, Outcome<int>::error(std::make_exception_ptr(std::runtime_error("x"))));
    Task& nothing = parked(nursery, [] { wait_task_rescheduled<void>(kNeverAborted); });
    reschedule(nothing, Outcome<void>::value());
  });
}

FIBER_TEST(LowlevelTest, AValueOfAnotherTypeIsRefusedAndTheWaitGoesOn) {
  open_nursery([](Nursery& nursery) {
    Task& typed = parked(nursery, [] { EXPECT_EQ(wait_task_rescheduled<int>(kNeverAborted), 1); });
    EXPECT_THROW(reschedule(typed, Outcome<long>::value(2)), UsageError);
    EXPECT_EQ(typed.state(), TaskState::kWaiting);
    reschedule(typed, Outcome<int>::value(1));
    Task& untyped = parked(nursery, [] { wait_task_rescheduled(kNeverAborted); });
    EXPECT_THROW(reschedule(untyped, Outcome<int>::value(2)), UsageError);
    reschedule(untyped);
    Task& empty = parked(
        nursery, [] { EXPECT_THROW(wait_task_rescheduled<int>(kNeverAborted), UsageError); });
    reschedule(empty);
  });
}

FIBER_TEST(LowlevelTest, ASecondRescheduleIsRefused) {
  open_nursery([](Nursery& nursery) {
    Task& task = parked(nursery, [] { EXPECT_EQ(wait_task_rescheduled<int>(kNeverAborted), 1); });
    reschedule(task, Outcome<int>::value(1));
    EXPECT_THROW(reschedule(task), UsageError);
    EXPECT_THROW(reschedule(task, Outcome<int>::value(2)), UsageError);
    EXPECT_THROW(reschedule(task, std::make_exception_ptr(1)), UsageError);
    EXPECT_THROW(reschedule(current_task()), UsageError);
  });
}

// A value that comes after the wait was cancelled must not reach into its frame, which is gone.
FIBER_TEST(LowlevelTest, AValueAfterACancelIsRefused) {
  CancelScope scope;
  open_nursery([&](Nursery& nursery) {
    Task& task = parked(nursery, [&scope] {
      scope.run([] { wait_task_rescheduled<std::string>(kAbort); });
      wait_task_rescheduled(kNeverAborted);
    });
    scope.cancel();
    const auto late = [&] { reschedule(task, Outcome<std::string>::value(std::string(100, 'x'))); };
    EXPECT_THROW(late(), UsageError);
    wait_all_tasks_blocked();
    EXPECT_THROW(late(), UsageError);
    reschedule(task);
  });
  EXPECT_TRUE(scope.cancelled_caught());
}

TEST(LowlevelTest, RescheduleFromAnotherThreadIsRefused) {
  testing::run_fiber_test([] {
    open_nursery([](Nursery& nursery) {
      Task& task = parked(nursery, [] { EXPECT_EQ(wait_task_rescheduled<int>(kNeverAborted), 1); });
      std::thread([&task] {
        EXPECT_THROW(reschedule(task), UsageError);
        EXPECT_THROW(reschedule(task, Outcome<int>::value(2)), UsageError);
      }).join();
      reschedule(task, Outcome<int>::value(1));
    });
  });
}

// trio: test_run.py::test_failed_abort
FIBER_TEST(LowlevelTest, AFailedAbortLeavesTheWaitToItsEnd) {
  WEFT_NOT_SWEPT("a wait that refuses to be cancelled has nobody left to end it");
  int aborts = 0;
  CancelScope scope;
  open_nursery([&](Nursery& nursery) {
    Task& task = parked(nursery, [&] {
      EXPECT_FALSE(scope.run([&] {
        EXPECT_EQ(wait_task_rescheduled<int>([&](const RaiseCancel&) {
                    ++aborts;
                    return Abort::kFailed;
                  }),
                  1);
        checkpoint();  // Now.
        ADD_FAILURE() << "the cancellation was lost";
      }));
    });
    scope.cancel();
    EXPECT_EQ(aborts, 1);
    wait_all_tasks_blocked();
    EXPECT_EQ(task.state(), TaskState::kWaiting);
    reschedule(task, Outcome<int>::value(1));
  });
  EXPECT_EQ(aborts, 1);
}

// trio: test_run.py::test_slow_abort_basic
FIBER_TEST(LowlevelTest, RaiseCancelMayBeKeptAndRaisedLater) {
  WEFT_NOT_SWEPT("a wait that refuses to be cancelled has nobody left to end it");
  std::optional<RaiseCancel> raise;
  CancelScope scope;
  open_nursery([&](Nursery& nursery) {
    Task& task = parked(nursery, [&] {
      EXPECT_FALSE(scope.run([&] {
        wait_task_rescheduled([&](const RaiseCancel& r) {
          raise = r;
          return Abort::kFailed;
        });
      }));
    });
    scope.cancel("kept");
    ASSERT_TRUE(raise);
    try {
      (*raise)();
    } catch (const Cancelled& c) {
      EXPECT_EQ(c.reason(), "kept");
    }
    reschedule(task, raise->as_exception());
  });
  EXPECT_TRUE(scope.cancelled_caught());
}

FIBER_TEST(LowlevelTest, ACancelledTaskIsAskedToAbortBeforeItSuspends) {
  CancelScope scope;
  bool aborted = false;
  EXPECT_FALSE(scope.run([&] {
    scope.cancel();
    wait_task_rescheduled([&](const RaiseCancel&) {
      aborted = true;
      return Abort::kSucceeded;
    });
  }));
  EXPECT_TRUE(aborted);
}

// An abort function may finish the wait itself.
FIBER_TEST(LowlevelTest, AnAbortFunctionMayReschedule) {
  CancelScope scope;
  bool returned = false;
  scope.run([&] {
    scope.cancel();
    Task& me = current_task();
    wait_task_rescheduled([&me](const RaiseCancel&) {
      reschedule(me);
      return Abort::kFailed;
    });
    returned = true;
    EXPECT_THROW(checkpoint(), Cancelled);
    checkpoint();
  });
  EXPECT_TRUE(returned);
}

// trio: test_run.py::test_cancel_points
// Trio: "every waiting function is always a checkpoint"
FIBER_TEST(LowlevelTest, CheckpointsCountAsWhatTheyAre) {
  testing::assert_checkpoints([] { checkpoint(); });
  const CheckpointCounts before = checkpoint_counts();
  checkpoint_if_cancelled();
  EXPECT_EQ(checkpoint_counts().schedule_points, before.schedule_points);
  EXPECT_EQ(checkpoint_counts().cancel_points, before.cancel_points + 1);
  cancel_shielded_checkpoint();
  EXPECT_EQ(checkpoint_counts().schedule_points, before.schedule_points + 1);
  EXPECT_EQ(checkpoint_counts().cancel_points, before.cancel_points + 1);
  sleep(seconds(1));
  EXPECT_EQ(checkpoint_counts().schedule_points, before.schedule_points + 2);
  EXPECT_EQ(checkpoint_counts().cancel_points, before.cancel_points + 2);
}

// trio: test_run.py::test_cancel_points
FIBER_TEST(LowlevelTest, OnlyTheShieldedHalfIsNoCancelPoint) {
  CancelScope scope;
  EXPECT_FALSE(scope.run([&] {
    scope.cancel();
    cancel_shielded_checkpoint();
    checkpoint_if_cancelled();
    ADD_FAILURE() << "not cancelled";
  }));
}

FIBER_TEST(LowlevelTest, ACancelledCheckpointLetsOthersRunFirst) {
  WEFT_NOT_SHUFFLED("the other one has to be the next");
  for (auto* point : {&checkpoint, &checkpoint_if_cancelled}) {
    bool other_ran = false;
    CancelScope scope;
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] { other_ran = true; });
      scope.run([&] {
        scope.cancel();
        point();
      });
      EXPECT_TRUE(other_ran);
    });
    EXPECT_TRUE(scope.cancelled_caught());
  }
}

// trio: test_run.py::test_basic_interleave
// What becomes ready in a turn runs in the next.
FIBER_TEST(LowlevelTest, CheckpointsTakeTurns) {
  WEFT_NOT_SHUFFLED("this is the usual order");
  std::vector<int> order;
  open_nursery([&](Nursery& nursery) {
    for (int i = 0; i < 3; ++i) {
      nursery.start_soon([&order, i] {
        for (int step = 0; step < 4; ++step) {
          order.push_back(i);
          checkpoint();
        }
      });
    }
  });
  EXPECT_THAT(order, ElementsAre(0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2));
}

TEST(LowlevelTest, CheckpointsTakeTurnsUnderTheRealClockToo) {
  std::vector<int> steps(10);
  run([&steps] {
    open_nursery([&steps](Nursery& nursery) {
      for (int& mine : steps) {
        nursery.start_soon([&steps, &mine] {
          for (int step = 0; step < 2000; ++step) {
            ++mine;
            for (const int other : steps) ASSERT_LE(std::abs(other - mine), 1);
            checkpoint();
          }
        });
      }
    });
  });
  EXPECT_THAT(steps, Each(2000));
}

struct CountingHook : ParkHook {
  CountingHook() {
    about_to_park = [](ParkHook& hook) { ++static_cast<CountingHook&>(hook).calls; };
  }
  int calls = 0;
};

FIBER_TEST(LowlevelTest, TheParkHookIsCalledBeforeEachSuspension) {
  CountingHook hook;
  EXPECT_EQ(set_park_hook(&hook), nullptr);
  checkpoint();
  EXPECT_EQ(hook.calls, 1);
  checkpoint_if_cancelled();
  EXPECT_EQ(hook.calls, 1);
  cancel_shielded_checkpoint();
  sleep(seconds(1));
  EXPECT_EQ(hook.calls, 3);
  open_nursery([](Nursery& nursery) {
    nursery.start_soon([] { checkpoint(); });  // Another task's suspensions do not count.
  });
  EXPECT_EQ(hook.calls, 4);
  EXPECT_EQ(set_park_hook(nullptr), &hook);
  checkpoint();
  EXPECT_EQ(hook.calls, 4);
}

FIBER_TEST(LowlevelTest, TheParkHookMayTakeItselfOff) {
  static int calls;
  calls = 0;
  ParkHook hook{[](ParkHook&) {
    ++calls;
    set_park_hook(nullptr);
  }};
  set_park_hook(&hook);
  checkpoint();
  checkpoint();
  EXPECT_EQ(calls, 1);
}

struct CancellingHook : ParkHook {
  explicit CancellingHook(CancelScope& s) : scope(s) {
    about_to_park = [](ParkHook& hook) { static_cast<CancellingHook&>(hook).scope.cancel(); };
  }
  CancelScope& scope;
};

FIBER_TEST(LowlevelTest, ACancelByTheParkHookReachesTheWaitThatIsAboutToBegin) {
  CancelScope scope;
  CancellingHook hook(scope);
  EXPECT_FALSE(scope.run([&] {
    set_park_hook(&hook);
    sleep(seconds(1000));
    ADD_FAILURE() << "the cancellation was lost";
  }));
  set_park_hook(nullptr);
  EXPECT_TRUE(scope.cancelled_caught());
}

FIBER_TEST(LowlevelTest, AWaitSaysWhatItWaitsFor) {
  open_nursery([](Nursery& nursery) {
    Task& plain = parked(nursery, [] { wait_task_rescheduled(kNeverAborted); });
    EXPECT_EQ(plain.waiting_for(), "wait_task_rescheduled");
    reschedule(plain);
    Task& named = parked(nursery, [] { wait_task_rescheduled(kNeverAborted, {"the bus", 42}); });
    EXPECT_EQ(named.waiting_for(), "the bus 42");
    reschedule(named);
    EXPECT_EQ(current_task().waiting_for(), "");
  });
}

// trio: test_run.py::test_Task_custom_sleep_data
FIBER_TEST(LowlevelTest, WhatAWaitSaysIsGoneWithIt) {
  open_nursery([](Nursery& nursery) {
    Task& task = parked(nursery, [] {
      wait_task_rescheduled(kNeverAborted, {"the bus", 42});
      wait_task_rescheduled(kNeverAborted);
    });
    EXPECT_EQ(task.waiting_for(), "the bus 42");
    reschedule(task);
    EXPECT_EQ(task.waiting_for(), "");
    wait_all_tasks_blocked();
    EXPECT_EQ(task.waiting_for(), "wait_task_rescheduled");
    reschedule(task);
  });
}

template <class AbortFn>
constexpr bool kMayAbort = requires(AbortFn abort) {
  wait_task_rescheduled(abort);
};

// trio: test_run.py::test_broken_abort
static_assert(kMayAbort<decltype(kAbort)>);
static_assert(!kMayAbort<decltype([](const RaiseCancel&) {})>);
static_assert(!kMayAbort<decltype([] { return Abort::kSucceeded; })>);

// trio: test_run.py::test_trio_context_detection
// The scheduler's own callbacks are no tasks, but this one is called by a task.
FIBER_TEST(LowlevelTest, AnAbortFunctionCalledFromATaskIsInThatTask) {
  WEFT_NOT_SWEPT("the abort function asks who cancels, which may be nobody");
  CancelScope scope;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      scope.run([] {
        wait_task_rescheduled([](const RaiseCancel&) {
          EXPECT_TRUE(in_trio_run());
          EXPECT_TRUE(in_trio_task());
          EXPECT_EQ(current_task().name(), "main");
          return Abort::kSucceeded;
        });
      });
    });
    wait_all_tasks_blocked();
    scope.cancel();
  });
}

}  // namespace
}  // namespace weft::fibers
