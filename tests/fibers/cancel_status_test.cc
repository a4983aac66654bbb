// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The tree of scopes: who is cancelled by whom, and who catches. Waits while unwinding:
// cancel_unwinding_test.cc.

#include "fibers/core/cancel_status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "tests/support/captured_log.h"
#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using testing::wait_all_tasks_blocked;

// trio: test_run.py::test_cancel_scope_nesting
FIBER_TEST(CancelStatusTest, TheOutermostCancelledScopeCatches) {
  CancelScope outer;
  CancelScope middle;
  CancelScope inner;
  outer.run([&] {
    middle.run([&] {
      inner.run([&] {
        inner.cancel();
        middle.cancel();
        checkpoint();
      });
      ADD_FAILURE() << "the inner scope caught what belongs to the one around it";
    });
  });
  EXPECT_FALSE(inner.cancelled_caught());
  EXPECT_TRUE(middle.cancelled_caught());
  EXPECT_FALSE(outer.cancelled_caught());
}

// trio: test_run.py::test_cancel_scope_nesting
FIBER_TEST(CancelStatusTest, OnlyTheInnerScopeIsCutShort) {
  CancelScope outer;
  CancelScope inner;
  EXPECT_TRUE(outer.run([&] {
    EXPECT_FALSE(inner.run([&] {
      inner.cancel();
      checkpoint();
    }));
    checkpoint();
  }));
  EXPECT_TRUE(inner.cancelled_caught());
  EXPECT_FALSE(outer.cancel_called());
}

// trio: test_run.py::test_cancel_scope_nesting
// A pending cancellation dies with its scope.
FIBER_TEST(CancelStatusTest, AScopeLeftBeforeAnyWaitCancelsNothingMore) {
  CancelScope outer;
  EXPECT_TRUE(outer.run([] {
    CancelScope inner;
    EXPECT_TRUE(inner.run([&] { inner.cancel(); }));
    EXPECT_FALSE(inner.cancelled_caught());
    checkpoint();
  }));
}

// trio: test_run.py::test_cancel_scope_nesting
FIBER_TEST(CancelStatusTest, ACancelWhileAnotherIsOnItsWayUpGoesToTheOuterOne) {
  CancelScope outer;
  CancelScope inner;
  outer.run([&] {
    inner.run([&] {
      inner.cancel();
      try {
        checkpoint();
      } catch (const Cancelled&) {
        outer.cancel();
        throw;
      }
    });
    ADD_FAILURE() << "the inner scope must not catch any more";
  });
  EXPECT_FALSE(inner.cancelled_caught());
  EXPECT_TRUE(outer.cancelled_caught());
}

// trio: test_run.py::test_unshield_while_cancel_propagating
FIBER_TEST(CancelStatusTest, AShieldSetWhileACancelledIsOnItsWayDoesNotCatchIt) {
  CancelScope outer;
  CancelScope inner;
  outer.run([&] {
    inner.run([&] {
      outer.cancel();
      try {
        checkpoint();
      } catch (const Cancelled&) {
        inner.set_shield(true);
        throw;
      }
    });
  });
  EXPECT_FALSE(inner.cancelled_caught());
  EXPECT_TRUE(outer.cancelled_caught());
}

// trio: test_run.py::test_cancel_shielding
FIBER_TEST(CancelStatusTest, AShieldHidesWhatIsOutsideOnly) {
  CancelScope outer;
  CancelScope shield({.shield = true});
  bool got_through = false;
  outer.run([&] {
    EXPECT_FALSE(shield.run([&] {
      outer.cancel();
      checkpoint();
      sleep(seconds(1));
      got_through = true;
      shield.cancel();
      checkpoint();
      ADD_FAILURE() << "a shield does not stop its own scope's cancel";
    }));
    EXPECT_TRUE(shield.cancelled_caught());
    checkpoint();
    ADD_FAILURE() << "the shield went on after its end";
  });
  EXPECT_TRUE(got_through);
  EXPECT_TRUE(outer.cancelled_caught());
}

// trio: test_run.py::test_cancel_shielding
FIBER_TEST(CancelStatusTest, ShieldsCanBeToggled) {
  test::CapturedLog log;
  CancelScope outer;
  outer.run([&] {
    outer.cancel();
    CancelScope inner({.shield = true});
    inner.run([&] {
      for (int i = 0; i < 3; ++i) {
        checkpoint();
        inner.set_shield(false);
        EXPECT_THROW(checkpoint(), Cancelled);
        inner.set_shield(true);
        EXPECT_TRUE(inner.shield());
      }
      CancelScope innermost;
      innermost.run([&] {
        checkpoint();
        inner.set_shield(false);
        EXPECT_THROW(checkpoint(), Cancelled);
        innermost.set_shield(true);
        checkpoint();
      });
    });
  });
}

