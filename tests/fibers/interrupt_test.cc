// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Ctrl-C. The tests run on the main thread of the process, with SIGINT at its default.

#include "fibers/core/interrupt.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/fibers/timeouts.h"
#include "weft/fibers/token.h"

namespace weft::fibers {
namespace {

using std::chrono::seconds;
using testing::wait_all_tasks_blocked;

using Handler = void (*)(int);

Handler sigint_handler() {
  struct sigaction action {};
  ::sigaction(SIGINT, nullptr, &action);
  return action.sa_handler;
}

// trio: test_ki.py::test_ki_enabled
// trio: test_ki.py::test_ki_self
FIBER_TEST(InterruptTest, ReachesMainAtItsNextWait) {
  bool went_on = false;
  try {
    std::raise(SIGINT);
    went_on = true;  // C++ cannot throw out of a signal handler.
    checkpoint();
    ADD_FAILURE() << "no KeyboardInterrupt";
  } catch (const KeyboardInterrupt&) {
  }
  EXPECT_TRUE(went_on);
}

// trio: test_ki.py::test_ki_protection_works
FIBER_TEST(InterruptTest, WakesMainWhenItWaits) {
  open_nursery([](Nursery& nursery) {
    nursery.start_soon([] {
      wait_all_tasks_blocked();
      std::raise(SIGINT);
    });
    EXPECT_THROW(sleep_forever(), KeyboardInterrupt);
  });
}

// trio: test_ki.py::test_ki_protection_works
// It is an edge.
FIBER_TEST(InterruptTest, ComesOnce) {
  std::raise(SIGINT);
  std::raise(SIGINT);
  EXPECT_THROW(checkpoint(), KeyboardInterrupt);
  for (int i = 0; i < 3; ++i) checkpoint();
  sleep(seconds(1));
  std::raise(SIGINT);
  EXPECT_THROW(sleep(seconds(1)), KeyboardInterrupt);
  sleep(seconds(1));
}

FIBER_TEST(InterruptTest, ShieldsDoNotStopItAndScopesDoNotCatchIt) {
  CancelScope scope;
  CancelScope shield({.shield = true});
  EXPECT_THROW(scope.run([&] {
    shield.run([] {
      std::raise(SIGINT);
      sleep(seconds(1));
    });
  }),
               KeyboardInterrupt);
  EXPECT_FALSE(scope.cancelled_caught());
  EXPECT_FALSE(shield.cancelled_caught());
}

// trio: test_ki.py::test_ki_protection_works
FIBER_TEST(InterruptTest, GoesBeforeACancellation) {
  CancelScope scope;
  scope.run([&scope] {
    scope.cancel();
    std::raise(SIGINT);
    EXPECT_THROW(checkpoint(), KeyboardInterrupt);
    std::raise(SIGINT);
    EXPECT_THROW(checkpoint_if_cancelled(), KeyboardInterrupt);
    std::raise(SIGINT);
    cancel_shielded_checkpoint();
    EXPECT_THROW(sleep_forever(), KeyboardInterrupt);
    sleep_forever();
  });
  EXPECT_TRUE(scope.cancelled_caught());
}

// trio: test_threads.py::test_run_in_trio_thread_ki
FIBER_TEST(InterruptTest, AWaitThatCannotBeAbortedLeavesItToTheNext) {
  WEFT_NOT_SWEPT("a wait that refuses to be cancelled has nobody left to end it");
  WEFT_NOT_ALLOCATION_SWEPT("nobody else ends its wait");
  Task& main = current_task();
  bool refused = false;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      std::raise(SIGINT);
      wait_all_tasks_blocked();
      reschedule(main);
    });
    wait_task_rescheduled([&](const RaiseCancel&) {
      refused = true;
      return Abort::kFailed;
    });
    EXPECT_TRUE(refused);
    EXPECT_THROW(sleep(seconds(1)), KeyboardInterrupt);
    checkpoint();
  });
}

FIBER_TEST(InterruptTest, WhoHasKeptItMayThrowItLaterAndItComesOnce) {
  WEFT_NOT_SWEPT("a wait that refuses to be cancelled has nobody left to end it");
  WEFT_NOT_ALLOCATION_SWEPT("nobody else ends its wait");
  Task& main = current_task();
  std::optional<RaiseCancel> kept;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      std::raise(SIGINT);
      wait_all_tasks_blocked();
      reschedule(main);
    });
    wait_task_rescheduled([&](const RaiseCancel& raise) {
      kept = raise;
      return Abort::kFailed;
    });
    EXPECT_THROW((*kept)(), KeyboardInterrupt);
    checkpoint();
    sleep(seconds(1));
  });
}

FIBER_TEST(InterruptTest, ReachesNoOtherTask) {
  bool finished = false;
  try {
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] {
        CancelScope shield({.shield = true});
        shield.run([&] {
          std::raise(SIGINT);
          for (int i = 0; i < 5; ++i) checkpoint();
          finished = true;
        });
      });
    });
    ADD_FAILURE() << "main was not interrupted";
  } catch (const BaseExceptionGroup& group) {
    // It arrived in the wait at the end of the nursery, which keeps it. (Trio does the same.)
    ASSERT_EQ(group.exceptions().size(), 1U);
    EXPECT_TRUE(holds<KeyboardInterrupt>(group.exceptions()[0]));
  }
  EXPECT_TRUE(finished);
}

