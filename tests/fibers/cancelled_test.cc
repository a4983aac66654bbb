// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/cancelled.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <exception>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

using std::chrono::seconds;
using testing::wait_all_tasks_blocked;

// Only the runtime makes one, and `catch (const std::exception&)` lets it pass.
// trio: test_cancelled.py::test_Cancelled_init
// trio: test_cancelled.py::test_Cancelled_subclass
static_assert(!std::is_default_constructible_v<Cancelled>);
static_assert(!std::is_base_of_v<std::exception, Cancelled>);
static_assert(!std::is_base_of_v<std::exception, KeyboardInterrupt>);
static_assert(std::is_copy_constructible_v<Cancelled>);

// Waits; `look` sees what the wait raises, which then goes on.
template <class Look>
void look_and_pass_on(Look&& look) {
  try {
    sleep_forever();
  } catch (const Cancelled& c) {
    look(c);
    throw;
  }
}

// trio: test_cancelled.py::test_cancel_reason
// trio: test_cancelled.py::test_Cancelled_str
FIBER_TEST(CancelledTest, SaysWhoCancelledAndWhy) {
  CancelScope scope;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      scope.run([] {
        look_and_pass_on([](const Cancelled& c) {
          EXPECT_EQ(c.source(), "explicit");
          EXPECT_EQ(c.reason(), "pigs fly");
          EXPECT_EQ(c.source_task(), "killer");
          EXPECT_EQ(c.what(),
                    "cancelled due to explicit with reason 'pigs fly' from task 'killer'");
        });
      });
    });
    wait_all_tasks_blocked();
    nursery.start_soon([&] { scope.cancel("pigs fly"); }, {.name = "killer"});
  });
  EXPECT_TRUE(scope.cancelled_caught());
}

// trio: test_cancelled.py::test_cancel_reason
FIBER_TEST(CancelledTest, ADeadlineIsASourceOfItsOwn) {
  bool looked = false;
  move_on_after(seconds(1), [&looked] {
    look_and_pass_on([&looked](const Cancelled& c) {
      looked = true;
      EXPECT_EQ(c.source(), "deadline");
      EXPECT_EQ(c.reason(), "");
      EXPECT_EQ(c.source_task(), "");
      EXPECT_EQ(c.what(), "cancelled due to deadline");
    });
  });
  EXPECT_TRUE(looked);
}

// trio: test_cancelled.py::test_cancel_reason_nursery
FIBER_TEST(CancelledTest, AFailedSiblingIsNamed) {
  bool looked = false;
  const auto body = [&](Nursery& nursery) {
    nursery.start_soon(
        [] {
          checkpoint();
          throw std::runtime_error("x");
        },
        {.name = "failing"});
    nursery.start_soon([&looked] {
      look_and_pass_on([&looked](const Cancelled& c) {
        looked = true;
        EXPECT_EQ(c.source(), "nursery");
        EXPECT_EQ(c.source_task(), "failing");
      });
    });
  };
  EXPECT_THROW(open_nursery(body), ExceptionGroup);
  EXPECT_TRUE(looked);
}

// trio: test_cancelled.py::test_cancel_reason_nursery2
// trio: test_cancelled.py::test_cancel_reason_nursery3
FIBER_TEST(CancelledTest, AFailedBodyIsNamedAfterItsTask) {
  bool looked = false;
  const auto body = [&](Nursery& nursery) {
    nursery.start_soon([&looked] {
      look_and_pass_on([&looked](const Cancelled& c) {
        looked = true;
        EXPECT_EQ(c.source(), "nursery");
        EXPECT_EQ(c.source_task(), "main");
      });
    });
    wait_all_tasks_blocked();
    throw std::runtime_error("x");
  };
  EXPECT_THROW(open_nursery(body), ExceptionGroup);
  EXPECT_TRUE(looked);
}

// trio: test_cancelled.py::test_cancel_reason_not_overwritten
FIBER_TEST(CancelledTest, TheFirstCauseWinsWhenADeadlineFollows) {
  CancelScope scope({.deadline = current_time() + seconds(5)});
  scope.run([&] {
    scope.cancel("first");
    {
      CancelScope shield({.shield = true});
      shield.run([] { sleep(seconds(10)); });
    }
    look_and_pass_on([](const Cancelled& c) {
      EXPECT_EQ(c.source(), "explicit");
      EXPECT_EQ(c.reason(), "first");
    });
  });
  EXPECT_TRUE(scope.cancelled_caught());
}