// trio: test_run.py::test_cancel_shield_abort
// Both the shielded and the unshielded task wait when
// the shield falls: only then may the wait end.
FIBER_TEST(CancelStatusTest, UnshieldingWakesATaskThatWaits) {
  CancelScope outer;
  CancelScope inner({.shield = true});
  bool ended = false;
  outer.run([&] {
    open_nursery([&](Nursery& nursery) {
      outer.cancel();
      CancelScope shield({.shield = true});
      shield.run([&] {
        nursery.start_soon([&] {
          FAIL() << "a cancelled nursery's task runs to its first wait only" << (checkpoint(), "");
        });
        open_nursery([&](Nursery& protected_nursery) {
          protected_nursery.start_soon([&] {
            inner.run([&] { sleep_forever(); });
            ended = true;
          });
          wait_all_tasks_blocked();
          shield.set_shield(false);
          EXPECT_FALSE(ended);
          cancel_shielded_checkpoint();
          EXPECT_FALSE(ended);
          inner.set_shield(false);
        });
      });
    });
  });
  EXPECT_FALSE(ended);  // The Cancelled belongs to `outer`.
  EXPECT_FALSE(inner.cancelled_caught());
  EXPECT_TRUE(outer.cancelled_caught());
}

// trio: test_run.py::test_cancel_inheritance
FIBER_TEST(CancelStatusTest, CancelReachesEveryDescendant) {
  int cancelled = 0;
  const auto leaf = [&cancelled] {
    try {
      sleep_forever();
    } catch (const Cancelled&) {
      ++cancelled;
      throw;
    }
  };
  CancelScope scope;
  scope.run([&] {
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon(leaf);
      nursery.start_soon([&leaf] {
        CancelScope between;
        between.run([&leaf] {
          open_nursery([&leaf](Nursery& deeper) {
            deeper.start_soon(leaf);
            deeper.start_soon(leaf);
          });
        });
      });
      wait_all_tasks_blocked();
      scope.cancel();
    });
  });
  EXPECT_EQ(cancelled, 3);
  EXPECT_TRUE(scope.cancelled_caught());
}

FIBER_TEST(CancelStatusTest, AbortFunctionsRunInsideCancel) {
  bool aborted = false;
  CancelScope scope;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      scope.run([&] {
        wait_task_rescheduled([&](const RaiseCancel&) {
          aborted = true;
          return Abort::kSucceeded;
        });
      });
    });
    wait_all_tasks_blocked();
    EXPECT_FALSE(aborted);
    scope.cancel();
    EXPECT_TRUE(aborted);
  });
}

// trio: test_run.py::test_precancelled_task
FIBER_TEST(CancelStatusTest, ATaskOfACancelledNurseryRunsToItsFirstWait) {
  bool started = false;
  bool went_on = false;
  open_nursery([&](Nursery& nursery) {
    nursery.cancel_scope().cancel();
    nursery.start_soon([&] {
      started = true;
      checkpoint();
      went_on = true;
    });
  });
  EXPECT_TRUE(started);
  EXPECT_FALSE(went_on);
}

// The scope that a task is started from does not matter, only its nursery's.
// Trio: "child inherits the nursery's cancel status"
FIBER_TEST(CancelStatusTest, ATaskInheritsItsNurserysScopeAndNotItsStarters) {
  int survived = 0;
  open_nursery([&](Nursery& nursery) {
    CancelScope scope;
    scope.run([&] {
      scope.cancel();
      nursery.start_soon([&survived] {
        sleep(seconds(1));
        ++survived;
      });
    });
    CancelScope shield({.shield = true});
    shield.run([&] {
      nursery.start_soon([] {
        sleep(seconds(5));
        ADD_FAILURE() << "the starter's shield covers the starter only";
      });
    });
    sleep(seconds(2));
    nursery.cancel_scope().cancel();
  });
  EXPECT_EQ(survived, 1);
}

// trio: test_run.py::test_slow_abort_edge_cases
// The abort function is called once for a wait, also
// when a second scope is cancelled, and a cancellation under way arrives even if shielded since.
FIBER_TEST(CancelStatusTest, AnAbortUnderWayIsNotAskedAgainAndArrivesThroughALaterShield) {
  WEFT_NOT_SWEPT("a wait that refuses to be cancelled has nobody left to end it");
  Task* task = nullptr;
  std::optional<RaiseCancel> raise;
  int aborts = 0;
  CancelScope outer;
  CancelScope inner;
  bool caught = false;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      outer.run([&] {
        inner.run([&] {
          task = &current_task();
          try {
            wait_task_rescheduled([&](const RaiseCancel& r) {
              ++aborts;
              raise = r;
              return Abort::kFailed;
            });
          } catch (const Cancelled&) {
            caught = true;
            inner.set_shield(false);
            throw;
          }
        });
      });
    });
    wait_all_tasks_blocked();
    outer.cancel();
    EXPECT_EQ(aborts, 1);
    inner.cancel();
    inner.set_shield(true);
    EXPECT_EQ(aborts, 1);
    wait_all_tasks_blocked();
    EXPECT_FALSE(caught);
    reschedule(*task, raise->as_exception());
  });
  EXPECT_TRUE(caught);
  EXPECT_TRUE(outer.cancelled_caught());
}

