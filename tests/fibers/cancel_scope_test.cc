// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What one scope does: deadlines, values, reports. Nesting and shielding: cancel_status_test.cc.

#include "weft/fibers/cancel_scope.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include "tests/support/captured_log.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

using std::chrono::hours;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::wait_all_tasks_blocked;

// trio: test_run.py::test_CancelScope_subclass
static_assert(std::is_final_v<CancelScope>);

// trio: test_run.py::test_cancel_scope_validation
FIBER_TEST(CancelScopeTest, TwoDeadlinesOrANegativeOneAreRefused) {
  EXPECT_THROW(CancelScope({.deadline = current_time(), .relative_deadline = seconds(1)}),
               UsageError);
  EXPECT_THROW(CancelScope({.relative_deadline = seconds(-1)}), UsageError);
  CancelScope scope;
  EXPECT_THROW(scope.set_relative_deadline(seconds(-1)), UsageError);
  EXPECT_THROW(weft::fibers::seconds(std::numeric_limits<double>::quiet_NaN()), UsageError);
}

// trio: test_run.py::test_cancel_scope_validation
FIBER_TEST(CancelScopeTest, IsGoodForOneRunOnly) {
  CancelScope scope;
  EXPECT_TRUE(scope.run([] {}));
  EXPECT_THROW(scope.run([] {}), UsageError);
  CancelScope nested;
  nested.run([&] { EXPECT_THROW(nested.run([] {}), UsageError); });
}

TEST(CancelScopeTest, CannotBeEnteredOutsideATask) {
  CancelScope scope;
  EXPECT_THROW(scope.run([] {}), UsageError);
}

FIBER_TEST(CancelScopeTest, ReturnsTheBodysValueOrNothing) {
  CancelScope finished;
  EXPECT_EQ(finished.run([] { return std::string("done"); }).value(), "done");
  CancelScope cut_short;
  const ScopeResult<int> nothing = cut_short.run([&]() -> int {
    cut_short.cancel();
    checkpoint();
    return 1;
  });
  EXPECT_FALSE(nothing.finished());
  EXPECT_THROW(nothing.value(), UsageError);
  CancelScope moved;
  auto pointer = moved.run([] { return std::make_unique<int>(5); });
  ASSERT_TRUE(pointer.finished());
  EXPECT_EQ(*pointer.value(), 5);
}

FIBER_TEST(CancelScopeTest, ErrorsOfTheBodyPassUnchanged) {
  CancelScope scope;
  const std::runtime_error* seen = nullptr;
  try {
    scope.run([&] {
      scope.cancel();
      throw std::runtime_error("mine");
    });
  } catch (const std::runtime_error& e) {
    seen = &e;
    EXPECT_STREQ(e.what(), "mine");
  }
  EXPECT_NE(seen, nullptr);
  EXPECT_TRUE(scope.cancel_called());
  EXPECT_FALSE(scope.cancelled_caught());
}

// trio: test_run.py::test_basic_timeout
FIBER_TEST(CancelScopeTest, DeadlineCutsABodyShort) {
  const Instant start = current_time();
  CancelScope scope({.deadline = start + seconds(2)});
  EXPECT_FALSE(scope.run([] { sleep(seconds(3)); }));
  EXPECT_EQ(current_time(), start + seconds(2));
  EXPECT_TRUE(scope.cancel_called());
  EXPECT_TRUE(scope.cancelled_caught());

  CancelScope in_time({.deadline = current_time() + seconds(4)});
  EXPECT_TRUE(in_time.run([] { sleep(seconds(3)); }));
  EXPECT_FALSE(in_time.cancel_called());
  sleep(seconds(2));
  EXPECT_FALSE(in_time.cancelled_caught());
}

// trio: test_run.py::test_basic_timeout
FIBER_TEST(CancelScopeTest, DeadlineCanBeMovedInBothDirections) {
  const Instant start = current_time();
  CancelScope later_one({.deadline = start + seconds(1)});
  EXPECT_TRUE(later_one.run([&] {
    later_one.set_deadline(start + seconds(10));
    sleep(seconds(5));
  }));
  CancelScope earlier;
  EXPECT_FALSE(earlier.run([&] {
    earlier.set_deadline(current_time() + hours(5));
    earlier.set_deadline(current_time() + seconds(1));
    sleep(hours(1));
  }));
  EXPECT_EQ(current_time(), start + seconds(6));
  CancelScope removed({.deadline = current_time() + seconds(1)});
  EXPECT_TRUE(removed.run([&] {
    removed.set_deadline(kForever);
    sleep(seconds(5));
  }));
}

FIBER_TEST(CancelScopeTest, ANewDeadlineTakesNothingBack) {
  CancelScope scope({.deadline = current_time() + seconds(1)});
  EXPECT_FALSE(scope.run([&] {
    EXPECT_THROW(sleep_forever(), Cancelled);
    scope.set_deadline(current_time() + hours(1));
    EXPECT_TRUE(scope.cancel_called());
    checkpoint();
  }));
}