// trio: test_cancelled.py::test_cancel_reason_not_overwritten_2
FIBER_TEST(CancelledTest, TheFirstCauseWinsWhenACancelFollowsADeadline) {
  CancelScope scope({.deadline = current_time() + seconds(5)});
  scope.run([&] {
    {
      CancelScope shield({.shield = true});
      shield.run([] { sleep(seconds(10)); });
    }
    scope.cancel("second");
    look_and_pass_on([](const Cancelled& c) {
      EXPECT_EQ(c.source(), "deadline");
      EXPECT_EQ(c.reason(), "");
    });
  });
  EXPECT_TRUE(scope.cancelled_caught());
}

// trio: test_cancelled.py::test_nested_child_source
FIBER_TEST(CancelledTest, ScopesInsideInheritTheReason) {
  CancelScope outer;
  outer.run([&] {
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon([] {
        CancelScope inner;
        inner.run([] {
          look_and_pass_on([](const Cancelled& c) {
            EXPECT_EQ(c.source(), "explicit");
            EXPECT_EQ(c.reason(), "from above");
          });
        });
      });
      wait_all_tasks_blocked();
      outer.cancel("from above");
    });
  });
  EXPECT_TRUE(outer.cancelled_caught());
}

FIBER_TEST(CancelledTest, AScopeEnteredAfterwardsInheritsTheReasonToo) {
  CancelScope outer;
  outer.run([&] {
    outer.cancel("early");
    CancelScope inner;
    inner.run([&] {
      inner.cancel("late");
      look_and_pass_on([](const Cancelled& c) { EXPECT_EQ(c.reason(), "early"); });
    });
  });
  EXPECT_TRUE(outer.cancelled_caught());
}

// The Cancelled names the cause of the scope that catches it.
FIBER_TEST(CancelledTest, AnInnerScopeUnderAShieldHasAReasonOfItsOwn) {
  CancelScope outer;
  int seen = 0;
  outer.run([&] {
    outer.cancel("from outside");
    CancelScope inner;
    inner.run([&] {
      // Inherits the cancellation, and loses it again.
      EXPECT_THROW(checkpoint(), Cancelled);
      inner.set_shield(true);
      checkpoint();
      inner.cancel("its own");
      look_and_pass_on([&](const Cancelled& c) {
        ++seen;
        EXPECT_EQ(c.reason(), "its own");
      });
    });
    EXPECT_TRUE(inner.cancelled_caught());
    look_and_pass_on([&](const Cancelled& c) {
      ++seen;
      EXPECT_EQ(c.reason(), "from outside");
    });
  });
  EXPECT_EQ(seen, 2);
}

FIBER_TEST(CancelledTest, AnOuterScopesReasonTakesOver) {
  CancelScope outer;
  CancelScope inner;
  outer.run([&] {
    inner.run([&] {
      inner.cancel("inner");
      EXPECT_THROW(checkpoint(), Cancelled);
      outer.cancel("outer");
      look_and_pass_on([](const Cancelled& c) { EXPECT_EQ(c.reason(), "outer"); });
    });
  });
  EXPECT_FALSE(inner.cancelled_caught());
  EXPECT_TRUE(outer.cancelled_caught());
}

FIBER_TEST(CancelledTest, PassesHandlersOfStdException) {
  CancelScope scope;
  EXPECT_FALSE(scope.run([&] {
    scope.cancel();
    try {
      checkpoint();
    } catch (const std::exception& e) {
      ADD_FAILURE() << e.what();
    }
  }));
}

// It can be kept and looked at when the scope is long gone.
FIBER_TEST(CancelledTest, OutlivesItsScope) {
  std::exception_ptr kept;
  {
    CancelScope scope;
    scope.run([&] {
      scope.cancel("kept");
      try {
        checkpoint();
      } catch (...) {
        kept = std::current_exception();
        throw;
      }
    });
  }
  EXPECT_TRUE(holds<Cancelled>(kept));
  EXPECT_EQ(describe_exception(kept),
            "Cancelled: cancelled due to explicit with reason 'kept' from task 'main'");
}

// Trio: a system task is cancelled with source "shutdown" when main ends.
TEST(CancelledTest, TheEndOfMainShutsSystemTasksDown) {
  std::string reason;
  run([&] {
    spawn_system_task([&] { look_and_pass_on([&](const Cancelled& c) { reason = c.source(); }); });
    wait_all_tasks_blocked();
  });
  EXPECT_EQ(reason, "shutdown");
}

}  // namespace
}  // namespace weft::fibers