// trio: test_cancelled.py::test_reason_delayed_ki
FIBER_TEST(InterruptTest, WhatItEndsIsToldThatItWasIt) {
  std::vector<std::string> told;
  const auto listen = [&told] {
    try {
      for (;;) checkpoint();
    } catch (const Cancelled& cancelled) {
      told.push_back(cancelled.what());
      throw;
    }
  };
  try {
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon(listen);
      nursery.start_soon(listen);
      nursery.start_soon([] { std::raise(SIGINT); });
    });
    ADD_FAILURE() << "main was not interrupted";
  } catch (const BaseExceptionGroup& group) {
    ASSERT_EQ(group.exceptions().size(), 1U);
    EXPECT_TRUE(holds<KeyboardInterrupt>(group.exceptions().front()));
  }
  EXPECT_EQ(told,
            std::vector<std::string>(2, "cancelled due to KeyboardInterrupt from task 'main'"));
}

// trio: test_ki.py::test_ki_enabled_after_yield_briefly
FIBER_TEST(InterruptTest, WhoMayGetItDoesNotChangeByWaiting) {
  open_nursery([](Nursery& nursery) {
    nursery.start_soon([] {
      checkpoint();
      checkpoint();
      std::raise(SIGINT);
      checkpoint();
      checkpoint();
    });
    checkpoint();
    EXPECT_THROW(sleep_forever(), KeyboardInterrupt);
    checkpoint();
    std::raise(SIGINT);
    EXPECT_THROW(checkpoint(), KeyboardInterrupt);
  });
}

// trio: test_ki.py::test_ki_protection_works
// Main has ended already.
TEST(InterruptTest, ComesOutOfRunWhenMainWaitsNoMore) {
  EXPECT_THROW(run([] { std::raise(SIGINT); }), KeyboardInterrupt);
  bool system_task_ended = false;
  EXPECT_THROW(run([&] {
                 spawn_system_task([&] {
                   try {
                     sleep_forever();
                   } catch (const Cancelled&) {
                     std::raise(SIGINT);
                     cancel_shielded_checkpoint();
                     system_task_ended = true;
                     throw;
                   }
                 });
                 wait_all_tasks_blocked();
               }),
               KeyboardInterrupt);
  EXPECT_TRUE(system_task_ended);
  EXPECT_THROW(run([] { current_token().run_sync_soon([] { std::raise(SIGINT); }); }),
               KeyboardInterrupt);
}

TEST(InterruptTest, WakesARunThatSleepsInTheKernel) {
  EXPECT_THROW(run([] {
                 std::thread other([] { ::kill(::getpid(), SIGINT); });
                 other.join();
                 sleep(seconds(100));
               }),
               KeyboardInterrupt);
}

// trio: test_ki.py::test_ki_is_good_neighbor
TEST(InterruptTest, TheHandlerIsThereDuringARunOnlyAndIsGivenBack) {
  ASSERT_EQ(sigint_handler(), SIG_DFL);
  run([] { EXPECT_NE(sigint_handler(), SIG_DFL); });
  EXPECT_EQ(sigint_handler(), SIG_DFL);
  EXPECT_THROW(run([] { throw std::runtime_error("x"); }), std::runtime_error);
  EXPECT_EQ(sigint_handler(), SIG_DFL);
}

void someone_elses(int /*signal*/) {}

// trio: test_ki.py::test_ki_is_good_neighbor
TEST(InterruptTest, AnotherHandlerIsLeftAlone) {
  ::signal(SIGINT, &someone_elses);
  run([] {
    EXPECT_EQ(sigint_handler(), &someone_elses);
    std::raise(SIGINT);
    checkpoint();
  });
  EXPECT_EQ(sigint_handler(), &someone_elses);
  ::signal(SIGINT, SIG_DFL);
  run([] { ::signal(SIGINT, &someone_elses); });  // Installed meanwhile: not ours to take off.
  EXPECT_EQ(sigint_handler(), &someone_elses);
  ::signal(SIGINT, SIG_IGN);
  run([] { EXPECT_EQ(sigint_handler(), SIG_IGN); });
  ::signal(SIGINT, SIG_DFL);
}

// trio: test_ki.py::test_ki_disabled_out_of_context
// trio: test_util.py::test_is_main_thread
TEST(InterruptTest, IsForTheMainThreadAndCanBeDeclined) {
  std::thread([] { run([] { EXPECT_EQ(sigint_handler(), SIG_DFL); }); }).join();
  run([] { EXPECT_EQ(sigint_handler(), SIG_DFL); }, {.handle_interrupt = false});
}

TEST(InterruptDeathTest, WithoutARunSigintKillsAsEver) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        run([] { checkpoint(); });
        std::raise(SIGINT);
      },
      ::testing::KilledBySignal(SIGINT), "");
  EXPECT_EXIT(run([] { std::raise(SIGINT); }, {.handle_interrupt = false}),
              ::testing::KilledBySignal(SIGINT), "");
}

}  // namespace
}  // namespace weft::fibers
