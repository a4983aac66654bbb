// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Waits in destructors. Around one that runs because of an exception nothing may be thrown, so what
// comes from outside has to wait until the unwinding is over; a deadline opened inside works.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <exception>
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/captured_log.h"
#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/event.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/sequencer.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Runs a function when it is destroyed.
class AtExit {
 public:
  explicit AtExit(std::function<void()> fn) : fn_(std::move(fn)) {}
  AtExit(const AtExit&) = delete;
  AtExit& operator=(const AtExit&) = delete;
  ~AtExit() { fn_(); }

 private:
  std::function<void()> fn_;
};

FIBER_TEST(CancelUnwindingTest, AWaitInADestructorIsHeldBackFromTheCancellationThatUnwinds) {
  const Instant start = current_time();
  bool cleaned_up = false;
  CancelScope scope;
  EXPECT_FALSE(scope.run([&] {
    const AtExit cleanup([&] {
      checkpoint();
      checkpoint_if_cancelled();
      sleep(seconds(2));
      cleaned_up = true;
    });
    scope.cancel();
    checkpoint();
  }));
  EXPECT_TRUE(cleaned_up);
  EXPECT_EQ(current_time(), start + seconds(2));
  EXPECT_TRUE(scope.cancelled_caught());
}

FIBER_TEST(CancelUnwindingTest, ACancelThatArrivesDuringTheUnwindingIsHeldBackUntilItIsOver) {
  WEFT_NOT_ALLOCATION_SWEPT("a destructor of its own allocates");
  CancelScope scope;
  std::vector<std::string> happened;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      scope.run([&] {
        try {
          const AtExit cleanup([&] {
            sleep(seconds(2));
            happened.emplace_back("cleaned up");
          });
          throw std::runtime_error("x");
        } catch (const std::runtime_error&) {
          happened.emplace_back("caught");
        }
        checkpoint();
        happened.emplace_back("went on");
      });
    });
    sleep(seconds(1));
    scope.cancel();
  });
  EXPECT_THAT(happened, ElementsAre("cleaned up", "caught"));
  EXPECT_TRUE(scope.cancelled_caught());
}

FIBER_TEST(CancelUnwindingTest, ADeadlineInsideTheDestructorWorks) {
  const Instant start = current_time();
  bool timed_out = false;
  CancelScope scope;
  scope.run([&] {
    const AtExit cleanup([&] {
      timed_out = !move_on_after(seconds(3), [] { sleep(seconds(60)); });
      EXPECT_THROW(fail_after(seconds(1), [] { sleep_forever(); }), TooSlowError);
    });
    scope.cancel();
    checkpoint();
  });
  EXPECT_TRUE(timed_out);
  EXPECT_EQ(current_time(), start + seconds(4));
  EXPECT_TRUE(scope.cancelled_caught());
}

FIBER_TEST(CancelUnwindingTest, ScopesNestInsideTheDestructorAsElsewhere) {
  CancelScope outside;
  outside.run([&] {
    const AtExit cleanup([&] {
      CancelScope outer;
      EXPECT_FALSE(outer.run([&] {
        CancelScope inner;
        inner.run([&] {
          outer.cancel();
          checkpoint();
        });
        ADD_FAILURE() << "the inner scope caught the outer one's";
      }));
      EXPECT_TRUE(outer.cancelled_caught());
      checkpoint();
    });
    outside.cancel();
    checkpoint();
  });
  EXPECT_TRUE(outside.cancelled_caught());
}

FIBER_TEST(CancelUnwindingTest, ANurseryInTheDestructorIsNotReachedFromOutside) {
  int done = 0;
  CancelScope scope;
  scope.run([&] {
    const AtExit cleanup([&] {
      open_nursery([&](Nursery& nursery) {
        for (int i = 0; i < 3; ++i) {
          nursery.start_soon([&done] {
            sleep(seconds(1));
            ++done;
          });
        }
      });
    });
    scope.cancel();
    checkpoint();
  });
  EXPECT_EQ(done, 3);
}

FIBER_TEST(CancelUnwindingTest, ADestructorWithoutAnExceptionIsCancelledAsAnyCode) {
  test::CapturedLog log;
  CancelScope scope;
  bool cancelled = false;
  scope.run([&] {
    scope.cancel();
    const AtExit cleanup([&] {
      EXPECT_EQ(std::uncaught_exceptions(), 0);
      try {
        checkpoint();
      } catch (const Cancelled&) {
        cancelled = true;
      }
    });
  });
  EXPECT_TRUE(cancelled);
}