FIBER_TEST(CancelScopeTest, ADeadlineThatHasPassedCutsTheFirstWaitShort) {
  CancelScope scope({.deadline = current_time() - seconds(1)});
  bool reached = false;
  EXPECT_FALSE(scope.run([&] {
    reached = true;
    checkpoint();
    ADD_FAILURE() << "the checkpoint did not see the deadline";
  }));
  EXPECT_TRUE(reached);
  CancelScope long_ago({.deadline = kLongAgo});
  EXPECT_FALSE(long_ago.run([] { sleep_forever(); }));
}

// trio: test_run.py::test_yield_briefly_checks_for_timeout
FIBER_TEST(CancelScopeTest, ADeadlineSetToNowIsSeenByTheNextCheckpoint) {
  CancelScope scope;
  EXPECT_FALSE(scope.run([&] {
    checkpoint();
    scope.set_deadline(current_time());
    checkpoint();
    ADD_FAILURE() << "the checkpoint did not see the deadline";
  }));
}

FIBER_TEST(CancelScopeTest, AnotherTaskMayMoveTheDeadline) {
  CancelScope scope;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { EXPECT_FALSE(scope.run([] { sleep_forever(); })); });
    wait_all_tasks_blocked();
    scope.set_deadline(current_time() + seconds(3));
  });
  EXPECT_TRUE(scope.cancelled_caught());
}

// Trio: CancelScope.relative_deadline
FIBER_TEST(CancelScopeTest, ARelativeDeadlineCountsFromEntry) {
  CancelScope scope({.relative_deadline = seconds(5)});
  EXPECT_EQ(scope.is_relative(), true);
  EXPECT_EQ(scope.relative_deadline(), seconds(5));
  EXPECT_THROW(static_cast<void>(scope.deadline()), UsageError);
  EXPECT_THROW(scope.set_deadline(current_time()), UsageError);
  sleep(seconds(10));
  const Instant entry = current_time();
  EXPECT_FALSE(scope.run([&] {
    EXPECT_EQ(scope.is_relative(), std::nullopt);
    EXPECT_EQ(scope.deadline(), entry + seconds(5));
    sleep(seconds(2));
    EXPECT_EQ(scope.relative_deadline(), seconds(3));
    sleep_forever();
  }));
  EXPECT_EQ(current_time(), entry + seconds(5));
}

FIBER_TEST(CancelScopeTest, ARelativeDeadlineSetInsideCountsFromNow) {
  CancelScope scope({.relative_deadline = seconds(5)});
  const Instant entry = current_time();
  EXPECT_FALSE(scope.run([&] {
    sleep(seconds(4));
    scope.set_relative_deadline(seconds(5));
    EXPECT_EQ(scope.deadline(), entry + seconds(9));
    sleep_forever();
  }));
  EXPECT_EQ(current_time(), entry + seconds(9));
}

FIBER_TEST(CancelScopeTest, AnAbsoluteScopeHasNoRelativeDeadlineBeforeEntry) {
  CancelScope scope({.deadline = current_time() + seconds(5)});
  EXPECT_EQ(scope.is_relative(), false);
  EXPECT_THROW(static_cast<void>(scope.relative_deadline()), UsageError);
  EXPECT_THROW(scope.set_relative_deadline(seconds(1)), UsageError);
  CancelScope none;
  EXPECT_EQ(none.deadline(), kForever);
  EXPECT_EQ(none.relative_deadline(), Duration::max());
  none.set_relative_deadline(seconds(1));
  EXPECT_FALSE(none.run([] { sleep(seconds(2)); }));
}

// trio: test_run.py::test_cancel_unbound
FIBER_TEST(CancelScopeTest, CancelBeforeEntryCountsAfterEntry) {
  CancelScope scope;
  scope.cancel();
  EXPECT_TRUE(scope.cancel_called());
  bool reached = false;
  EXPECT_FALSE(scope.run([&] {
    reached = true;
    checkpoint();
  }));
  EXPECT_TRUE(reached);
  EXPECT_TRUE(scope.cancelled_caught());
}

// trio: test_run.py::test_cancel_unbound
FIBER_TEST(CancelScopeTest, CancelAfterTheEndChangesNothingElse) {
  CancelScope scope;
  EXPECT_TRUE(scope.run([] { checkpoint(); }));
  scope.cancel();
  checkpoint();
  EXPECT_TRUE(scope.cancel_called());
  EXPECT_FALSE(scope.cancelled_caught());
}

