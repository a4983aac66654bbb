// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/timeout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/loop/loop_testing.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/testing/mock_clock.h"
#include "weft/loop/event_loop.h"

namespace weft::loop {
namespace {

using ::testing::HasSubstr;
using namespace testing;  // NOLINT: the helpers of the folder.

// asyncio: test_timeouts.py::TimeoutTests::test_timeout_basic
FIBER_TEST(TimeoutTest, CutsACoroutineShort) {
  with_loop([](EventLoop& loop) {
    auto task = loop.create_task([&loop]() -> Coro<void> {
      auto limit = timeout(1s);
      const auto start = loop.time();
      bool timed_out = false;
      try {
        co_await limit.run(sleep(10s));
      } catch (const TimeoutError&) {
        timed_out = true;
      }
      EXPECT_TRUE(timed_out);
      EXPECT_TRUE(limit.expired());
      EXPECT_EQ(limit.when(), start + 1s);
      EXPECT_EQ(loop.time() - start, 1s);
      EXPECT_EQ(current_task().cancelling(), 0U);
      co_await sleep(1s);  // Nothing of it is left.
    });
    await(task);
  });
}

FIBER_TEST(TimeoutTest, CutsAFunctionOnAStackShort) {
  with_loop([](EventLoop& loop) {
    auto task = loop.create_task([&loop] {
      auto limit = timeout(1s);
      const auto start = loop.time();
      EXPECT_THROW(limit.run([] { await(sleep(10s)); }), TimeoutError);
      EXPECT_TRUE(limit.expired());
      EXPECT_EQ(loop.time() - start, 1s);
      EXPECT_EQ(current_task().cancelling(), 0U);
      await(sleep(1s));
    });
    await(task);
  });
}

FIBER_TEST(TimeoutTest, CutsWaitsOfFibersShortHoweverOften) {
  with_loop([](EventLoop& loop) {
    auto stack = loop.create_task([&loop] {
      for (int i = 0; i < 3; ++i) {
        const auto start = loop.time();
        EXPECT_THROW(timeout(1s).run([] { fibers::sleep(10s); }), TimeoutError);
        EXPECT_EQ(loop.time() - start, 1s);
        EXPECT_THROW(timeout(1s).run([] { await(sleep(10s)); }), TimeoutError);
        fibers::sleep(1s);
      }
    });
    await(stack);
    auto coro = loop.create_task([]() -> Coro<void> {
      bool timed_out = false;
      try {
        co_await timeout(1s).run([]() -> Coro<void> {
          fibers::sleep(10s);
          co_return;
        });
      } catch (const TimeoutError&) {
        timed_out = true;
      }
      EXPECT_TRUE(timed_out);
      fibers::sleep(1s);
      co_await sleep(1s);
    });
    await(coro);
  });
}

// asyncio: test_timeouts.py::TimeoutTests::test_timeout_not_called
FIBER_TEST(TimeoutTest, ABodyThatEndsInTimeGivesItsValue) {
  with_loop([](EventLoop& loop) {
    auto task = loop.create_task([&loop]() -> Coro<int> {
      auto limit = timeout(10s);
      const auto start = loop.time();
      auto six = co_await limit.run([]() -> Coro<std::unique_ptr<int>> {
        co_await sleep(1s);
        co_return std::make_unique<int>(6);
      });
      EXPECT_FALSE(limit.expired());
      EXPECT_EQ(limit.when(), start + 10s);
      co_return *six* timeout(1s).run([] { return 7; });
    });
    EXPECT_EQ(await(task), 42);
  });
}

// asyncio: test_timeouts.py::TimeoutTests::test_timeout_disabled
// asyncio: test_timeouts.py::TimeoutTests::test_timeout_at_disabled
FIBER_TEST(TimeoutTest, MayHaveNoLimit) {
  with_loop([](EventLoop& loop) {
    auto task = loop.create_task([] {
      auto limit = timeout(fibers::Duration::max());
      limit.run([] { await(sleep(1h)); });
      EXPECT_FALSE(limit.expired());
      EXPECT_EQ(limit.when(), fibers::kForever);
    });
    await(task);
  });
}

// asyncio: test_timeouts.py::TimeoutTests::test_timeout_zero
// asyncio: test_timeouts.py::TimeoutTests::test_timeout_in_the_past_sleep_zero
// asyncio: claims_combinators::timeout_zero_or_past_cancels_at_the_first_await
FIBER_TEST(TimeoutTest, ATimeThatHasPassedCancelsAtTheFirstWait) {
  for (const fibers::Duration delay : {0s, -1s}) {
    std::vector<std::string> log;
    with_loop([&](EventLoop& loop) {
      auto coro = loop.create_task([&]() -> Coro<void> {
        bool timed_out = false;
        try {
          co_await timeout(delay).run([&]() -> Coro<void> {
            log.emplace_back("begins");
            co_await sleep(10s);
            log.emplace_back("not here");
          });
        } catch (const TimeoutError&) {
          timed_out = true;
        }
        EXPECT_TRUE(timed_out);
      });
      await(coro);
      auto stack = loop.create_task([&] {
        EXPECT_THROW(timeout_at(loop.time() + delay).run([&] {
          log.emplace_back("begins");
          await(sleep(10s));
          log.emplace_back("not here");
        }),
                     TimeoutError);
      });
      await(stack);
    });
    EXPECT_THAT(log, ::testing::ElementsAre("begins", "begins"));
  }
}

// asyncio: test_timeouts.py::TimeoutTests::test_foreign_exception_passed
// asyncio: claims_combinators::timeout_leaves_foreign_cancellations_and_errors
FIBER_TEST(TimeoutTest, ErrorsOfTheBodyPass) {
  with_loop([](EventLoop& loop) {
    auto task = loop.create_task([] {
      auto limit = timeout(1s);
      EXPECT_THROW(limit.run([] { throw std::runtime_error("mine"); }), std::runtime_error);
      EXPECT_FALSE(limit.expired());
    });
    await(task);
  });
}

// asyncio: test_timeouts.py::TimeoutTests::test_foreign_exception_on_timeout
FIBER_TEST(TimeoutTest, AnErrorThrownOnBeingCancelledPasses) {
  with_loop([](EventLoop& loop) {
    auto task = loop.create_task([] {
      auto limit = timeout(1s);
      EXPECT_THROW(limit.run([] {
        try {
          await(sleep(10s));
        } catch (const CancelledError&) {
          throw std::runtime_error("while leaving");
        }
      }),
                   std::runtime_error);
      EXPECT_TRUE(limit.expired());
      EXPECT_EQ(current_task().cancelling(), 0U);
    });
    await(task);
  });
}

// asyncio: test_timeouts.py::TimeoutTests::test_foreign_cancel_doesnt_timeout_if_not_expired
// asyncio: claims_combinators::timeout_leaves_foreign_cancellations_and_errors
FIBER_TEST(TimeoutTest, ACancellationByOthersPasses) {
  with_loop([](EventLoop& loop) {
    auto limit = timeout_at(fibers::kForever);
    auto coro = loop.create_task([&]() -> Coro<void> { co_await limit.run(sleep(10s)); });
    auto stack = loop.create_task([] { timeout(20s).run([] { await(sleep(10s)); }); });
    loop.synchronize();
    EXPECT_TRUE(coro.cancel());
    EXPECT_TRUE(stack.cancel());
    EXPECT_THROW(await(coro), CancelledError);
    EXPECT_THROW(await(stack), CancelledError);
    EXPECT_FALSE(limit.expired());
  });
}

// asyncio: test_timeouts.py::TimeoutTests::test_outer_task_is_not_cancelled
FIBER_TEST(TimeoutTest, TheTaskGoesOnAfterwards) {
  with_loop([](EventLoop& loop) {
    auto task = loop.create_task([]() -> Coro<bool> {
      try {
        co_await timeout(1s).run(sleep(10s));
      } catch (const TimeoutError&) {
      }
      co_return true;
    });
    EXPECT_TRUE(await(task));
    EXPECT_FALSE(task.cancelled());
  });
}

// asyncio: test_timeouts.py::TimeoutTests::test_nested_timeouts
// asyncio: claims_combinators::timeouts_nest
FIBER_TEST(TimeoutTest, TheInnerOneOfTwoIsNotTheOuterOnes) {
  with_loop([](EventLoop& loop) {
    auto task = loop.create_task([] {
      auto outer = timeout(2s);
      auto inner = timeout(1s);
      EXPECT_THROW(outer.run([&] { inner.run([] { await(sleep(10s)); }); }), TimeoutError);
      EXPECT_TRUE(inner.expired());
      EXPECT_FALSE(outer.expired());
      // And the other way round.
      auto first = timeout(1s);
      auto later = timeout(2s);
      EXPECT_THROW(first.run([&] { later.run([] { await(sleep(10s)); }); }), TimeoutError);
      EXPECT_TRUE(first.expired());
      EXPECT_FALSE(later.expired());
    });
    await(task);
  });
}

// asyncio: test_timeouts.py::TimeoutTests::test_nested_timeouts_concurrent
// asyncio: claims_combinators::timeouts_of_a_busy_loop_expire_together
FIBER_TEST(TimeoutTest, OfTwoThatExpireTogetherBothHave) {
  with_loop([](EventLoop& loop) {
    auto coro = loop.create_task([]() -> Coro<void> {
      auto outer = timeout(1s);
      auto inner = timeout(1s);
      bool timed_out = false;
      try {
        co_await outer.run([&]() -> Coro<void> { co_await inner.run(sleep(10s)); });
      } catch (const TimeoutError&) {
        timed_out = true;
      }
      EXPECT_TRUE(timed_out);
      EXPECT_TRUE(outer.expired());
      EXPECT_TRUE(inner.expired());
      EXPECT_EQ(current_task().cancelling(), 0U);
    });
    await(coro);
  });
}

// Which of two timeouts, of 10 and 100 ms, are thrown if the loop is busy for `busy` inside of
// both. The outer one cuts short what comes after the inner one.
std::vector<std::string> thrown_after(fibers::Duration busy) {
  fibers::testing::MockClock clock(0.0, fibers::Duration::zero());
  std::vector<std::string> thrown;
  const auto body = [&](Timeout& inner) -> Coro<void> {
    const auto works = [&]() -> Coro<void> {
      clock.jump(busy);
      co_await sleep(1s);
    };
    try {
      co_await inner.run(works());
    } catch (const TimeoutError&) {
      thrown.emplace_back("inner");
    }
    co_await sleep(10s);
  };
  const auto run_both = [&](EventLoop& loop) -> Coro<void> {
    const fibers::Instant begun = loop.time();
    auto outer = timeout(100ms);
    auto inner = timeout(10ms);
    try {
      co_await outer.run(body(inner));
    } catch (const TimeoutError&) {
      thrown.emplace_back("outer");
    }
    EXPECT_TRUE(inner.expired());
    EXPECT_TRUE(outer.expired());
    EXPECT_EQ(loop.time() - begun, 100ms);
    EXPECT_EQ(current_task().cancelling(), 0U);
  };
  fibers::testing::run_fiber_test(
      [&] { with_loop([&](EventLoop& loop) { await(loop.create_task(run_both(loop))); }); },
      {.clock = &clock});
  return thrown;
}

// If both expire before the loop turns, what is thrown once is the outer one's.
// asyncio: test_timeouts.py::TimeoutTests::test_nested_timeouts_loop_busy
// asyncio: claims_combinators::timeouts_of_a_busy_loop_expire_together
TEST(BusyTimeoutTest, TheOuterOneEndsWhatComesAfterTheInnerOne) {
  EXPECT_EQ(thrown_after(50ms), (std::vector<std::string>{"inner", "outer"}));
  EXPECT_EQ(thrown_after(100ms), std::vector<std::string>{"outer"});
}

// asyncio: test_timeouts.py::TimeoutTests::test_reschedule
// asyncio: claims_combinators::timeout_reschedules
FIBER_TEST(TimeoutTest, MayBeRescheduled) {
  with_loop([](EventLoop& loop) {
    auto task = loop.create_task([&loop] {
      const auto start = loop.time();
      auto limit = timeout(1s);
      EXPECT_THROW(limit.run([&] {
        limit.reschedule(start + 3s);
        EXPECT_EQ(limit.when(), start + 3s);
        await(sleep(2s));
        EXPECT_FALSE(limit.expired());
        await(sleep(2s));
      }),
                   TimeoutError);
      EXPECT_EQ(loop.time() - start, 3s);
      auto to_never = timeout(1s);
      to_never.run([&] {
        to_never.reschedule(fibers::kForever);
        await(sleep(10s));
      });
      auto to_now = timeout_at(fibers::kForever);
      EXPECT_THROW(to_now.run([&] {
        to_now.reschedule(loop.time());
        await(sleep(10s));
      }),
                   TimeoutError);
    });
    await(task);
  });
}

// asyncio: claims_combinators::timeout_is_not_usable_twice
// asyncio: test_timeouts.py::TimeoutTests::test_timeout_already_entered
// asyncio: test_timeouts.py::TimeoutTests::test_timeout_double_enter
// asyncio: test_timeouts.py::TimeoutTests::test_timeout_finished
// asyncio: test_timeouts.py::TimeoutTests::test_timeout_expired
// asyncio: test_timeouts.py::TimeoutTests::test_timeout_expiring
// asyncio: test_timeouts.py::TimeoutTests::test_timeout_not_entered
// asyncio: test_timeouts.py::TimeoutTests::test_timeout_without_task
FIBER_TEST(TimeoutTest, WrongUseIsRefused) {
  with_loop([](EventLoop& loop) {
    auto task = loop.create_task([&loop] {
      auto limit = timeout(1s);
      EXPECT_THAT(thrown<fibers::UsageError>([&] { limit.reschedule(loop.time()); }),
                  HasSubstr("has not been entered"));
      EXPECT_THROW(limit.run([&] {
        try {
          await(sleep(10s));
        } catch (const CancelledError&) {
          EXPECT_THAT(thrown<fibers::UsageError>([&] { limit.reschedule(fibers::kForever); }),
                      HasSubstr("Cannot change state of expiring Timeout"));
          throw;
        }
      }),
                   TimeoutError);
      EXPECT_THAT(thrown<fibers::UsageError>([&] { limit.reschedule(fibers::kForever); }),
                  HasSubstr("Cannot change state of expired Timeout"));
      EXPECT_THAT(thrown<fibers::UsageError>([&] { limit.run([] {}); }),
                  HasSubstr("Timeout has already been entered"));
      auto finished = timeout(1s);
      finished.run([] {});
      EXPECT_THAT(thrown<fibers::UsageError>([&] { finished.reschedule(fibers::kForever); }),
                  HasSubstr("Cannot change state of finished Timeout"));
    });
    await(task);
    EXPECT_THAT(thrown<fibers::UsageError>([&] { timeout_at(loop.time()).run([] {}); }),
                HasSubstr("Timeout should be used inside a task"));
    EXPECT_THROW(timeout(1s), fibers::UsageError);
  });
}

// asyncio: test_timeouts.py::TimeoutTests::test_cancel_in_timeout_after_cancellation
// asyncio: test_timeouts.py::TimeoutTests::test_timeout_after_cancellation
FIBER_TEST(TimeoutTest, WhoWasCancelledBeforeMayStillUseOne) {
  with_loop([](EventLoop& loop) {
    auto task = loop.create_task([] {
      try {
        await(sleep(10s));
      } catch (const CancelledError&) {
        EXPECT_EQ(current_task().cancelling(), 1U);
        EXPECT_THROW(timeout(1s).run([] { await(sleep(10s)); }), TimeoutError);
        EXPECT_EQ(current_task().cancelling(), 1U);
        throw;
      }
    });
    loop.synchronize();
    task.cancel();
    EXPECT_THROW(await(task), CancelledError);
  });
}

FIBER_TEST(TimeoutTest, ACancellationThatComesWithTheTimeWins) {
  with_loop([](EventLoop& loop) {
    auto limit = timeout_at(loop.time() + 1s);
    auto task = loop.create_task([&] { limit.run([] { await(sleep(10s)); }); });
    loop.synchronize();
    loop.call_at(limit.when(), [&] { task.cancel(); });
    EXPECT_THROW(await(task), CancelledError);
    EXPECT_TRUE(limit.expired());
    EXPECT_TRUE(task.cancelled());
  });
}

FIBER_TEST(TimeoutTest, ABodyThatSwallowsTheCancellationGivesItsValue) {
  with_loop([](EventLoop& loop) {
    auto task = loop.create_task([] {
      auto limit = timeout(1s);
      const int value = limit.run([] {
        try {
          await(sleep(10s));
        } catch (const CancelledError&) {
        }
        await(sleep(1s));
        return 7;
      });
      EXPECT_TRUE(limit.expired());
      return value;
    });
    EXPECT_EQ(await(task), 7);
  });
}

// asyncio: test_timeouts.py::TimeoutTests::test_timeout_at_basic
FIBER_TEST(TimeoutTest, MayBeGivenTheTimeInsteadOfADelay) {
  with_loop([](EventLoop& loop) {
    auto task = loop.create_task([&loop]() -> Coro<void> {
      const auto deadline = loop.time() + 1s;
      auto limit = timeout_at(deadline);
      bool timed_out = false;
      try {
        co_await limit.run(sleep(10s));
      } catch (const TimeoutError&) {
        timed_out = true;
      }
      EXPECT_TRUE(timed_out);
      EXPECT_TRUE(limit.expired());
      EXPECT_EQ(limit.when(), deadline);
      EXPECT_EQ(loop.time(), deadline);
    });
    await(task);
  });
}

}  // namespace
}  // namespace weft::loop
