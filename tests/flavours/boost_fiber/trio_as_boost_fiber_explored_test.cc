// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A Boost fiber that waits for a task, in every schedule there is: the task's end against its
// cancellation, which comes from the end of the block, from outside it, or from who waits for the
// fiber.

#include <gtest/gtest.h>

#include <boost/fiber/all.hpp>
#include <memory>
#include <optional>
#include <stdexcept>
#include <system_error>

#include "tests/flavours/boost_fiber/boost_fiber_testing.h"
#include "tests/support/unfair_explore_test.h"
#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/event.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/fiber_test.h"

namespace weft::boost_fiber {
namespace {

using fibers::CancelScope;
using fibers::checkpoint;
using fibers::Event;
using fibers::Nursery;
using fibers::open_nursery;

[[noreturn]] void throw_cancelled() {
  throw bf::fiber_error(std::make_error_code(std::errc::operation_canceled));
}

// What the two sides have seen of a task that waits for `asked`.
struct Call {
  Event asked;
  bool begun = false;       // The task.
  bool task_ended = false;  // With its result or error.
  std::optional<int> got;   // The fiber.
  bool fiber_cancelled = false;
  bool fails = false;  // How the task is to end.
  std::shared_ptr<int> kept = std::make_shared<int>(7);
};

// On a fiber.
int ask(Call& call) {
  try {
    call.got = trio_as_boost_fiber([&call, kept = call.kept] {
      call.begun = true;
      call.asked.wait();
      call.task_ended = true;
      if (call.fails) throw std::out_of_range("far");
      return *kept;
    });
    return *call.got;
  } catch (const bf::fiber_error& error) {
    call.fiber_cancelled = error.code() == std::errc::operation_canceled;
    throw;
  }
}

UNFAIR_EXPLORE_TEST(TrioAsBoostFiberExplored, AFiberGetsTheResultOfItsTask) {
  Call call;
  int answer = 0;
  shared([&] {
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] { answer = boost_fiber_as_trio([&] { return ask(call); }); });
      nursery.start_soon([&] { call.asked.set(); });
    });
  });
  EXPECT_EQ(answer, 7);
  EXPECT_EQ(call.kept.use_count(), 1);
}

// It is the fiber's alone, and through it the task's that waits for that: the block goes on.
UNFAIR_EXPLORE_TEST(TrioAsBoostFiberExplored, AFiberGetsTheErrorOfItsTask) {
  Call call;
  call.fails = true;
  int errors = 0;
  bool went_on = false;
  shared([&] {
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] {
        try {
          boost_fiber_as_trio([&] { return ask(call); });
        } catch (const std::out_of_range&) {
          ++errors;
        }
      });
      nursery.start_soon([&] { call.asked.set(); });
    });
    checkpoint();
    went_on = true;
  });
  EXPECT_EQ(errors, 1);
  EXPECT_TRUE(went_on);
  EXPECT_FALSE(call.fiber_cancelled);
  EXPECT_EQ(call.kept.use_count(), 1);
}

// The cancellation of who waits for the fiber does not reach the task that the fiber waits for.
UNFAIR_EXPLORE_TEST(TrioAsBoostFiberExplored, ACancelledTaskWaitsForTheFiberAndItsTask) {
  Call call;
  CancelScope scope;
  std::optional<int> answer;
  shared([&] {
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon(
          [&] { scope.run([&] { answer = boost_fiber_as_trio([&] { return ask(call); }); }); });
      nursery.start_soon([&] { call.asked.set(); });
      nursery.start_soon([&] { scope.cancel(); });
    });
  });
  EXPECT_EQ(answer.has_value(), call.begun);
  EXPECT_NE(answer.has_value(), scope.cancelled_caught());
  EXPECT_FALSE(call.fiber_cancelled);
  EXPECT_EQ(call.kept.use_count(), 1);
}

// Unless its cancel function says so: through the fiber, and back as Cancelled.
UNFAIR_EXPLORE_TEST(TrioAsBoostFiberExplored, ACancellationGoesThroughTheFiberAndBack) {
  Event asked;
  CancelScope outer;
  CancelScope inner;
  std::optional<int> answer;
  int values = 0;
  const auto fiber = [&] {
    std::optional<int> got;
    trio_as_boost_fiber([&] {
      inner.run([&] {
        asked.wait();
        got = 7;
        ++values;
      });
    });
    if (!got.has_value()) throw_cancelled();
    return *got;
  };
  const auto cancel = [&] {
    inner.cancel();
    return CancelResult::kWillComplete;
  };
  shared([&] {
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] { outer.run([&] { answer = boost_fiber_as_trio(fiber, cancel); }); });
      nursery.start_soon([&] { asked.set(); });
      nursery.start_soon([&] { outer.cancel(); });
    });
  });
  EXPECT_NE(answer.has_value(), outer.cancelled_caught());
  EXPECT_EQ(values, answer.has_value() ? 1 : 0);
}

// A fiber of nobody's, whose task the end of the block cancels unless it has ended.
UNFAIR_EXPLORE_TEST(TrioAsBoostFiberExplored, TheEndOfTheBlockMeetsTheEndOfATask) {
  Call call;
  install();
  {
    std::optional<Joined> fiber;
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] { call.asked.set(); });
      share_thread([&] {
        fiber.emplace([&] {
          try {
            ask(call);
          } catch (const bf::fiber_error&) {
          }
        });
        checkpoint();
        checkpoint();
      });
    });
  }
  EXPECT_NE(call.got.has_value(), call.fiber_cancelled);
  EXPECT_EQ(call.got.has_value(), call.task_ended);
  EXPECT_EQ(call.kept.use_count(), 1);
}

// From outside and by the task's own end; the fiber is called by a task of the block's body.
UNFAIR_EXPLORE_TEST(TrioAsBoostFiberExplored, TheCancellationOfTheBlockMeetsTheEndOfATask) {
  Call call;
  CancelScope scope;
  std::optional<int> answer;
  install();
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { call.asked.set(); });
    nursery.start_soon([&] { scope.cancel(); });
    scope.run(
        [&] { share_thread([&] { answer = boost_fiber_as_trio([&] { return ask(call); }); }); });
  });
  // A result that has come counts; only the block, which has nothing to wait for then, goes on.
  EXPECT_NE(answer.has_value(), call.fiber_cancelled || !call.begun);
  EXPECT_EQ(answer.has_value(), call.task_ended);
  EXPECT_TRUE(answer.has_value() || scope.cancelled_caught());
  EXPECT_EQ(call.kept.use_count(), 1);
}

// Two fibers whose tasks end each other's waits.
EXPLORE_TEST(TrioAsBoostFiberExplored, TwoFibersWhoseTasksMeet) {
  Event first;
  Event second;
  int sum = 0;
  shared([&] {
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] {
        sum += boost_fiber_as_trio([&] {
          return trio_as_boost_fiber([&] {
            first.set();
            second.wait();
            return 1;
          });
        });
      });
      nursery.start_soon([&] {
        sum += boost_fiber_as_trio([&] {
          return trio_as_boost_fiber([&] {
            second.set();
            first.wait();
            return 2;
          });
        });
      });
    });
  });
  EXPECT_EQ(sum, 3);
}

}  // namespace
}  // namespace weft::boost_fiber