// trio: test_run.py::test_very_deep_cancel_scope_nesting
// One scope in each of many tasks that
// start each other, so that the chain is deeper than any stack.
FIBER_TEST(CancelStatusTest, AChainOfFiveThousandScopesIsCancelledWithoutRecursion) {
  WEFT_NOT_SWEPT("six hundred runs of it take minutes");
  WEFT_NOT_FAULT_SWEPT("hundreds of runs of it take minutes");
  constexpr int kDepth = 5000;
  int reached = 0;
  int unwound = 0;
  CancelScope outermost;
  const std::function<void()> descend = [&] {
    if (++reached == kDepth) {
      try {
        sleep_forever();
      } catch (const Cancelled&) {
        ++unwound;
        throw;
      }
    }
    CancelScope scope;
    scope.run([&] {
      open_nursery(
          [&](Nursery& nursery) { nursery.start_soon(descend, {.stack_size = 64 * 1024}); });
    });
  };
  outermost.run([&] {
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon(descend);
      wait_all_tasks_blocked();
      EXPECT_EQ(reached, kDepth);
      outermost.cancel("deep");
    });
  });
  EXPECT_EQ(unwound, 1);
  EXPECT_TRUE(outermost.cancelled_caught());
}

// The walk itself, on five thousand statuses in one chain and five thousand beside each other.
TEST(CancelStatusTest, RecalculateWalksDeepAndWideTrees) {
  constexpr std::size_t kCount = 5000;
  for (const bool deep : {true, false}) {
    std::deque<detail::CancelStatus> statuses(kCount);
    for (std::size_t i = 1; i < kCount; ++i) {
      detail::link_status(statuses[i], &statuses[deep ? i - 1 : 0]);
    }
    statuses[0].cancel_called = true;
    statuses[0].reason = std::make_shared<CancelReason>();
    detail::recalculate(statuses[0]);
    for (const auto& status : statuses) EXPECT_TRUE(status.effectively_cancelled);
    if (deep) {
      statuses[kCount / 2].shield = true;
      detail::recalculate(statuses[kCount / 2]);
      EXPECT_TRUE(statuses[kCount / 2 - 1].effectively_cancelled);
      EXPECT_FALSE(statuses[kCount / 2].effectively_cancelled);
      EXPECT_FALSE(statuses[kCount - 1].effectively_cancelled);
    }
    for (std::size_t i = kCount - 1; i > 0; --i) detail::unlink_status(statuses[i]);
    EXPECT_EQ(statuses[0].first_child, nullptr);
  }
}

// A scope in the middle that is cancelled itself stays so when what was around it no longer is.
TEST(CancelStatusTest, OwnCancellationOutlivesTheInheritedOne) {
  detail::CancelStatus outer;
  detail::CancelStatus middle;
  detail::CancelStatus inner;
  detail::link_status(middle, &outer);
  detail::link_status(inner, &middle);
  outer.cancel_called = true;
  middle.cancel_called = true;
  outer.reason = middle.reason = std::make_shared<CancelReason>();
  detail::recalculate(outer);
  middle.shield = true;
  detail::recalculate(middle);
  EXPECT_TRUE(middle.effectively_cancelled);
  EXPECT_TRUE(inner.effectively_cancelled);
  detail::unlink_status(inner);
  detail::unlink_status(middle);
}

// trio: test_run.py::test_locals_destroyed_promptly_on_cancel
FIBER_TEST(CancelStatusTest, LocalsOfACancelledTaskAreGoneWhenTheNurseryReturns) {
  const auto token = std::make_shared<int>(0);
  open_nursery([&](Nursery& nursery) {
    for (int i = 0; i < 3; ++i) {
      nursery.start_soon([copy = token] {
        const std::vector<std::shared_ptr<int>> more(3, copy);
        sleep_forever();
      });
    }
    wait_all_tasks_blocked();
    EXPECT_EQ(token.use_count(), 13);
    nursery.cancel_scope().cancel();
  });
  EXPECT_EQ(token.use_count(), 1);
}

// Two scopes in two tasks do not see each other.
FIBER_TEST(CancelStatusTest, SiblingsAreIndependent) {
  std::vector<int> ended;
  std::deque<CancelScope> scopes(3);
  open_nursery([&](Nursery& nursery) {
    for (int i = 0; i < 3; ++i) {
      nursery.start_soon([&, i] {
        scopes[static_cast<std::size_t>(i)].run([] { sleep_forever(); });
        ended.push_back(i);
      });
    }
    for (const std::size_t i : {1U, 2U, 0U}) {
      wait_all_tasks_blocked();
      scopes[i].cancel();
    }
  });
  EXPECT_THAT(ended, ElementsAre(1, 2, 0));
}

}  // namespace
}  // namespace weft::fibers
