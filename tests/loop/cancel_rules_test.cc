// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What becomes of a cancellation where tasks, groups, timeouts and shields meet.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "tests/loop/loop_testing.h"
#include "weft/fibers/context_var.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/format_exception.h"
#include "weft/fibers/run.h"
#include "weft/loop/event.h"
#include "weft/loop/event_loop.h"
#include "weft/loop/shield.h"
#include "weft/loop/sync_loop.h"
#include "weft/loop/task.h"
#include "weft/loop/task_group.h"
#include "weft/loop/timeout.h"
#include "weft/loop/wait_for.h"

namespace weft::loop {
namespace {

using ::testing::ElementsAre;
using namespace testing;  // NOLINT: the helpers of the folder.

using Log = std::vector<std::string>;

Coro<std::string> done_after(fibers::Duration time) {
  co_await sleep(time);
  co_return "done";
}

// Throws when it is cancelled.
Coro<void> fails_when_cancelled(std::string why) {
  std::exception_ptr error;
  try {
    co_await sleep(10s);
  } catch (const CancelledError&) {
    error = std::make_exception_ptr(std::runtime_error(why));
  }
  if (error) std::rethrow_exception(error);
}

// What `body` throws, as text.
template <class Body>
std::string error_text(Body&& body) {
  try {
    body();
  } catch (const fibers::Cancelled&) {
    throw;
  } catch (...) {
    return fibers::format_exception(std::current_exception());
  }
  return "nothing";
}

// asyncio: test_tasks.py::BaseTaskTests::test_cancel_awaited_task
FIBER_TEST(CancelRulesTest, WhoHasCancelledItselfCancelsWhatItAwaitsNext) {
  with_loop([](EventLoop& loop) {
    auto never = loop.create_future<void>();
    Task<void> nested;
    auto task = loop.create_task([&]() -> Coro<void> {
      nested = loop.create_task([](Future<void> f) -> Coro<void> { co_await f; }(never));
      co_await sleep(0s);
      current_task().cancel();
      co_await nested;
    });
    EXPECT_THROW(await(task), CancelledError);
    EXPECT_TRUE(task.cancelled());
    EXPECT_TRUE(nested.cancelled());
    EXPECT_TRUE(never.cancelled());
  });
}

// asyncio: test_tasks.py::BaseTaskTests::test_cancel_both_task_and_inner_future
FIBER_TEST(CancelRulesTest, ATaskMayBeCancelledTogetherWithWhatItAwaits) {
  with_idle_loop([](EventLoop& loop) {
    auto never = loop.create_future<void>();
    auto task = loop.create_task([](Future<void> f) -> Coro<void> { co_await f; }(never));
    run_once(loop);
    EXPECT_TRUE(never.cancel());
    EXPECT_TRUE(task.cancel());
    run_once(loop);
    EXPECT_TRUE(task.cancelled());
  });
}

// asyncio: test_tasks.py::BaseTaskTests::test_baseexception_during_cancel
TEST(CancelRulesTest, AnInterruptOnBeingCancelledIsTheTasksErrorAndLeavesTheLoop) {
  SyncLoop loop;
  auto task = loop->create_task([]() -> Coro<void> {
    bool cancelled = false;
    try {
      co_await sleep(10s);
    } catch (const CancelledError&) {
      cancelled = true;
    }
    if (cancelled) throw fibers::KeyboardInterrupt();
  });
  loop.run_once();
  task.cancel();
  EXPECT_FALSE(task.done());
  EXPECT_THROW(loop.run_once(), fibers::KeyboardInterrupt);
  ASSERT_TRUE(task.done());
  EXPECT_FALSE(task.cancelled());
  EXPECT_THROW(task.result(), fibers::KeyboardInterrupt);
}

// asyncio: test_tasks.py::BaseTaskTests::test_yield_future_passes_cancel
FIBER_TEST(CancelRulesTest, EachCoroutineOnTheWayHearsOfIt) {
  Log log;
  with_idle_loop([&](EventLoop& loop) {
    auto waiter = loop.create_future<void>();
    const auto inner = [&]() -> Coro<void> {
      try {
        co_await waiter;
      } catch (const CancelledError&) {
        log.emplace_back("inner");
        throw;
      }
    };
    auto task = loop.create_task([&]() -> Coro<void> {
      try {
        co_await inner();
      } catch (const CancelledError&) {
        log.emplace_back("outer");
      }
    });
    run_once(loop);
    task.cancel();
    run_once(loop);
    EXPECT_TRUE(task.done());
    EXPECT_FALSE(task.cancelled());
    EXPECT_TRUE(waiter.cancelled());
  });
  EXPECT_THAT(log, ElementsAre("inner", "outer"));
}

// asyncio: test_tasks.py::BaseTaskTests::test_stop_while_run_in_complete
TEST(CancelRulesTest, ATaskMayStopTheLoopThatRunsUntilItIsDone) {
  SyncLoop loop;
  int rounds = 0;
  auto task = loop->create_task([&]() -> Coro<void> {
    while (rounds < 10) {
      co_await sleep(0s);
      if (++rounds == 2) loop.stop();
    }
  });
  EXPECT_THAT(error_text([&] { loop.run_until_complete(task); }),
              ::testing::HasSubstr("Event loop stopped before Future completed."));
  EXPECT_FALSE(task.done());
  EXPECT_EQ(rounds, 2);
  task.cancel();
  EXPECT_THROW(loop.run_until_complete(task), CancelledError);
}

fibers::ContextVar<std::string> g_value("cancel_rules_test");

// asyncio: test_tasks.py::BaseTaskTests::test_context_2
FIBER_TEST(CancelRulesTest, WhatADoneCallbackSetsIsNotTheTasks) {
  with_loop([](EventLoop& loop) {
    auto task = loop.create_task([&]() -> Coro<void> {
      for (const char* value : {"one", "two"}) {
        auto future = loop.create_future<void>();
        g_value.set(value);
        future.add_done_callback([] { g_value.set("something else"); });
        loop.call_soon([future]() mutable { future.set_result(); });
        co_await future;
        EXPECT_EQ(g_value.get_or("none"), value);
        co_await sleep(1s);
        EXPECT_EQ(g_value.get_or("none"), value);
      }
    });
    await(task);
    EXPECT_EQ(g_value.get_or("none"), "none");
  });
}

// asyncio: test_timeouts.py::TimeoutTests::test_timeout_zero_sleep_zero
// asyncio: test_timeouts.py::TimeoutTests::test_waiter_cancelled
FIBER_TEST(CancelRulesTest, ABareYieldIsAWaitForATimeoutOfZero) {
  with_loop([](EventLoop& loop) {
    bool cancelled = false;
    auto task = loop.create_task([&]() -> Coro<bool> {
      auto limit = timeout(0s);
      try {
        co_await limit.run([&]() -> Coro<void> {
          try {
            co_await sleep(0s);
            co_await sleep(0s);
          } catch (const CancelledError&) {
            cancelled = true;
            throw;
          }
        });
      } catch (const TimeoutError&) {
      }
      co_return limit.expired();
    });
    EXPECT_TRUE(await(task));
    EXPECT_TRUE(cancelled);
  });
}

// asyncio: test_timeouts.py::TimeoutTests::test_nested_timeout_in_finally
FIBER_TEST(CancelRulesTest, TheCleanUpOfATimeoutMayHaveOneOfItsOwn) {
  Log log;
  with_loop([&](EventLoop& loop) {
    auto task = loop.create_task([&] {
      try {
        timeout(1s).run([&] {
          try {
            await(sleep(10s));
          } catch (const CancelledError&) {
            log.push_back(error_text([] { timeout(1s).run([] { await(sleep(10s)); }); }));
            throw;
          }
        });
      } catch (const TimeoutError&) {
        log.emplace_back("outer");
      }
      EXPECT_EQ(current_task().cancelling(), 0U);
    });
    await(task);
    EXPECT_EQ(log.size(), 2U);
  });
  ASSERT_EQ(log.size(), 2U);
  EXPECT_THAT(log[0], ::testing::HasSubstr("TimeoutError"));
  EXPECT_EQ(log[1], "outer");
}

// asyncio: test_timeouts.py::TimeoutTests::test_timeout_taskgroup
FIBER_TEST(CancelRulesTest, AnErrorOfAGroupThatATimeoutCancelsComesOut) {
  with_loop([](EventLoop& loop) {
    auto task = loop.create_task([]() -> Coro<void> {
      co_await timeout(1s).run(task_group([](TaskGroup& tg) -> Coro<void> {
        tg.create_task(fails_when_cancelled("while cleaning up"));
        co_await sleep(10s);
      }));
    });
    EXPECT_THAT(error_text([&] { await(task); }), ::testing::HasSubstr("while cleaning up"));
    EXPECT_FALSE(task.cancelled());
  });
}

// asyncio: test_waitfor.py::AsyncioWaitForTest::test_wait_for_blocking
// asyncio: test_waitfor.py::WaitForShieldTests::test_none_timeout
FIBER_TEST(CancelRulesTest, WaitForWithoutALimitWaits) {
  with_loop([](EventLoop& loop) {
    EXPECT_EQ(await(loop.create_task(wait_for(done_after(1h), fibers::Duration::max()))), "done");
    auto task = loop.create_task(done_after(1h));
    auto shielded =
        loop.create_task([&] { return await(wait_for(shield(task), fibers::Duration::max())); });
    EXPECT_EQ(await(shielded), "done");
  });
}

// asyncio: test_waitfor.py::AsyncioWaitForTest::test_wait_for_cancel_suppressed
FIBER_TEST(CancelRulesTest, WhatSwallowsTheCancellationOfWaitForGivesItsResult) {
  with_loop([](EventLoop& loop) {
    auto task = loop.create_task([]() -> Coro<int> {
      co_return co_await wait_for(
          []() -> Coro<int> {
            try {
              co_await sleep(10s);
            } catch (const CancelledError&) {
            }
            co_return 42;
          }(),
          1s);
    });
    EXPECT_EQ(await(task), 42);
  });
}

// asyncio: test_waitfor.py::AsyncioWaitForTest::test_wait_for_issue86296
FIBER_TEST(CancelRulesTest, ACancellationThatComesWithTheResultOfWaitForIsNotLost) {
  bool reached_the_end = false;
  with_idle_loop([&](EventLoop& loop) {
    auto inner = loop.create_task([]() -> Coro<int> { co_return 1; });
    auto task = loop.create_task([&]() -> Coro<void> {
      co_await wait_for(inner, 100s);
      co_await sleep(1s);
      reached_the_end = true;
    });
    run_once(loop);
    EXPECT_TRUE(task.cancel());
    for (int i = 0; i < 3; ++i) run_once(loop);
    EXPECT_TRUE(task.cancelled());
    EXPECT_EQ(inner.result(), 1);
  });
  EXPECT_FALSE(reached_the_end);
}

// asyncio: test_waitfor.py::WaitForShieldTests::test_zero_timeout
// asyncio: test_waitfor.py::WaitForShieldTests::test_shielded_timeout
FIBER_TEST(CancelRulesTest, WaitForDoesNotReachWhatIsShielded) {
  for (const fibers::Duration limit : {fibers::Duration(0s), fibers::Duration(1s)}) {
    with_loop([&](EventLoop& loop) {
      auto task = loop.create_task(done_after(10s));
      auto waits = loop.create_task([&] {
        auto outer = shield(task);
        EXPECT_THROW(await(wait_for(outer, limit)), TimeoutError);
        EXPECT_TRUE(outer.cancelled());
      });
      await(waits);
      EXPECT_FALSE(task.done());
      EXPECT_EQ(await(task), "done");
    });
  }
}

// asyncio: test_taskgroups.py::TestTaskGroup::test_taskgroup_11
FIBER_TEST(CancelRulesTest, ErrorsOnTheWayOutOfNestedGroupsKeepTheirShape) {
  with_loop([](EventLoop& loop) {
    auto task = loop.create_task([]() -> Coro<void> {
      co_await task_group([](TaskGroup&) -> Coro<void> {
        co_await task_group([](TaskGroup& inner) -> Coro<void> {
          for (int i = 0; i < 5; ++i) inner.create_task(fails_when_cancelled("failed"));
          co_await sleep(10s);
        });
      });
    });
    loop.synchronize();
    loop.synchronize();
    EXPECT_FALSE(task.done());
    task.cancel();
    try {
      await(task);
      ADD_FAILURE();
    } catch (const fibers::ExceptionGroup& outer) {
      ASSERT_EQ(outer.exceptions().size(), 1U);
      const auto* inner = fibers::exception_cast<fibers::ExceptionGroup>(outer.exceptions()[0]);
      ASSERT_NE(inner, nullptr);
      EXPECT_EQ(inner->exceptions().size(), 5U);
    }
  });
}

// asyncio: test_taskgroups.py::TestTaskGroup::test_taskgroup_19
FIBER_TEST(CancelRulesTest, TheErrorOfATaskAndThatOfTheCancelledBodyComeOutTogether) {
  with_loop([](EventLoop& loop) {
    auto task = loop.create_task([]() -> Coro<void> {
      co_await task_group([](TaskGroup& tg) -> Coro<void> {
        tg.create_task(fails_after(1s, "of the task"));
        co_await fails_when_cancelled("of the body");
      });
    });
    const std::string text = error_text([&] { await(task); });
    EXPECT_THAT(text, ::testing::HasSubstr("of the task"));
    EXPECT_THAT(text, ::testing::HasSubstr("of the body"));
  });
}

// asyncio: test_taskgroups.py::TestTaskGroup::test_taskgroup_22
FIBER_TEST(CancelRulesTest, AGroupThatIsCancelledWhileItWaitsIsCancelled) {
  with_loop([](EventLoop& loop) {
    auto task = loop.create_task([]() -> Coro<void> {
      co_await task_group([](TaskGroup& tg) -> Coro<void> {
        tg.create_task(done_after(1s));
        tg.create_task(done_after(2s));
        co_return;
      });
    });
    loop.synchronize();
    task.cancel();
    EXPECT_THROW(await(task), CancelledError);
    EXPECT_EQ(all_tasks(loop).size(), 0U);
  });
}

// asyncio: test_taskgroups.py::TestTaskGroup::test_nested_groups_both_cancelled
// asyncio: test_taskgroups.py::TestTaskGroup::test_cancelling_level_preserved
FIBER_TEST(CancelRulesTest, TwoNestedGroupsThatFailTogetherBothSaySo) {
  Log log;
  with_loop([&](EventLoop& loop) {
    auto task = loop.create_task([&]() -> Coro<void> {
      try {
        co_await task_group([&](TaskGroup& outer) -> Coro<void> {
          try {
            co_await task_group([&](TaskGroup& inner) -> Coro<void> {
              inner.create_task(fails_after(0s, "inner"));
              outer.create_task(fails_after(0s, "outer"));
              co_return;
            });
          } catch (const fibers::ExceptionGroup& group) {
            log.push_back(fibers::describe_exception(group.exceptions().at(0)));
          }
          log.push_back(std::to_string(current_task().cancelling()));
        });
      } catch (const fibers::ExceptionGroup& group) {
        log.push_back(fibers::describe_exception(group.exceptions().at(0)));
      }
      log.push_back(std::to_string(current_task().cancelling()));
    });
    await(task);
  });
  EXPECT_THAT(log, ElementsAre("std::runtime_error: inner", "1", "std::runtime_error: outer", "0"));
}

// asyncio: test_taskgroups.py::TestTaskGroup::test_error_and_cancel
FIBER_TEST(CancelRulesTest, ACancellationThatComesWithAnErrorIsHeardOfAfterTheGroup) {
  WEFT_NOT_ALLOCATION_SWEPT("nobody else cancels its task");
  Log log;
  with_loop([&](EventLoop& loop) {
    Event failing;
    auto inner = loop.create_task([&]() -> Coro<void> {
      try {
        co_await task_group([&](TaskGroup& tg) -> Coro<void> {
          tg.create_task([](Event& e) -> Coro<void> {
            e.set();
            co_await sleep(0s);
            throw std::runtime_error("failed");
          }(failing));
          co_await sleep(1s);
          log.emplace_back("not reached");
        });
      } catch (const fibers::ExceptionGroup&) {
        log.push_back(std::to_string(current_task().cancelling()));
      }
      co_await sleep(1s);
      log.emplace_back("not reached either");
    });
    auto outer = loop.create_task([&]() -> Coro<void> {
      co_await failing.wait();
      EXPECT_EQ(inner.cancelling(), 0U);
      inner.cancel();
      EXPECT_EQ(inner.cancelling(), 1U);
      co_return;
    });
    EXPECT_THROW(await(inner), CancelledError);
    await(outer);
  });
  EXPECT_THAT(log, ElementsAre("1"));
}

}  // namespace
}  // namespace weft::loop
