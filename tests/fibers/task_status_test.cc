// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Nursery::start and what TaskStatus does in it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <stdexcept>
#include <vector>

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/checkpoints.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/fibers/timeouts.h"
#include "weft/fibers/token.h"

namespace weft::fibers {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using testing::wait_all_tasks_blocked;

// trio: test_run.py::test_nursery_start
FIBER_TEST(TaskStatusTest, StartReturnsTheValueAndTheTaskGoesOn) {
  bool ended = false;
  open_nursery([&ended](Nursery& nursery) {
    const Instant start = current_time();
    const int value = nursery.start<int>([&](TaskStatus<int>& status) {
      sleep(seconds(1));
      status.started(5);
      sleep(seconds(1));
      ended = true;
    });
    EXPECT_EQ(value, 5);
    EXPECT_EQ(current_time(), start + seconds(1));
    EXPECT_FALSE(ended);
    EXPECT_EQ(nursery.child_tasks().size(), 1U);
    sleep(seconds(2));
    EXPECT_TRUE(ended);
  });
}

FIBER_TEST(TaskStatusTest, StartIsACheckpointAndTakesVoidAndMovableValues) {
  open_nursery([](Nursery& nursery) {
    testing::assert_checkpoints(
        [&] { nursery.start([](TaskStatus<void>& status) { status.started(); }); });
    const auto value = nursery.start<std::unique_ptr<int>>(
        [](TaskStatus<std::unique_ptr<int>>& status) { status.started(std::make_unique<int>(3)); });
    EXPECT_EQ(*value, 3);
  });
}

// trio: test_run.py::test_nursery_start
FIBER_TEST(TaskStatusTest, StartedTwiceIsRefused) {
  open_nursery([](Nursery& nursery) {
    nursery.start([](TaskStatus<void>& status) {
      status.started();
      EXPECT_THROW(status.started(), UsageError);
    });
  });
}

// trio: test_run.py::test_nursery_start
FIBER_TEST(TaskStatusTest, AnErrorBeforeStartedComesOutOfStartUnwrapped) {
  open_nursery([](Nursery& nursery) {
    try {
      nursery.start([](TaskStatus<void>&) {
        checkpoint();
        throw std::runtime_error("mine");
      });
      ADD_FAILURE() << "the error was lost";
    } catch (const std::runtime_error& e) {
      EXPECT_STREQ(e.what(), "mine");
    }
    // The nursery itself has not failed.
    EXPECT_FALSE(nursery.cancel_scope().cancel_called());
    checkpoint();
  });
}

FIBER_TEST(TaskStatusTest, AGroupRaisedBeforeStartedKeepsItsShape) {
  open_nursery([](Nursery& nursery) {
    try {
      nursery.start([](TaskStatus<void>&) {
        open_nursery([](Nursery&) { throw std::runtime_error("deep"); });
      });
      ADD_FAILURE() << "the error was lost";
    } catch (const ExceptionGroup& group) {
      ASSERT_EQ(group.exceptions().size(), 1U);
      EXPECT_TRUE(holds<std::runtime_error>(group.exceptions()[0]));
    }
  });
}

// trio: test_run.py::test_nursery_start
FIBER_TEST(TaskStatusTest, AnErrorAfterStartedBelongsToTheNursery) {
  try {
    open_nursery([](Nursery& nursery) {
      nursery.start([](TaskStatus<void>& status) {
        status.started();
        throw std::runtime_error("late");
      });
      sleep_forever();
    });
    ADD_FAILURE() << "the error was lost";
  } catch (const ExceptionGroup& group) {
    EXPECT_EQ(group.exceptions().size(), 1U);
  }
}

// trio: test_run.py::test_nursery_start
FIBER_TEST(TaskStatusTest, EndingWithoutStartedIsTheTasksMistake) {
  open_nursery([](Nursery& nursery) {
    EXPECT_THROW(nursery.start([](TaskStatus<void>&) {}), UsageError);
    EXPECT_THROW(nursery.start<int>([](TaskStatus<int>&) { checkpoint(); }), UsageError);
  });
}

// trio: test_run.py::test_nursery_start
FIBER_TEST(TaskStatusTest, CancellingTheCallerBeforeStartedCancelsTheTask) {
  bool cancelled = false;
  open_nursery([&](Nursery& nursery) {
    EXPECT_FALSE(move_on_after(seconds(1), [&] {
      nursery.start([&](TaskStatus<void>&) {
        try {
          sleep_forever();
        } catch (const Cancelled&) {
          cancelled = true;
          throw;
        }
      });
    }));
    EXPECT_TRUE(cancelled);
    EXPECT_FALSE(nursery.cancel_scope().cancel_called());
  });
}

// trio: test_run.py::test_nursery_start
// The task has moved: the caller's scope is behind it.
FIBER_TEST(TaskStatusTest, CancellingTheCallerAfterStartedLeavesTheTaskAlone) {
  bool finished = false;
  open_nursery([&](Nursery& nursery) {
    CancelScope scope;
    scope.run([&] {
      nursery.start([&](TaskStatus<void>& status) {
        status.started();
        sleep(seconds(1));
        finished = true;
      });
      scope.cancel();
      sleep_forever();
    });
  });
  EXPECT_TRUE(finished);
}

// trio: test_run.py::test_nursery_start
// started() is a no-op under a cancelled caller.
FIBER_TEST(TaskStatusTest, StartedUnderACancelledCallerMovesNothing) {
  bool moved = false;
  CancelScope scope;
  open_nursery([&](Nursery& nursery) {
    scope.run([&] {
      nursery.start([&](TaskStatus<void>& status) {
        scope.cancel();
        status.started();
        EXPECT_NE(current_task().parent_nursery(), &nursery);
        checkpoint();
        moved = true;
      });
      ADD_FAILURE() << "start() returned";
    });
    EXPECT_TRUE(scope.cancelled_caught());
    EXPECT_TRUE(nursery.child_tasks().empty());
  });
  EXPECT_FALSE(moved);
}

// trio: test_run.py::test_nursery_start
// Its later errors still come out of start().
FIBER_TEST(TaskStatusTest, AnErrorAfterSuchAStartedComesOutOfStart) {
  CancelScope scope;
  open_nursery([&scope](Nursery& nursery) {
    try {
      scope.run([&] {
        nursery.start([&](TaskStatus<void>& status) {
          scope.cancel();
          status.started();
          throw std::runtime_error("still under start");
        });
      });
      ADD_FAILURE() << "the error was lost";
    } catch (const std::runtime_error& e) {
      EXPECT_STREQ(e.what(), "still under start");
    }
    EXPECT_FALSE(nursery.cancel_scope().cancel_called());
  });
}

// trio: test_run.py::test_nursery_start
// A task that never waits is done, cancelled or not.
FIBER_TEST(TaskStatusTest, ATaskThatNeedsNoWaitStartsUnderACancelledCaller) {
  open_nursery([](Nursery& nursery) {
    CancelScope scope;
    const auto value = scope.run([&] {
      scope.cancel();
      return nursery.start<int>([](TaskStatus<int>& status) { status.started(7); });
    });
    EXPECT_EQ(value.value(), 7);
    EXPECT_FALSE(scope.cancelled_caught());
  });
}

// trio: test_run.py::test_nursery_start_with_cancelled_nursery
FIBER_TEST(TaskStatusTest, MovingIntoACancelledNurseryCancelsTheTask) {
  bool cancelled = false;
  open_nursery([&](Nursery& nursery) {
    CancelScope shield({.shield = true});
    shield.run([&] {
      nursery.cancel_scope().cancel();
      nursery.start([&](TaskStatus<void>& status) {
        checkpoint();  // Not cancelled yet: it is the caller's.
        status.started();
        try {
          sleep_forever();
        } catch (const Cancelled&) {
          cancelled = true;
          throw;
        }
      });
    });
  });
  EXPECT_TRUE(cancelled);
}

// trio: test_run.py::test_nursery_start_keeps_nursery_open
FIBER_TEST(TaskStatusTest, APendingStartKeepsTheNurseryOpen) {
  std::vector<int> happened;
  Nursery* target = nullptr;
  open_nursery([&](Nursery& outside) {
    open_nursery([&](Nursery& nursery) {
      target = &nursery;
      outside.start_soon([&] {
        target->start([&](TaskStatus<void>& status) {
          sleep(seconds(1));
          happened.push_back(1);
          status.started();
          sleep(seconds(1));
          happened.push_back(2);
        });
      });
      wait_all_tasks_blocked();
    });
    happened.push_back(3);
  });
  EXPECT_THAT(happened, ElementsAre(1, 2, 3));
}

// The task takes along the scopes and nurseries that it is in when it moves.
// trio: test_run.py::test_nursery_start
// Every cancel-status child of the hidden nursery moves.
FIBER_TEST(TaskStatusTest, OpenScopesAndNurseriesMoveAlong) {
  int cancelled = 0;
  const auto count_cancelled = [&cancelled] {
    try {
      sleep_forever();
    } catch (const Cancelled&) {
      ++cancelled;
      throw;
    }
  };
  CancelScope of_caller;
  open_nursery([&](Nursery& nursery) {
    of_caller.run([&] {
      nursery.start([&](TaskStatus<void>& status) {
        CancelScope inner({.deadline = current_time() + seconds(100)});
        inner.run([&] {
          open_nursery([&](Nursery& own) {
            own.start_soon(count_cancelled);
            checkpoint();
            status.started();
            EXPECT_EQ(current_task().parent_nursery(), &nursery);
            count_cancelled();
          });
        });
      });
      of_caller.cancel();
    });
    wait_all_tasks_blocked();
    EXPECT_EQ(cancelled, 0);  // The caller's scope no longer covers them...
    nursery.cancel_scope().cancel();
    wait_all_tasks_blocked();
    EXPECT_EQ(cancelled, 2);  // ...and the new nursery's does.
  });
}

FIBER_TEST(TaskStatusTest, TheEventualParentIsKnownWhileTheStartIsPending) {
  open_nursery([](Nursery& nursery) {
    nursery.start([&](TaskStatus<void>& status) {
      const Task& me = current_task();
      EXPECT_EQ(me.eventual_parent_nursery(), &nursery);
      EXPECT_NE(me.parent_nursery(), &nursery);
      status.started();
      EXPECT_EQ(me.eventual_parent_nursery(), nullptr);
      EXPECT_EQ(me.parent_nursery(), &nursery);
    });
  });
}

// trio: test_run.py::test_internal_error_old_nursery_multiple_tasks
FIBER_TEST(TaskStatusTest, StartingOthersInTheNurseryThatStartKeepsToItselfIsAnError) {
  const auto fail = [] { throw std::runtime_error("smuggled"); };
  open_nursery([&fail](Nursery& nursery) {
    try {
      nursery.start([&](TaskStatus<void>&) {
        Nursery& hidden = *current_task().parent_nursery();
        hidden.start_soon(fail);
        hidden.start_soon(fail);
      });
      ADD_FAILURE() << "the errors were lost";
    } catch (const InternalError& error) {
      try {
        std::rethrow_if_nested(error);
        ADD_FAILURE() << "the errors were lost";
      } catch (const ExceptionGroup& group) {
        EXPECT_EQ(group.exceptions().size(), 2U);
      }
    }
    EXPECT_FALSE(nursery.cancel_scope().cancel_called());
  });
}

// The error that a task throws at the beginning or at the end of its start, as the nursery that
// start() was called in passes it on.
std::exception_ptr passed_on(const std::exception_ptr& error, bool after_started) {
  try {
    open_nursery([&](Nursery& nursery) {
      nursery.start([&](TaskStatus<void>& status) {
        if (after_started) status.started();
        std::rethrow_exception(error);
      });
    });
  } catch (const BaseExceptionGroup& group) {
    if (group.exceptions().size() == 1) return group.exceptions().front();
  }
  ADD_FAILURE() << "not in a group of its own";
  return nullptr;
}

// trio: test_run.py::test_trio_run_strict_before_started
FIBER_TEST(TaskStatusTest, AnErrorIsWrappedOnceWhetherItComesBeforeOrAfterStarted) {
  const auto plain = std::make_exception_ptr(std::runtime_error("mine"));
  const auto group = make_exception_group("my group", {plain});
  for (const bool after_started : {false, true}) {
    EXPECT_EQ(passed_on(plain, after_started), plain);
    try {
      std::rethrow_exception(passed_on(group, after_started));
    } catch (const ExceptionGroup& same) {
      EXPECT_EQ(same.message(), "my group");
      EXPECT_THAT(same.exceptions(), ElementsAre(plain));
    }
  }
}

// trio: test_run.py::test_start_exception_preserves_cause_and_context
FIBER_TEST(TaskStatusTest, AnErrorBeforeStartedKeepsItsCause) {
  open_nursery([](Nursery& nursery) {
    try {
      nursery.start([](TaskStatus<void>&) {
        try {
          throw std::out_of_range("cause");
        } catch (const std::out_of_range&) {
          std::throw_with_nested(std::runtime_error("effect"));
        }
      });
      ADD_FAILURE() << "the error was lost";
    } catch (const std::runtime_error& error) {
      EXPECT_THROW(std::rethrow_if_nested(error), std::out_of_range);
    }
  });
}

// Trio: TASK_STATUS_IGNORED
FIBER_TEST(TaskStatusTest, AnIgnoredStatusDoesNothing) {
  auto status = TaskStatus<int>::ignored();
  status.started(5);
  EXPECT_THROW(status.started(5), UsageError);
}

// A start that is refused at once must not keep the nursery open for ever.
FIBER_TEST(TaskStatusTest, StartOutsideATaskIsRefusedAndLeavesTheNurseryAsItWas) {
  bool refused = false;
  open_nursery([&](Nursery& nursery) {
    current_token().run_sync_soon([&] {
      try {
        nursery.start([](TaskStatus<void>& status) { status.started(); });
      } catch (const UsageError&) {
        refused = true;
      }
    });
    wait_all_tasks_blocked();
  });
  EXPECT_TRUE(refused);
}

FIBER_TEST(TaskStatusTest, ManyStartsMayBePendingAtOnce) {
  static constexpr int kStarts = 50;
  int sum = 0;
  open_nursery([&](Nursery& nursery) {
    open_nursery([&](Nursery& callers) {
      for (int i = 0; i < kStarts; ++i) {
        callers.start_soon([&, i] {
          sum += nursery.start<int>([i](TaskStatus<int>& status) {
            sleep(seconds(kStarts - i));
            status.started(i);
            sleep(seconds(1000));
          });
        });
      }
    });
    EXPECT_EQ(nursery.child_tasks().size(), std::size_t{kStarts});
    nursery.cancel_scope().cancel();
  });
  EXPECT_EQ(sum, kStarts * (kStarts - 1) / 2);
}

}  // namespace
}  // namespace weft::fibers
