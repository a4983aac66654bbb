// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Failures that a run cannot go on with, and those that it can.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <exception>
#include <stdexcept>
#include <string>

#include "tests/support/captured_log.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/run.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

using std::chrono::seconds;
using ::testing::HasSubstr;
using testing::wait_all_tasks_blocked;

// trio: test_run.py::test_system_task_crash
TEST(RunCrashTest, ACrashOfASystemTaskEndsTheRunWithItsCause) {
  bool main_cancelled = false;
  try {
    run([&] {
      spawn_system_task([] { throw std::runtime_error("the cause"); });
      try {
        sleep_forever();
      } catch (const Cancelled&) {
        main_cancelled = true;
        throw;
      }
    });
    ADD_FAILURE() << "the crash was lost";
  } catch (const InternalError& e) {
    try {
      std::rethrow_if_nested(e);
      ADD_FAILURE() << "the cause was lost";
    } catch (const BaseExceptionGroup& group) {
      EXPECT_THAT(group.describe(), HasSubstr("the cause"));
    }
  }
  EXPECT_TRUE(main_cancelled);
}

// trio: test_run.py::test_system_task_crash_plus_Cancelled
// Of the tasks cut short nothing is said.
TEST(RunCrashTest, CancelledIsFilteredOutOfTheCause) {
  try {
    run([] {
      spawn_system_task([] {
        try {
          sleep_forever();
        } catch (const Cancelled&) {
          throw std::runtime_error("while ending");
        }
      });
      spawn_system_task([] { sleep_forever(); });
      spawn_system_task([] { throw std::runtime_error("the cause"); });
      sleep_forever();
    });
    ADD_FAILURE() << "the crash was lost";
  } catch (const InternalError& e) {
    try {
      std::rethrow_if_nested(e);
    } catch (const ExceptionGroup& group) {
      const std::string text = group.describe();
      EXPECT_THAT(text, HasSubstr("the cause"));
      EXPECT_THAT(text, HasSubstr("while ending"));
      EXPECT_EQ(text.find("Cancelled"), std::string::npos) << text;
    }
  }
}

// trio: test_run.py::test_system_task_crash_ExceptionGroup
TEST(RunCrashTest, TheCauseOfACrashIsNestedAsItsNurseriesWere) {
  try {
    run([] {
      spawn_system_task([] {
        open_nursery([](Nursery& own) {
          own.start_soon([] { throw std::out_of_range("key"); });
          own.start_soon([] { throw std::invalid_argument("value"); });
        });
      });
      sleep_forever();
    });
    ADD_FAILURE() << "the crash was lost";
  } catch (const InternalError& crash) {
    try {
      std::rethrow_if_nested(crash);
      ADD_FAILURE() << "the cause was lost";
    } catch (const ExceptionGroup& system) {
      ASSERT_EQ(system.exceptions().size(), 1U);
      try {
        std::rethrow_exception(system.exceptions().front());
      } catch (const ExceptionGroup& own) {
        ASSERT_EQ(own.exceptions().size(), 2U);
        EXPECT_TRUE(holds<std::out_of_range>(own.exceptions()[0]));
        EXPECT_TRUE(holds<std::invalid_argument>(own.exceptions()[1]));
      }
    }
  }
}

// trio: test_run.py::test_system_task_crash_KeyboardInterrupt
TEST(RunCrashTest, AnInterruptThrownByASystemTaskIsACrashToo) {
  try {
    run([] {
      spawn_system_task([] { throw KeyboardInterrupt(); });
      sleep_forever();
    });
    ADD_FAILURE() << "the crash was lost";
  } catch (const InternalError& crash) {
    try {
      std::rethrow_if_nested(crash);
      ADD_FAILURE() << "the cause was lost";
    } catch (const BaseExceptionGroup& system) {
      ASSERT_EQ(system.exceptions().size(), 1U);
      EXPECT_TRUE(holds<KeyboardInterrupt>(system.exceptions().front()));
    }
  }
}

// trio: test_run.py::test_error_in_run_loop
TEST(RunCrashTest, WhatTheRunItselfCannotDoIsACrash) {
  struct FailingClock : Clock {
    Instant current_time() override { return {}; }
    Duration deadline_to_sleep_time(Instant) override {
      throw std::runtime_error("the clock has stopped");
    }
  };
  FailingClock clock;
  bool cancelled = false;
  try {
    run(
        [&] {
          try {
            sleep(seconds(1));
          } catch (const Cancelled&) {
            cancelled = true;
            throw;
          }
        },
        {.clock = &clock});
    ADD_FAILURE() << "nobody was told";
  } catch (const InternalError& error) {
    EXPECT_THAT(error.what(), HasSubstr("the clock has stopped"));
    EXPECT_THROW(std::rethrow_if_nested(error), std::runtime_error);
  }
  EXPECT_TRUE(cancelled);
}

// trio: test_run.py::test_task_crash_propagation
TEST(RunCrashTest, ACrashOfOneTaskEndsTheOthersAndComesOutOfRun) {
  const test::CapturedLog log;  // The other one swallows its Cancelled, which is reported.
  bool cancelled = false;
  try {
    run([&] {
      open_nursery([&](Nursery& nursery) {
        nursery.start_soon([&] {
          try {
            for (;;) checkpoint();
          } catch (const Cancelled&) {
            cancelled = true;
          }
        });
        nursery.start_soon([] { throw std::runtime_error("argh"); });
      });
    });
    ADD_FAILURE() << "the crash was lost";
  } catch (const ExceptionGroup& group) {
    ASSERT_EQ(group.exceptions().size(), 1U);
    EXPECT_TRUE(holds<std::runtime_error>(group.exceptions().front()));
  }
  EXPECT_TRUE(cancelled);
}

TEST(RunCrashTest, ASystemTaskThatMainEndsMayStillFail) {
  EXPECT_THROW(run([] {
                 spawn_system_task([] {
                   try {
                     sleep_forever();
                   } catch (const Cancelled&) {
                     throw std::runtime_error("late");
                   }
                 });
                 wait_all_tasks_blocked();
               }),
               InternalError);
}

}  // namespace
}  // namespace weft::fibers