FIBER_TEST(CancelUnwindingTest, AHandlerIsNoUnwindingAndIsCancelled) {
  CancelScope scope;
  EXPECT_FALSE(scope.run([&] {
    try {
      throw std::runtime_error("x");
    } catch (const std::runtime_error&) {
      scope.cancel();
      checkpoint();
      ADD_FAILURE() << "a wait in a handler was held back";
    }
  }));
}

// A scope opened in a destructor and cancelled from there, while an exception is in flight around
// it.
FIBER_TEST(CancelUnwindingTest, ThePartsThatUnwindTwiceDeepAreHeldBackToo) {
  WEFT_NOT_ALLOCATION_SWEPT("a destructor of its own allocates");
  std::vector<std::string> happened;
  CancelScope outside;
  outside.run([&] {
    const AtExit first([&] {
      CancelScope inside;
      inside.run([&] {
        const AtExit second([&] {
          sleep(seconds(1));
          happened.emplace_back("second");
        });
        inside.cancel();
        checkpoint();
      });
      EXPECT_TRUE(inside.cancelled_caught());
      sleep(seconds(1));
      happened.emplace_back("first");
    });
    outside.cancel();
    checkpoint();
  });
  EXPECT_THAT(happened, ElementsAre("second", "first"));
}

FIBER_TEST(CancelUnwindingTest, AHeldBackWaitOverFiveSecondsIsReported) {
  test::CapturedLog log;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon(
        [] {
          CancelScope scope;
          scope.run([&] {
            const AtExit cleanup([] { sleep(seconds(6)); });
            scope.cancel();
            checkpoint();
          });
        },
        {.name = "slow cleaner"});
  });
  ASSERT_EQ(log.lines.size(), 1U);
  EXPECT_THAT(log.lines[0], HasSubstr("slow cleaner"));
  EXPECT_THAT(log.lines[0], HasSubstr("sleep"));
  EXPECT_THAT(log.lines[0], HasSubstr("5 s"));
}

FIBER_TEST(CancelUnwindingTest, ShortOrUncancelledWaitsAreNotReported) {
  test::CapturedLog log;
  CancelScope scope;
  scope.run([&] {
    const AtExit cleanup([] { sleep(seconds(4)); });
    scope.cancel();
    checkpoint();
  });
  try {
    const AtExit cleanup([] { sleep(seconds(60)); });
    throw std::runtime_error("x");
  } catch (const std::runtime_error&) {
  }
  EXPECT_THAT(log.lines, IsEmpty());
}

// A wait that goes on without being cancelled must not keep a dead run alive: the clock would jump
// from warning to warning for ever.
TEST(CancelUnwindingDeathTest, ADeadlockInADestructorIsFound) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(testing::run_fiber_test([] {
                 try {
                   const AtExit cleanup([] {
                     Event never;
                     never.wait();
                   });
                   throw std::runtime_error("x");
                 } catch (const std::runtime_error&) {
                 }
               }),
               "nothing in this run can ever happen again");
}

// KeyboardInterrupt must not leave a destructor during unwinding either.
// trio: test_ki.py::test_ki_disabled_in_del
FIBER_TEST(CancelUnwindingTest, CtrlCIsHeldBackUntilTheUnwindingIsOver) {
  bool cleaned_up = false;
  bool caught = false;
  bool interrupted = false;
  try {
    try {
      const AtExit cleanup([&] {
        std::raise(SIGINT);
        sleep(seconds(1));
        checkpoint();
        checkpoint_if_cancelled();
        cleaned_up = true;
      });
      throw std::runtime_error("x");
    } catch (const std::runtime_error&) {
      caught = true;
    }
    checkpoint();
  } catch (const KeyboardInterrupt&) {
    interrupted = true;
  }
  EXPECT_TRUE(cleaned_up);
  EXPECT_TRUE(caught);
  EXPECT_TRUE(interrupted);
}

