// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A task that waits for a Boost fiber, in every schedule there is: the fiber's end against a
// cancellation and against the end of the shared thread. What Boost's own algorithm decides, which
// fiber is next, follows from the order of the tasks.

#include <gtest/gtest.h>

#include <boost/fiber/all.hpp>
#include <memory>
#include <optional>
#include <stdexcept>

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

// A result that has come counts, whether the task is cancelled before it or after.
UNFAIR_EXPLORE_TEST(BoostFiberAsTrioExplored, WhatHasBegunIsWaitedForToItsEnd) {
  bf::promise<int> answer;
  CancelScope scope;
  std::optional<int> got;
  bool begun = false;
  const auto ask = [&] {
    begun = true;
    return answer.get_future().get();
  };
  shared([&] {
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] { scope.run([&] { got = boost_fiber_as_trio(ask); }); });
      nursery.start_soon([&] { answer.set_value(7); });
      nursery.start_soon([&] { scope.cancel(); });
    });
  });
  EXPECT_EQ(got.has_value(), begun);
  EXPECT_NE(got.has_value(), scope.cancelled_caught());
}

// It is the task's, and not lost either if the task is cancelled before it comes.
UNFAIR_EXPLORE_TEST(BoostFiberAsTrioExplored, AnErrorMeetsACancellation) {
  bf::promise<void> told;
  CancelScope scope;
  bool begun = false;
  int errors = 0;
  const auto fail = [&] {
    begun = true;
    told.get_future().get();
    throw std::out_of_range("far");
  };
  shared([&] {
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] {
        scope.run([&] {
          try {
            boost_fiber_as_trio(fail);
          } catch (const std::out_of_range&) {
            ++errors;
          }
        });
      });
      nursery.start_soon([&] { told.set_value(); });
      nursery.start_soon([&] { scope.cancel(); });
    });
  });
  EXPECT_EQ(errors, begun ? 1 : 0);
  EXPECT_NE(errors == 1, scope.cancelled_caught());
}

// The value arrives, or is still in the channel; the fiber's operation_canceled is Cancelled.
UNFAIR_EXPLORE_TEST(BoostFiberAsTrioExplored, ACancelFunctionMeetsTheValueThatTheFiberWaitsFor) {
  bf::buffered_channel<int> channel(2);
  CancelScope scope;
  std::optional<int> got;
  int cancels = 0;
  bool sent = false;
  const auto pop = [&] {
    int value = 0;
    if (channel.pop(value) == bf::channel_op_status::success) return value;
    throw bf::fiber_error(std::make_error_code(std::errc::operation_canceled));
  };
  const auto close = [&] {
    ++cancels;
    channel.close();
    return CancelResult::kWillComplete;
  };
  shared([&] {
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] { scope.run([&] { got = boost_fiber_as_trio(pop, close); }); });
      nursery.start_soon([&] { sent = channel.try_push(7) == bf::channel_op_status::success; });
      nursery.start_soon([&] { scope.cancel(); });
    });
  });
  EXPECT_LE(cancels, 1);
  EXPECT_NE(got.has_value(), scope.cancelled_caught());
  int left = 0;
  const bool is_left = channel.try_pop(left) == bf::channel_op_status::success;
  EXPECT_EQ(sent, got.has_value() || is_left);
  EXPECT_FALSE(got.has_value() && is_left);
}

// The fiber goes on without the task, has its result dropped, and keeps nothing.
UNFAIR_EXPLORE_TEST(BoostFiberAsTrioExplored, AnAbandonedFiberEndsWithoutItsTask) {
  struct Abandoned {
    bf::promise<int> answer;
    Event ended;
    bool begun = false;
  };
  const auto kept = std::make_shared<Abandoned>();
  CancelScope scope;
  std::optional<int> got;
  const auto ask = [kept = kept] {
    kept->begun = true;
    const int value = kept->answer.get_future().get();
    kept->ended.set();
    return value;
  };
  shared([&] {
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon(
          [&] { scope.run([&] { got = boost_fiber_as_trio(ask, {.abandon_on_cancel = true}); }); });
      nursery.start_soon([&] { kept->answer.set_value(7); });
      nursery.start_soon([&] { scope.cancel(); });
    });
    if (kept->begun) kept->ended.wait();
  });
  EXPECT_NE(got.has_value(), scope.cancelled_caught());
  EXPECT_EQ(kept.use_count(), 2);  // The other one is in `ask`.
}