FIBER_TEST(CancelScopeTest, ADeadlineOutsideIsForgottenAtTheEnd) {
  const std::size_t before = current_statistics().deadlines;
  CancelScope scope({.deadline = current_time() + seconds(5)});
  scope.run([&] { EXPECT_EQ(current_statistics().deadlines, before + 1); });
  EXPECT_EQ(current_statistics().deadlines, before);
  sleep(seconds(10));
  EXPECT_FALSE(scope.cancel_called());
}

// Trio: CancelScope.cancel_called
TEST(CancelScopeTest, CancelCalledGoesByTheClockBeforeTheSchedulerNotices) {
  testing::MockClock clock;
  run(
      [&] {
        CancelScope scope({.deadline = current_time() + seconds(5)});
        EXPECT_FALSE(scope.run([&] {
          EXPECT_FALSE(scope.cancel_called());
          clock.jump(seconds(6));
          EXPECT_TRUE(scope.cancel_called());
          checkpoint();
        }));
        EXPECT_TRUE(scope.cancelled_caught());
      },
      {.clock = &clock});
}

FIBER_TEST(CancelScopeTest, CancelCalledGoesByTheClockBeforeEntryTooButNotAfterTheEnd) {
  CancelScope past({.deadline = current_time()});
  EXPECT_TRUE(past.cancel_called());
  EXPECT_FALSE(past.run([] { checkpoint(); }));
  CancelScope relative({.relative_deadline = Duration::zero()});
  EXPECT_FALSE(relative.cancel_called());
  CancelScope in_time({.deadline = current_time() + seconds(1)});
  in_time.run([] {});
  sleep(seconds(2));
  EXPECT_FALSE(in_time.cancel_called());
}

FIBER_TEST(CancelScopeTest, CancelIsIdempotent) {
  CancelScope scope;
  EXPECT_FALSE(scope.run([&] {
    scope.cancel("one");
    scope.cancel("two");
    try {
      checkpoint();
    } catch (const Cancelled& cancelled) {
      EXPECT_EQ(cancelled.reason(), "one");
      throw;
    }
  }));
}

// trio: test_run.py::test_cancel_edge_cases
FIBER_TEST(CancelScopeTest, CancellationIsLevelTriggered) {
  test::CapturedLog log;
  CancelScope scope;
  scope.run([&] {
    scope.cancel();
    for (int i = 0; i < 3; ++i) {
      EXPECT_THROW(checkpoint(), Cancelled);
      EXPECT_THROW(sleep_forever(), Cancelled);
      EXPECT_THROW(checkpoint_if_cancelled(), Cancelled);
      EXPECT_THROW(sleep(seconds(0)), Cancelled);
    }
    cancel_shielded_checkpoint();
  });
}

FIBER_TEST(CancelScopeTest, ASwallowedCancelledIsReportedWithTheTasksName) {
  test::CapturedLog log;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon(
        [] {
          CancelScope scope;
          EXPECT_TRUE(scope.run([&] {
            scope.cancel();
            EXPECT_THROW(checkpoint(), Cancelled);
          }));
          EXPECT_FALSE(scope.cancelled_caught());
        },
        {.name = "greedy"});
  });
  ASSERT_EQ(log.lines.size(), 1U);
  EXPECT_THAT(log.lines[0], HasSubstr("greedy"));
  EXPECT_THAT(log.lines[0], HasSubstr("swallowed a Cancelled"));
  EXPECT_THAT(log.levels, ElementsAre(LogLevel::kWarning));
}

FIBER_TEST(CancelScopeTest, ProperUseIsNotReported) {
  test::CapturedLog log;
  CancelScope outer;
  outer.run([&] {
    CancelScope inner;
    inner.run([&] {
      open_nursery([&](Nursery& nursery) {
        nursery.start_soon([] { sleep_forever(); });
        checkpoint();
        outer.cancel();
      });
    });
  });
  EXPECT_FALSE(move_on_after(seconds(1), [] { sleep(seconds(2)); }));
  EXPECT_TRUE(move_on_after(seconds(2), [] { sleep(seconds(1)); }));
  open_nursery([](Nursery& nursery) {
    nursery.start_soon([] { sleep_forever(); });
    nursery.cancel_scope().cancel();
  });
  CancelScope error_instead;
  EXPECT_THROW(error_instead.run([&] {
    error_instead.cancel();
    try {
      checkpoint();
    } catch (const Cancelled&) {
      throw std::runtime_error("instead");
    }
  }),
               std::runtime_error);
  EXPECT_THAT(log.lines, IsEmpty());
}