// The language's own view stays the task's own across a wait in a destructor, in a catch block and
// in both. (tests/stress has a million random orders of these.)
FIBER_TEST(CancelUnwindingTest, EachTaskKeepsItsOwnExceptions) {
  open_nursery([](Nursery& nursery) {
    for (int i = 0; i < 5; ++i) {
      nursery.start_soon([i] {
        try {
          const AtExit cleanup([] {
            EXPECT_EQ(std::uncaught_exceptions(), 1);
            sleep(seconds(1));
            EXPECT_EQ(std::uncaught_exceptions(), 1);
          });
          throw i;
        } catch (const int& mine) {
          for (int waits = 0; waits <= i; ++waits) sleep(seconds(1));
          EXPECT_EQ(mine, i);
          EXPECT_EQ(std::uncaught_exceptions(), 0);
          try {
            throw;
          } catch (int again) {
            EXPECT_EQ(again, i);
          }
        }
        EXPECT_EQ(std::current_exception(), nullptr);
      });
    }
  });
}

// trio: test_run.py::test_exc_info
FIBER_TEST(CancelUnwindingTest, TasksThatSleepInTheirHandlersDoNotRethrowEachOthersErrors) {
  std::vector<std::string> rethrown;
  testing::Sequencer sequencer;
  const auto sleep_in_handler = [&](int position, const char* name) {
    sequencer.seq(position, [] {});
    EXPECT_EQ(std::current_exception(), nullptr);
    try {
      try {
        throw std::runtime_error(name);
      } catch (const std::runtime_error&) {
        sequencer.seq(position + 2, [] {});
        throw;
      }
    } catch (const std::runtime_error& error) {
      EXPECT_STREQ(error.what(), name);
      rethrown.emplace_back(error.what());
    }
  };
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { sleep_in_handler(0, "first"); });
    nursery.start_soon([&] { sleep_in_handler(1, "second"); });
  });
  EXPECT_EQ(rethrown, (std::vector<std::string>{"first", "second"}));
}

// The error that a task goes on with in its handler after its wait there has been ended by another
// one, which it swallows.
std::exception_ptr error_after_a_failed_wait(const std::function<void()>& wait) {
  std::exception_ptr left;
  Task* task = nullptr;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      task = &current_task();
      try {
        try {
          throw std::out_of_range("mine");
        } catch (const std::out_of_range&) {
          wait();
          throw;
        }
      } catch (...) {
        left = std::current_exception();
      }
    });
    testing::wait_all_tasks_blocked();
    reschedule(*task, std::make_exception_ptr(std::invalid_argument("the wait's")));
  });
  return left;
}

// trio: test_run.py::test_exc_info_after_throw_suppressed
FIBER_TEST(CancelUnwindingTest, AHandlerGoesOnWithItsOwnErrorAfterAWaitThatFailed) {
  WEFT_NOT_SWEPT("a wait that refuses to be cancelled has nobody left to end it");
  WEFT_NOT_ALLOCATION_SWEPT("nobody wakes its task then");
  const auto left = error_after_a_failed_wait([] {
    try {
      wait_task_rescheduled([](const RaiseCancel&) { return Abort::kFailed; });
    } catch (const std::invalid_argument&) {
    }
  });
  EXPECT_TRUE(holds<std::out_of_range>(left));
}

// trio: test_run.py::test_exc_info_after_throw_to_inner_suppressed
FIBER_TEST(CancelUnwindingTest, SoDoesAFunctionThatTheHandlerCalls) {
  WEFT_NOT_SWEPT("a wait that refuses to be cancelled has nobody left to end it");
  WEFT_NOT_ALLOCATION_SWEPT("nobody wakes its task then");
  const auto left = error_after_a_failed_wait([] {
    const std::exception_ptr of_caller = std::current_exception();
    try {
      wait_task_rescheduled([](const RaiseCancel&) { return Abort::kFailed; });
    } catch (const std::invalid_argument&) {
      EXPECT_NE(std::current_exception(), of_caller);
    }
    EXPECT_EQ(std::current_exception(), of_caller);
  });
  EXPECT_TRUE(holds<std::out_of_range>(left));
}

// A task started inside a catch block begins with a clean slate.
FIBER_TEST(CancelUnwindingTest, ANewTaskSeesNoExceptionOfItsStarter) {
  try {
    throw 1;
  } catch (int) {
    open_nursery([](Nursery& nursery) {
      nursery.start_soon([] {
        EXPECT_EQ(std::current_exception(), nullptr);
        EXPECT_EQ(std::uncaught_exceptions(), 0);
      });
    });
    EXPECT_NE(std::current_exception(), nullptr);
  }
}

}  // namespace
}  // namespace weft::fibers