// Each task's fiber ends the other's, and the cancellation of one does not reach the other.
UNFAIR_EXPLORE_TEST(BoostFiberAsTrioExplored, TwoWaitsAtOnceEndEachOther) {
  bf::promise<int> first;
  bf::promise<int> second;
  CancelScope scope;
  std::optional<int> cancelled;
  std::optional<int> other;
  shared([&] {
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] {
        scope.run([&] {
          cancelled = boost_fiber_as_trio([&] {
            first.set_value(1);
            return second.get_future().get();
          });
        });
        if (!cancelled.has_value()) first.set_value(1);
      });
      nursery.start_soon([&] {
        other = boost_fiber_as_trio([&] {
          second.set_value(2);
          return first.get_future().get();
        });
      });
      nursery.start_soon([&] { scope.cancel(); });
    });
  });
  EXPECT_EQ(other, 1);
  EXPECT_EQ(cancelled.value_or(2), 2);
  EXPECT_NE(cancelled.has_value(), scope.cancelled_caught());
}

// A call of a task that is not the block's: it is waited for, or refused before the block has begun
// and after it has begun to end. Any ready task may be next: so the call comes at every moment.
UNFAIR_EXPLORE_TEST(ShareThreadExplored, ItsEndMeetsTheCallOfAnotherTask) {
  std::optional<int> got;
  bool refused = false;
  bool over = false;
  install();
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      try {
        got = boost_fiber_as_trio([] { return 7; });
        EXPECT_FALSE(over);
      } catch (const fibers::UsageError&) {
        refused = true;
      }
    });
    nursery.start_soon([&] {
      share_thread([] { checkpoint(); });
      over = true;
    });
  });
  EXPECT_NE(got.has_value(), refused);
}

// The second block is refused while the first has the thread.
UNFAIR_EXPLORE_TEST(ShareThreadExplored, ItsEndMeetsTheNextOne) {
  int sum = 0;
  int refused = 0;
  const auto share = [&](int value) {
    try {
      share_thread([&] { sum += boost_fiber_as_trio([value] { return value; }); });
    } catch (const fibers::UsageError&) {
      ++refused;
    }
  };
  install();
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { share(1); });
    nursery.start_soon([&] { share(2); });
  });
  EXPECT_EQ(refused, sum == 3 ? 0 : 1);
}

// A fiber that a task starts and leaves alone: whatever wakes it, it gets the thread.
UNFAIR_EXPLORE_TEST(ShareThreadExplored, NobodysFibersAreForgotten) {
  bf::promise<void> first;
  bf::promise<void> second;
  Event ended;
  int steps = 0;
  std::optional<Joined> fiber;
  shared([&] {
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] {
        fiber.emplace([&] {
          first.get_future().get();
          ++steps;
          second.get_future().get();
          ++steps;
          ended.set();
        });
      });
      nursery.start_soon([&] { first.set_value(); });
      nursery.start_soon([&] { second.set_value(); });
      ended.wait();
    });
  });
  EXPECT_EQ(steps, 2);
}

// Cancelled from outside while its body waits for a fiber that another task ends: whoever has
// begun is waited for, and the thread can be shared again.
UNFAIR_EXPLORE_TEST(ShareThreadExplored, ItsCancellationMeetsTheEndOfItsBody) {
  bf::promise<int> answer;
  CancelScope scope;
  std::optional<int> got;
  bool begun = false;
  const auto ask = [&] {
    begun = true;
    return answer.get_future().get();
  };
  install();
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon(
        [&] { scope.run([&] { got = share_thread([&] { return boost_fiber_as_trio(ask); }); }); });
    nursery.start_soon([&] { answer.set_value(7); });
    nursery.start_soon([&] { scope.cancel(); });
  });
  EXPECT_EQ(got.has_value(), begun);
  EXPECT_NE(got.has_value(), scope.cancelled_caught());
  EXPECT_EQ(share_thread([] { return boost_fiber_as_trio([] { return 3; }); }), 3);
}

// A fiber that never ends its turn for good does not keep tasks from theirs, nor they it.
EXPLORE_TEST(ShareThreadExplored, AFiberThatYieldsAndTasksTakeTurns) {
  bool stop = false;
  int turns = 0;
  shared([&] {
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] {
        boost_fiber_as_trio([&] {
          while (!stop) {
            ++turns;
            boost::this_fiber::yield();
          }
        });
      });
      nursery.start_soon([&] {
        checkpoint();
        checkpoint();
        stop = true;
      });
    });
  });
  EXPECT_LE(turns, 4);
}

}  // namespace
}  // namespace weft::boost_fiber
