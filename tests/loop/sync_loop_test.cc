// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/sync_loop.h"

#include <gmock/gmock.h>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "tests/loop/loop_testing.h"
#include "weft/fibers/context_var.h"
#include "weft/fibers/greenlet.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/run.h"
#include "weft/fibers/testing/mock_clock.h"

namespace weft::loop {
namespace {

using testing::be_strict;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::Pipe;
using ::testing::StartsWith;
using testing::thrown;
using namespace std::chrono_literals;  // NOLINT: for the tests only.

// Each rule holds whatever stack callbacks run on.
class SyncLoopTest : public ::testing::TestWithParam<CallbackStack> {
 protected:
  SyncLoopTest() { clock_.set_autojump_threshold(fibers::Duration::zero()); }

  // Under a clock that jumps, so that no test sleeps.
  std::unique_ptr<SyncLoop> make() {
    auto loop = std::make_unique<SyncLoop>(
        EventLoopOptions{.clock = &clock_, .callback_stack = GetParam()});
    be_strict(loop->loop());
    return loop;
  }

  fibers::testing::MockClock clock_{0, 0s};
};

INSTANTIATE_TEST_SUITE_P(, SyncLoopTest,
                         ::testing::Values(CallbackStack::kTask, CallbackStack::kCaller),
                         [](const auto& stack) {
                           return stack.param == CallbackStack::kTask ? "OnATask" : "OnTheCaller";
                         });

// asyncio: test_events.py::EventLoopTestsMixin::test_run_until_complete
TEST_P(SyncLoopTest, RunsUntilAFutureIsDone) {
  const auto loop = make();
  Future<int> answer = (*loop)->create_future<int>();
  (*loop)->call_later(1h, [&] { answer.set_result(42); });
  EXPECT_EQ(loop->run_until_complete(answer), 42);
}

TEST_P(SyncLoopTest, AFutureThatIsDoneNeedsOneIteration) {
  const auto loop = make();
  Future<std::string> answer = (*loop)->create_future<std::string>();
  answer.set_result("at once");
  EXPECT_EQ(loop->run_until_complete(answer), "at once");
  EXPECT_EQ((*loop)->statistics().iterations, 1);
}

TEST_P(SyncLoopTest, ThrowsWhatTheFutureEndsWith) {
  const auto loop = make();
  Future<void> failing = (*loop)->create_future<void>();
  (*loop)->call_soon([&] { failing.set_exception(std::runtime_error("bad")); });
  EXPECT_THROW(loop->run_until_complete(failing), std::runtime_error);
  Future<void> cancelled = (*loop)->create_future<void>();
  (*loop)->call_soon([&] { cancelled.cancel(); });
  EXPECT_THROW(loop->run_until_complete(cancelled), CancelledError);
}

// asyncio: test_events.py::EventLoopTestsMixin::test_run_until_complete_stopped
// asyncio: claims_running::stopped_before_the_future_completed
TEST_P(SyncLoopTest, AStopBeforeTheFutureIsDoneIsAnError) {
  const auto loop = make();
  Future<void> never = (*loop)->create_future<void>();
  (*loop)->call_soon([&] { loop->stop(); });
  EXPECT_EQ(thrown<fibers::UsageError>([&] { loop->run_until_complete(never); }),
            "Event loop stopped before Future completed.");
  // The next run is not stopped by the end of that future.
  never.set_result();
  bool ran = false;
  (*loop)->call_later(1s, [&] {
    ran = true;
    loop->stop();
  });
  loop->run_forever();
  EXPECT_TRUE(ran);
}

// asyncio: test_base_events.py::BaseEventLoopTests::test_run_until_complete_loop_orphan_future_close_loop
TEST_P(SyncLoopTest, ARunThatAnInterruptHasEndedStopsNoLaterOne) {
  const auto loop = make();
  const auto nap = [](fibers::Duration delay) -> Coro<int> {
    co_await sleep(delay);
    co_return 1;
  };
  (*loop)->call_soon([] { throw fibers::KeyboardInterrupt(); });
  EXPECT_THROW(loop->run_until_complete(nap(100ms)), fibers::KeyboardInterrupt);
  const fibers::Instant begun = (*loop)->time();
  // The first one ends meanwhile.
  EXPECT_EQ(loop->run_until_complete(nap(200ms)), 1);
  EXPECT_EQ((*loop)->time() - begun, 200ms);
}

// asyncio: claims_running::a_future_of_another_loop_is_refused
// asyncio: test_base_events.py::BaseEventLoopTests::test_run_until_complete_loop
TEST_P(SyncLoopTest, AnothersFutureIsRefused) {
  const auto loop = make();
  const auto other = make();
  Future<void> future = (*other)->create_future<void>();
  EXPECT_THAT(thrown<fibers::UsageError>([&] { loop->run_until_complete(future); }),
              StartsWith("The future belongs to a different loop than the one specified"));
}

// asyncio: claims_running::a_loop_can_be_run_again
TEST_P(SyncLoopTest, MayRunAgainAndAgain) {
  const auto loop = make();
  int runs = 0;
  for (int i = 0; i < 3; ++i) {
    (*loop)->call_soon([&] {
      ++runs;
      loop->stop();
    });
    loop->run_forever();
    EXPECT_FALSE(loop->is_running());
  }
  EXPECT_EQ(runs, 3);
}

// asyncio: test_base_events.py::BaseEventLoopTests::test_run_forever_pre_stopped
TEST_P(SyncLoopTest, AStopBeforehandIsExactlyOneIteration) {
  const auto loop = make();
  std::vector<int> order;
  (*loop)->call_soon([&] {
    order.push_back(1);
    (*loop)->call_soon([&] { order.push_back(2); });
  });
  loop->stop();
  loop->run_forever();
  EXPECT_THAT(order, ElementsAre(1));
  loop->run_once();
  EXPECT_THAT(order, ElementsAre(1, 2));
  EXPECT_EQ((*loop)->statistics().iterations, 2);
}

// asyncio: claims_running::stop_before_run_forever_is_one_iteration_that_polls
TEST_P(SyncLoopTest, OneIterationWaitsForNothing) {
  const auto loop = make();
  const fibers::Instant before = (*loop)->time();
  (*loop)->call_later(1s, [] { FAIL() << "not due"; });
  loop->run_once();
  EXPECT_EQ((*loop)->time(), before);
}

// asyncio: claims_running::stop_finishes_the_iteration
TEST_P(SyncLoopTest, AStopFinishesTheIteration) {
  const auto loop = make();
  std::vector<int> order;
  (*loop)->call_soon([&] {
    loop->stop();
    (*loop)->call_soon([&] { order.push_back(2); });
  });
  (*loop)->call_soon([&] { order.push_back(1); });
  loop->run_forever();
  EXPECT_THAT(order, ElementsAre(1));
  loop->run_once();
  EXPECT_THAT(order, ElementsAre(1, 2));
}

// asyncio: claims_running::a_nested_run_is_refused_with_both_messages
// asyncio: test_events.py::EventLoopTestsMixin::test_run_until_complete_nesting
TEST_P(SyncLoopTest, RunningItFromItsOwnCallbackIsRefused) {
  const auto loop = make();
  Future<void> future = (*loop)->create_future<void>();
  std::vector<std::string> errors;
  (*loop)->call_soon([&] {
    errors.push_back(thrown<fibers::UsageError>([&] { loop->run_forever(); }));
    errors.push_back(thrown<fibers::UsageError>([&] { loop->run_until_complete(future); }));
    errors.push_back(thrown<fibers::UsageError>([&] { loop->run_once(); }));
    loop->stop();
  });
  loop->run_forever();
  EXPECT_EQ(errors.size(), 3U);
  EXPECT_THAT(errors, ::testing::Each(StartsWith("This event loop is already running")));
}

// asyncio: test_base_events.py::BaseEventLoopTests::test_running_loop_within_a_loop
// asyncio: claims_running::a_nested_run_is_refused_with_both_messages
TEST_P(SyncLoopTest, RunningAnotherFromACallbackIsRefused) {
  const auto outer = make();
  const auto inner = make();
  std::string error;
  (*outer)->call_soon([&] {
    error = thrown<fibers::UsageError>([&] { inner->run_forever(); });
    outer->stop();
  });
  outer->run_forever();
  EXPECT_THAT(error, StartsWith("Cannot run the event loop while another loop is running"));
  inner->run_once();
}

TEST_P(SyncLoopTest, RunningItInsideARunIsRefused) {
  const auto loop = make();
  fibers::run([&] {
    EXPECT_THAT(thrown<fibers::UsageError>([&] { loop->run_once(); }),
                HasSubstr("cannot run inside a run"));
  });
}

TEST_P(SyncLoopTest, MayBeMadeAndClosedByACallbackOfAnother) {
  const auto outer = make();
  int calls = 0;
  (*outer)->call_soon([&] {
    const auto inner = make();
    (*inner)->call_soon([&] { ++calls; });
    inner->close();
    ++calls;
  });
  outer->run_once();
  EXPECT_EQ(calls, 1);
  fibers::run([&] { make()->close(); });
}

TEST_P(SyncLoopTest, RunningItOnAnotherThreadIsRefused) {
  const auto loop = make();
  std::thread([&] {
    EXPECT_THAT(thrown<fibers::UsageError>([&] { loop->run_once(); }),
                StartsWith("Non-thread-safe operation"));
    EXPECT_THAT(thrown<fibers::UsageError>([&] { loop->close(); }),
                StartsWith("Non-thread-safe operation"));
  }).join();
}

// asyncio: test_events.py::EventLoopTestsMixin::test_close
TEST_P(SyncLoopTest, AClosedLoopRefusesEverything) {
  const auto loop = make();
  loop->close();
  EXPECT_TRUE(loop->is_closed());
  EXPECT_FALSE(loop->is_running());
  loop->close();  // Harmless.
  EXPECT_THAT(thrown<fibers::UsageError>([&] { loop->run_forever(); }),
              StartsWith("Event loop is closed"));
  EXPECT_THAT(thrown<fibers::UsageError>([&] { (*loop)->call_soon([] {}); }),
              StartsWith("Event loop is closed"));
  EXPECT_THROW(loop->stop(), fibers::UsageError);
}

// asyncio: test_events.py::EventLoopTestsMixin::test_close_running_event_loop
TEST_P(SyncLoopTest, ClosingItWhileItRunsIsRefused) {
  const auto loop = make();
  std::string error;
  (*loop)->call_soon([&] {
    error = thrown<fibers::UsageError>([&] { loop->close(); });
    loop->stop();
  });
  loop->run_forever();
  EXPECT_THAT(error, StartsWith("Cannot close a running event loop"));
  EXPECT_FALSE(loop->is_closed());
}

// What a callback holds is destroyed while the loop closes.
TEST_P(SyncLoopTest, ClosingItFromTheInsideWhileItClosesIsHarmless) {
  struct Closing {
    SyncLoop& loop;
    std::string& error;
    ~Closing() {
      loop.close();
      error = thrown<fibers::UsageError>([this] { loop.run_once(); });
    }
  };
  const auto loop = make();
  std::string error;
  (*loop)->call_soon([held = std::make_shared<Closing>(*loop, error)] {});
  loop->close();
  EXPECT_TRUE(loop->is_closed());
  EXPECT_THAT(error, HasSubstr("cannot run inside a run"));
}

TEST_P(SyncLoopTest, WhatIsScheduledGoesWithTheLoop) {
  auto loop = make();
  const auto alive = std::make_shared<int>(0);
  Handle soon = (*loop)->call_soon([alive] {});
  TimerHandle later = (*loop)->call_later(1s, [alive] {});
  const Pipe pipe;
  Handle reader = (*loop)->add_reader(pipe.reader(), [alive] {});
  loop.reset();
  EXPECT_EQ(alive.use_count(), 1);
  // The handles outlive it.
  EXPECT_TRUE(soon.cancelled());
  later.cancel();
  reader.cancel();
}

TEST_P(SyncLoopTest, SchedulingNeedsNoRunOfTheCaller) {
  const auto loop = make();
  const Pipe in;
  const Pipe out;
  std::vector<std::string> order;
  const fibers::Instant now = (*loop)->time();
  (*loop)->add_reader(in.reader(), [&] {
    order.emplace_back("readable");
    (*loop)->remove_reader(in.reader());
  });
  (*loop)->add_writer(out.writer(), [&] {
    order.emplace_back("writable");
    (*loop)->remove_writer(out.writer());
  });
  (*loop)->call_at(now + 2s, [&] { loop->stop(); });
  (*loop)->call_later(1s, [&] { order.emplace_back("timer"); });
  in.put();
  loop->run_forever();
  EXPECT_EQ((*loop)->time(), now + 2s);
  EXPECT_THAT(order, ::testing::UnorderedElementsAre("readable", "writable", "timer"));
  EXPECT_EQ(order.back(), "timer");
  EXPECT_FALSE((*loop)->remove_reader(in.reader()));
}

// Also in a callback: the descriptor is found ready again while the callback runs, and armed anew.
TEST_P(SyncLoopTest, AReaderIsCalledAgainWhileThereIsSomethingToRead) {
  const auto loop = make();
  const Pipe pipe;
  int calls = 0;
  (*loop)->add_reader(pipe.reader(), [&] {
    pipe.take();
    if (++calls == 3) loop->stop();
  });
  for (int i = 0; i < 3; ++i) pipe.put();
  loop->run_forever();
  EXPECT_EQ(calls, 3);
}

TEST_P(SyncLoopTest, RegistrationsSurviveAStop) {
  const auto loop = make();
  const Pipe pipe;
  int calls = 0;
  (*loop)->add_reader(pipe.reader(), [&] {
    pipe.take();
    ++calls;
    loop->stop();
  });
  for (int i = 0; i < 2; ++i) {
    pipe.put();
    loop->run_forever();
  }
  EXPECT_EQ(calls, 2);
}

TEST_P(SyncLoopTest, OtherThreadsWakeIt) {
  const auto loop = std::make_unique<SyncLoop>(EventLoopOptions{.callback_stack = GetParam()});
  std::thread other([&] { (*loop)->call_soon_threadsafe([&] { loop->stop(); }); });
  loop->run_forever();
  other.join();
}

TEST_P(SyncLoopTest, AnErrorOfACallbackGoesToTheHandler) {
  const auto loop = make();
  std::string told;
  (*loop)->set_exception_handler([&](EventLoop&, const ExceptionContext& context) {
    told = fibers::describe_exception(context.exception);
  });
  (*loop)->call_soon([] { throw std::runtime_error("bad"); });
  loop->run_once();
  EXPECT_THAT(told, HasSubstr("bad"));
}

// asyncio: test_base_events.py::BaseEventLoopTests::test_run_until_complete_baseexception
TEST_P(SyncLoopTest, AnInterruptLeavesTheIterationAtOnce) {
  const auto loop = make();
  std::vector<int> order;
  (*loop)->call_soon([&] { order.push_back(1); });
  (*loop)->call_soon([] { throw fibers::KeyboardInterrupt(); });
  (*loop)->call_soon([&] { order.push_back(2); });
  EXPECT_THROW(loop->run_forever(), fibers::KeyboardInterrupt);
  EXPECT_THAT(order, ElementsAre(1));
  loop->run_once();
  EXPECT_THAT(order, ElementsAre(1, 2));
}

TEST_P(SyncLoopTest, SeveralTakeTurnsOnOneThreadBesideRuns) {
  const auto first = make();
  const auto second = make();
  std::vector<std::string> order;
  for (int i = 0; i < 2; ++i) {
    (*first)->call_later(1s, [&] {
      order.emplace_back("first");
      first->stop();
    });
    (*second)->call_later(1s, [&] {
      order.emplace_back("second");
      second->stop();
    });
    first->run_forever();
    fibers::run([&] { order.emplace_back("run"); });
    second->run_forever();
  }
  EXPECT_THAT(order, ElementsAre("first", "run", "second", "first", "run", "second"));
}

TEST_P(SyncLoopTest, MayBeRunByAnyGreenletOfItsThread) {
  const auto loop = make();
  int runs = 0;
  const auto once = [&] {
    (*loop)->call_soon([&] { ++runs; });
    loop->run_once();
  };
  once();
  fibers::Greenlet other(once);
  other.switch_to();
  fibers::Greenlet closing([&] { loop->close(); });
  closing.switch_to();
  EXPECT_EQ(runs, 2);
  EXPECT_TRUE(loop->is_closed());
}

TEST_P(SyncLoopTest, TheRunningLoopIsThisOne) {
  const auto loop = make();
  EXPECT_EQ(running_loop(), nullptr);
  EventLoop* running = nullptr;
  (*loop)->call_soon([&] { running = running_loop(); });
  loop->run_once();
  EXPECT_EQ(running, &loop->loop());
  EXPECT_EQ(running_loop(), nullptr);
}

TEST_P(SyncLoopTest, CallbacksHaveTheVariablesOfWhoSchedulesThem) {
  static fibers::ContextVar<int> number("number");
  const auto loop = make();
  std::optional<int> seen;
  number.set(1);
  (*loop)->call_soon([&] {
    seen = number.get();
    number.set(3);
  });
  number.set(2);
  loop->run_once();
  EXPECT_EQ(seen, 1);
  EXPECT_EQ(number.get(), 2);
}

TEST_P(SyncLoopTest, WhatACallbackHasSetStaysWithItWhenAnInterruptEndsIt) {
  static fibers::ContextVar<int> number("number");
  const auto loop = make();
  std::optional<int> seen;
  number.set(1);
  (*loop)->call_soon([] {
    number.set(3);
    throw fibers::KeyboardInterrupt();
  });
  (*loop)->call_soon([&] { seen = number.get(); });
  EXPECT_THROW(loop->run_forever(), fibers::KeyboardInterrupt);
  EXPECT_EQ(number.get(), 1);
  loop->run_once();
  EXPECT_EQ(seen, 1);
}

TEST_P(SyncLoopTest, InstrumentsAreToldOfWaits) {
  struct Waits : fibers::Instrument {
    void before_io_wait(fibers::Duration) override { ++before; }
    void after_io_wait(fibers::Duration) override { ++after; }
    int before = 0;
    int after = 0;
  };
  const auto waits = std::make_shared<Waits>();
  SyncLoop loop({.clock = &clock_, .callback_stack = GetParam(), .instruments = {waits}});
  loop->call_later(1h, [&] { loop.stop(); });
  loop.run_forever();
  EXPECT_GT(waits->before, 0);
  EXPECT_EQ(waits->before, waits->after);
}

// From outside, and from another loop's callbacks.
TEST_P(SyncLoopTest, AFutureMayBeEndedWhileItsLoopStands) {
  const auto loop = make();
  const auto other = make();
  Future<int> one = (*loop)->create_future<int>();
  Future<int> two = (*loop)->create_future<int>();
  one.set_result(1);
  (*other)->call_soon([&] { two.set_result(2); });
  other->run_once();
  EXPECT_EQ(loop->run_until_complete(one) + loop->run_until_complete(two), 3);
}

}  // namespace
}  // namespace weft::loop
