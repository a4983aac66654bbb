// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "tests/loop/loop_testing.h"

namespace weft::loop {
namespace {

using fibers::Duration;
using fibers::Instant;
using testing::run_once;
using testing::with_idle_loop;
using testing::with_loop;
using namespace std::chrono_literals;

// asyncio: claims_timers::not_late
// asyncio: test_events.py::EventLoopTestsMixin::test_call_later
// asyncio: test_events.py::TimerTests::test_when
// asyncio: test_base_events.py::BaseEventLoopTests::test_call_later
FIBER_TEST(TimerTest, FiresExactlyWhenDue) {
  with_loop([](EventLoop& loop) {
    const Instant start = loop.time();
    Instant fired{};
    const TimerHandle handle = loop.call_later(1500ms, [&] { fired = loop.time(); });
    EXPECT_EQ(handle.when(), start + 1500ms);
    fibers::sleep(10s);
    EXPECT_EQ(fired, start + 1500ms);
  });
}

// asyncio: test_base_events.py::BaseEventLoopTests::test_time_and_call_at
FIBER_TEST(TimerTest, RunsTheLoopUntilItIsTime) {
  with_idle_loop([](EventLoop& loop) {
    const Instant begun = loop.time();
    loop.call_at(begun + 100ms, [&] { loop.stop(); });
    loop.main_loop();
    EXPECT_EQ(loop.time(), begun + 100ms);
  });
}

// asyncio: claims_timers::never_early
FIBER_TEST(TimerTest, NeverFiresANanosecondEarly) {
  with_idle_loop([](EventLoop& loop) {
    bool fired = false;
    loop.call_later(1ns, [&] { fired = true; });
    run_once(loop);
    EXPECT_FALSE(fired);
    fibers::sleep(1ns);
    run_once(loop);
    EXPECT_TRUE(fired);
  });
}

FIBER_TEST(TimerTest, DueTimersRunInTheOrderOfTheirDeadlines) {
  with_loop([](EventLoop& loop) {
    std::vector<int> order;
    for (int delay : {3, 1, 2, 5, 4}) {
      loop.call_later(std::chrono::seconds(delay), [&order, delay] { order.push_back(delay); });
    }
    fibers::sleep(1min);
    EXPECT_EQ(order, (std::vector{1, 2, 3, 4, 5}));
  });
}

FIBER_TEST(TimerTest, TimersThatAreLateTogetherKeepTheirOrder) {
  with_idle_loop([](EventLoop& loop) {
    std::vector<int> order;
    for (int delay : {3, 1, 2}) {
      loop.call_later(std::chrono::seconds(delay), [&order, delay] { order.push_back(delay); });
    }
    fibers::sleep(10s);
    run_once(loop);
    EXPECT_EQ(order, (std::vector{1, 2, 3}));
    EXPECT_EQ(loop.statistics().iterations, 1U);
  });
}

// asyncio: claims_timers::equal_deadlines_are_fifo
FIBER_TEST(TimerTest, EqualDeadlinesInTheOrderOfTheCalls) {
  with_idle_loop([](EventLoop& loop) {
    std::vector<int> order;
    const Instant when = loop.time() + 1s;
    for (int i = 0; i < 100; ++i) loop.call_at(when, [&order, i] { order.push_back(i); });
    fibers::sleep(1s);
    run_once(loop);
    ASSERT_EQ(order.size(), 100U);
    EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
  });
}

// asyncio: claims_timers::negative_delays_keep_their_order
// asyncio: test_base_events.py::BaseEventLoopTests::test_call_later_negative_delays
FIBER_TEST(TimerTest, NegativeDelaysAreOrderedToo) {
  with_idle_loop([](EventLoop& loop) {
    std::vector<int> order;
    loop.call_later(0s, [&] { order.push_back(0); });
    loop.call_later(-1s, [&] { order.push_back(-1); });
    loop.call_later(-2s, [&] { order.push_back(-2); });
    run_once(loop);
    EXPECT_EQ(order, (std::vector{-2, -1, 0}));
  });
}

// asyncio: claims_timers::no_delay_goes_through_the_heap
FIBER_TEST(TimerTest, DueTimersComeAfterWhatIsReady) {
  with_idle_loop([](EventLoop& loop) {
    std::vector<std::string> order;
    loop.call_later(0s, [&] { order.emplace_back("timer"); });
    loop.call_soon([&] { order.emplace_back("soon"); });
    run_once(loop);
    EXPECT_EQ(order, (std::vector<std::string>{"soon", "timer"}));
  });
}

// asyncio: claims_timers::cancel_twice_or_after_firing_is_harmless
// asyncio: test_events.py::TimerTests::test_timer
FIBER_TEST(TimerTest, CancelledTimerNeverFiresAndLeavesAtOnce) {
  with_loop([](EventLoop& loop) {
    auto resource = std::make_shared<int>(0);
    TimerHandle handle = loop.call_later(1s, [resource] { ADD_FAILURE(); });
    handle.cancel();
    handle.cancel();
    EXPECT_TRUE(handle.cancelled());
    EXPECT_EQ(resource.use_count(), 1);
    EXPECT_EQ(loop.statistics().timers, 0U);
    fibers::sleep(2s);
  });
}

// asyncio: claims_timers::cancelled_timers_are_taken_out
// asyncio: test_base_events.py::BaseEventLoopTests::test__run_once_cancelled_event_cleanup
FIBER_TEST(TimerTest, CancelledTimersTakeNoRoom) {
  with_idle_loop([](EventLoop& loop) {
    loop.call_later(1h, [] {});
    for (int i = 0; i < 1000; ++i) loop.call_later(1h, [] {}).cancel();
    EXPECT_EQ(loop.statistics().timers, 1U);
  });
}

FIBER_TEST(TimerTest, TimerThatIsDueCanStillBeCancelledByOneBefore) {
  with_idle_loop([](EventLoop& loop) {
    TimerHandle second;
    loop.call_later(1s, [&] { second.cancel(); });
    second = loop.call_later(2s, [] { ADD_FAILURE(); });
    fibers::sleep(5s);
    run_once(loop);
    EXPECT_EQ(loop.statistics().callbacks_run, 1U);
  });
}

FIBER_TEST(TimerTest, EarlierTimerFromAnotherTaskIsNotLate) {
  with_loop([](EventLoop& loop) {
    const Instant start = loop.time();
    loop.call_later(1h, [] {});
    fibers::sleep(1s);  // The loop waits for that one now.
    Instant fired{};
    loop.call_later(1s, [&] { fired = loop.time(); });
    fibers::sleep(1min);
    EXPECT_EQ(fired, start + 2s);
  });
}

// A clock that jumps would stop at the cancelled time if the loop still waited for it.
FIBER_TEST(TimerTest, LoopDoesNotWakeForACancelledTimer) {
  with_loop([](EventLoop& loop) {
    TimerHandle handle = loop.call_later(1s, [] {});
    loop.synchronize();
    const auto before = loop.statistics().iterations;
    handle.cancel();
    fibers::sleep(1h);
    EXPECT_EQ(loop.statistics().iterations, before);
  });
}

// asyncio: claims_timers::a_very_long_timeout_does_not_overflow
FIBER_TEST(TimerTest, VeryLongDelayDoesNotOverflow) {
  with_loop([](EventLoop& loop) {
    const TimerHandle never = loop.call_later(Duration::max(), [] { ADD_FAILURE(); });
    EXPECT_EQ(never.when(), fibers::kForever);
    const TimerHandle long_time =
        loop.call_later(std::chrono::hours(24 * 365 * 200), [] { ADD_FAILURE(); });
    EXPECT_GT(long_time.when(), loop.time());
    fibers::sleep(24h);
  });
}

// asyncio: claims_timers::cancel_twice_or_after_firing_is_harmless
FIBER_TEST(TimerTest, CancelAfterFiringIsHarmless) {
  with_loop([](EventLoop& loop) {
    int fired = 0;
    TimerHandle handle = loop.call_later(1s, [&] { ++fired; });
    fibers::sleep(2s);
    handle.cancel();
    handle.cancel();
    EXPECT_EQ(fired, 1);
    EXPECT_EQ(loop.statistics().timers, 0U);
  });
}

// Thousands of insertions and cancellations against a sorted list.
FIBER_TEST(TimerTest, HeapAgreesWithASortedModel) {
  with_idle_loop([](EventLoop& loop) {
    std::mt19937 random(7);
    std::vector<std::pair<Instant, int>> model;
    std::vector<TimerHandle> handles;
    std::vector<int> fired;
    const Instant start = loop.time();
    for (int i = 0; i < 3000; ++i) {
      const Instant when = start + Duration(random() % 500);
      handles.push_back(loop.call_at(when, [&fired, i] { fired.push_back(i); }));
      model.emplace_back(when, i);
    }
    for (int i = 0; i < 3000; ++i) {
      if (random() % 3 == 0) {
        handles[static_cast<std::size_t>(i)].cancel();
        std::erase_if(model, [i](const auto& entry) { return entry.second == i; });
      }
    }
    std::sort(model.begin(), model.end());
    fibers::sleep(1s);
    run_once(loop);
    std::vector<int> expected;
    for (const auto& [when, i] : model) expected.push_back(i);
    EXPECT_EQ(fired, expected);
  });
}

}  // namespace
}  // namespace weft::loop