// trio: test_run.py::test_cancel_scope_exceptiongroup_filtering
FIBER_TEST(CancelScopeTest, CancelledIsSplitOutOfAGroup) {
  CancelScope scope;
  try {
    scope.run([&] {
      open_nursery([&](Nursery& nursery) {
        for (const char* text : {"one", "two"}) {
          nursery.start_soon([text] {
            try {
              sleep_forever();
            } catch (const Cancelled&) {
              throw std::runtime_error(text);
            }
          });
        }
        nursery.start_soon([] { sleep_forever(); });
        wait_all_tasks_blocked();
        scope.cancel();
        sleep_forever();
      });
    });
    ADD_FAILURE() << "the errors were lost";
  } catch (const ExceptionGroup& group) {  // Not a BaseExceptionGroup: no Cancelled is left.
    EXPECT_EQ(group.exceptions().size(), 2U);
    for (const auto& error : group.exceptions()) EXPECT_TRUE(holds<std::runtime_error>(error));
  }
  EXPECT_TRUE(scope.cancelled_caught());
}

// trio: test_run.py::test_cancel_scope_exceptiongroup_filtering
// trio: test_run.py::test_cancel_scope_no_cancellederror
FIBER_TEST(CancelScopeTest, AGroupWithoutCancelledPassesAndNothingIsCaught) {
  CancelScope scope;
  auto group = make_exception_group("mine", {std::make_exception_ptr(std::runtime_error("x"))});
  try {
    scope.run([&] {
      scope.cancel();
      std::rethrow_exception(group);
    });
    ADD_FAILURE() << "the group was lost";
  } catch (const ExceptionGroup& e) {
    EXPECT_EQ(e.message(), "mine");
  }
  EXPECT_FALSE(scope.cancelled_caught());
}

// trio: test_run.py::test_cancel_scope_deadline_duplicates
FIBER_TEST(CancelScopeTest, ThousandsOfDeadlineChangesLeaveNothingBehind) {
  CancelScope scope;
  EXPECT_FALSE(scope.run([&] {
    for (int i = 0; i < 4000; ++i) {
      scope.set_deadline(current_time() + seconds(1));
      scope.set_deadline(current_time() + hours(1));
      scope.set_deadline(kForever);
    }
    EXPECT_EQ(current_statistics().deadlines, 0U);
    scope.set_deadline(current_time() + seconds(2));
    EXPECT_EQ(current_statistics().deadlines, 1U);
    sleep_forever();
  }));
}

// trio: test_run.py::test_current_effective_deadline
FIBER_TEST(CancelScopeTest, TheEffectiveDeadlineIsTheEarliestUpToTheFirstShield) {
  EXPECT_EQ(current_effective_deadline(), kForever);
  const Instant now = current_time();
  CancelScope outer({.deadline = now + seconds(5)});
  outer.run([&] {
    EXPECT_EQ(current_effective_deadline(), now + seconds(5));
    CancelScope later_one({.deadline = now + seconds(10)});
    later_one.run([&] {
      EXPECT_EQ(current_effective_deadline(), now + seconds(5));
      CancelScope shield({.shield = true});
      shield.run([&] {
        EXPECT_EQ(current_effective_deadline(), kForever);
        shield.set_deadline(now + seconds(20));
        EXPECT_EQ(current_effective_deadline(), now + seconds(20));
        shield.set_shield(false);
        EXPECT_EQ(current_effective_deadline(), now + seconds(5));
      });
    });
    outer.set_deadline(now + seconds(30));
    EXPECT_EQ(current_effective_deadline(), now + seconds(30));
    outer.cancel();
    EXPECT_EQ(current_effective_deadline(), kLongAgo);
  });
  EXPECT_EQ(current_effective_deadline(), kForever);
}

TEST(CancelScopeTest, ChangesFromAnotherThreadAreRefused) {
  testing::run_fiber_test([] {
    CancelScope scope;
    scope.run([&] {
      std::thread([&] {
        EXPECT_THROW(scope.cancel(), UsageError);
        EXPECT_THROW(scope.set_shield(true), UsageError);
        EXPECT_THROW(scope.set_deadline(kLongAgo), UsageError);
        run([&] { EXPECT_THROW(scope.set_relative_deadline(Duration::zero()), UsageError); });
      }).join();
      checkpoint();
    });
    EXPECT_FALSE(scope.cancel_called());
    EXPECT_FALSE(scope.shield());
    EXPECT_EQ(scope.deadline(), kForever);
  });
}

// Several deadlines that pass together take effect in their order, and none is early.
FIBER_TEST(CancelScopeTest, DeadlinesPassInOrderAndNeverEarly) {
  std::vector<int> order;
  const Instant start = current_time();
  open_nursery([&](Nursery& nursery) {
    for (const int i : {7, 3, 9, 1, 5}) {
      nursery.start_soon([&order, start, i] {
        EXPECT_FALSE(move_on_at(start + seconds(i), [] { sleep_forever(); }));
        EXPECT_EQ(current_time(), start + seconds(i));
        order.push_back(i);
      });
    }
  });
  EXPECT_THAT(order, ElementsAre(1, 3, 5, 7, 9));
}

}  // namespace
}  // namespace weft::fibers
