// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/cpp20/trio_as_awaitable.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <chrono>
#include <coroutine>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "tests/flavours/cpp20/started.h"
#include "tests/support/foreign_awaitables.h"
#include "weft/cpp20/awaitable_as_trio.h"
#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/context_var.h"
#include "weft/fibers/event.h"
#include "weft/fibers/guest.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/fibers/timeouts.h"
#include "weft/loop/coro.h"
#include "weft/loop/errors.h"
#include "weft/shim/open_loop.h"

namespace weft::cpp20 {
namespace {

using fibers::CancelScope;
using fibers::Nursery;
using fibers::open_nursery;
using fibers::testing::wait_all_tasks_blocked;
using test::Lazy;
using test::Started;
using ::testing::ElementsAre;
using namespace std::chrono_literals;

int slow_answer() {
  fibers::sleep(1s);
  return 42;
}

Started ask(std::optional<int>& got) {
  const int value = co_await trio_as_awaitable(&slow_answer);
  got = value;
}

FIBER_TEST(TrioAsAwaitableTest, GivesTheValueToACoroutineOfAnyType) {
  std::optional<int> got;
  const Started coroutine = ask(got);
  EXPECT_FALSE(got.has_value());
  fibers::sleep(2s);
  EXPECT_EQ(got, 42);
  EXPECT_TRUE(coroutine.ended());
}

FIBER_TEST(TrioAsAwaitableTest, ThrowsWhatTheFunctionThrows) {
  const auto thrower = [](std::string& what) -> Started {
    try {
      co_await trio_as_awaitable([] { throw std::runtime_error("deep"); });
    } catch (const std::runtime_error& error) {
      what = error.what();
    }
  };
  std::string what;
  const Started coroutine = thrower(what);
  wait_all_tasks_blocked();
  EXPECT_EQ(what, "deep");
}

FIBER_TEST(TrioAsAwaitableTest, AMoveOnlyValueAndManyInARow) {
  const auto sums = [](int& sum) -> Started {
    for (int i = 0; i < 1000; ++i) {
      const auto value = co_await trio_as_awaitable([i] { return std::make_unique<int>(i); });
      sum += *value;
    }
  };
  int sum = 0;
  const Started coroutine = sums(sum);
  wait_all_tasks_blocked();
  EXPECT_EQ(sum, 499'500);
}

FIBER_TEST(TrioAsAwaitableTest, TheFunctionHasTheVariablesOfWhoAwaits) {
  static fibers::ContextVar<int> variable("variable");
  int seen = 0;
  const auto looks = [](int& s) -> Started {
    const int value = co_await trio_as_awaitable([] { return variable.get().value_or(0); });
    s = value;
  };
  variable.set(3);
  const Started coroutine = looks(seen);
  wait_all_tasks_blocked();
  EXPECT_EQ(seen, 3);
}

// --- Cancellation. ---

Started wait_forever(std::vector<std::string>& log, Nursery* nursery = nullptr) {
  const auto forever = [&log] {
    try {
      fibers::sleep_forever();
    } catch (const fibers::Cancelled&) {
      log.emplace_back("Cancelled");
      throw;
    }
  };
  try {
    if (nursery != nullptr) {
      co_await trio_as_awaitable(*nursery, forever);
    } else {
      co_await trio_as_awaitable(forever);
    }
  } catch (const loop::CancelledError&) {
    log.emplace_back("CancelledError");
  }
}

FIBER_TEST(TrioAsAwaitableTest, TheNurserysCancellationIsACancelledError) {
  std::vector<std::string> log;
  std::optional<Started> coroutine;
  open_nursery([&](Nursery& nursery) {
    coroutine.emplace(wait_forever(log, &nursery));
    wait_all_tasks_blocked();
    nursery.cancel_scope().cancel();
  });
  EXPECT_THAT(log, ElementsAre("Cancelled", "CancelledError"));
  EXPECT_TRUE(coroutine->ended());
}

FIBER_TEST(TrioAsAwaitableTest, ADestroyedCoroutineCancelsTheTask) {
  WEFT_NOT_SWEPT("what its task writes to lies in the test");
  WEFT_NOT_ALLOCATION_SWEPT("what its task writes to lies in the test");
  std::vector<std::string> log;
  {
    const Started coroutine = wait_forever(log);
    wait_all_tasks_blocked();
  }
  wait_all_tasks_blocked();
  EXPECT_THAT(log, ElementsAre("Cancelled"));
}

FIBER_TEST(TrioAsAwaitableTest, DestroyedBeforeItsTurnItIsNotCalled) {
  std::vector<std::string> log;
  { const Started coroutine = wait_forever(log); }
  wait_all_tasks_blocked();
  EXPECT_THAT(log, ElementsAre());
}

Started with_token(std::stop_token /*token*/, std::vector<std::string>& log) {
  try {
    co_await trio_as_awaitable([] { fibers::sleep_forever(); });
  } catch (const loop::CancelledError&) {
    log.emplace_back("CancelledError");
  }
}

// Where the promise throws on what await_suspend() has thrown, before the first suspension.
#define FRAME_FREED_TWICE WEFT_NOT_ALLOCATION_SWEPT("g++ 12 frees a frame twice that ends so")

FIBER_TEST(TrioAsAwaitableTest, TheStopTokenOfThePromiseCancelsIt) {
  FRAME_FREED_TWICE;
  for (const bool begun : {true, false}) {
    std::vector<std::string> log;
    std::stop_source source;
    const Started coroutine = with_token(source.get_token(), log);
    if (begun) wait_all_tasks_blocked();
    source.request_stop();
    EXPECT_FALSE(coroutine.ended());
    wait_all_tasks_blocked();
    EXPECT_THAT(log, ElementsAre("CancelledError"));
  }
}

FIBER_TEST(TrioAsAwaitableTest, OneThatIsStoppedAlreadyIsNotCalled) {
  FRAME_FREED_TWICE;
  std::vector<std::string> log;
  std::stop_source source;
  source.request_stop();
  const Started coroutine = with_token(source.get_token(), log);
  wait_all_tasks_blocked();
  EXPECT_THAT(log, ElementsAre("CancelledError"));
}

Started stubborn(std::stop_token /*token*/, int& got) {
  const int value = co_await trio_as_awaitable([] {
    CancelScope shield({.shield = true});
    shield.run([] { fibers::sleep(1s); });
    return 5;
  });
  got = value;
}

FIBER_TEST(TrioAsAwaitableTest, AValueInSpiteOfTheCancellationIsGiven) {
  FRAME_FREED_TWICE;
  int got = 0;
  std::stop_source source;
  const Started coroutine = stubborn(source.get_token(), got);
  wait_all_tasks_blocked();
  source.request_stop();
  fibers::sleep(2s);
  EXPECT_EQ(got, 5);
}

// --- In a loop. ---

loop::Coro<int> ask_in_loop() {
  const int value = co_await trio_as_awaitable(&slow_answer);
  co_return value + (shim::current_async_library() == "asyncio" ? 1 : 0);
}

FIBER_TEST(TrioAsAwaitableTest, InATaskOfALoop) {
  shim::open_loop(
      [](loop::EventLoop& loop) { EXPECT_EQ(loop::await(loop.create_task(ask_in_loop())), 43); });
}

FIBER_TEST(TrioAsAwaitableTest, ItsTaskBelongsToTheBlock) {
  shim::open_loop([](loop::EventLoop& loop) {
    auto task = loop.create_task([&loop]() -> loop::Coro<bool> {
      const bool same = co_await trio_as_awaitable([&] { return shim::current_loop() == &loop; });
      co_return same;
    });
    EXPECT_TRUE(loop::await(task));
  });
}

FIBER_TEST(TrioAsAwaitableTest, CancellingTheTaskOfTheLoopCancelsIt) {
  shim::open_loop([](loop::EventLoop& loop) {
    bool cancelled = false;
    auto task = loop.create_task([&]() -> loop::Coro<void> {
      co_await trio_as_awaitable([&] {
        try {
          fibers::sleep_forever();
        } catch (const fibers::Cancelled&) {
          cancelled = true;
          throw;
        }
      });
    });
    wait_all_tasks_blocked();
    task.cancel("enough");
    try {
      loop::await(task);
      ADD_FAILURE();
    } catch (const loop::CancelledError& error) {
      EXPECT_EQ(error.message(), "enough");
    }
    EXPECT_TRUE(cancelled);
  });
}

FIBER_TEST(TrioAsAwaitableTest, TheEndOfTheBlockCancelsIt) {
  std::vector<std::string> log;
  shim::open_loop([&](loop::EventLoop& loop) {
    loop.create_task([&log]() -> loop::Coro<void> {
      try {
        co_await trio_as_awaitable([] { fibers::sleep_forever(); });
      } catch (const loop::CancelledError&) {
        log.emplace_back("CancelledError");
        throw;
      }
    });
    wait_all_tasks_blocked();
  });
  EXPECT_THAT(log, ElementsAre("CancelledError"));
}

// --- Through another library's coroutines, from a task to a task. ---

Lazy<int> between(int& sleeps) {
  for (int i = 0; i < 3; ++i) {
    co_await trio_as_awaitable([&] {
      fibers::sleep(1s);
      ++sleeps;
    });
  }
  const int value = co_await trio_as_awaitable(&slow_answer);
  co_return value;
}

FIBER_TEST(TrioAsAwaitableTest, FromATaskThroughACoroutineToATask) {
  int sleeps = 0;
  EXPECT_EQ(awaitable_as_trio(between(sleeps)), 42);
  EXPECT_EQ(sleeps, 3);
}

// Nothing tells the coroutine in the middle: so its call ends first.
FIBER_TEST(TrioAsAwaitableTest, ADeadlineWaitsForTheCoroutineInTheMiddle) {
  int sleeps = 0;
  CancelScope scope({.relative_deadline = 2500ms});
  const auto result = scope.run([&] { return awaitable_as_trio(between(sleeps)); });
  ASSERT_TRUE(result.finished());
  EXPECT_EQ(result.value(), 42);
}

FIBER_TEST(TrioAsAwaitableTest, ADeadlineReachesATaskThatIsAwaitedDirectly) {
  CancelScope scope({.relative_deadline = 1s});
  scope.run([] { awaitable_as_trio(trio_as_awaitable([] { fibers::sleep_forever(); })); });
  EXPECT_TRUE(scope.cancelled_caught());
}

// --- Outside of all tasks. ---

TEST(TrioAsAwaitableHostTest, InACallbackOfTheHost) {
  std::optional<int> got;
  std::optional<Started> coroutine;
  bool done = false;
  fibers::Event all;
  const fibers::GuestRun guest = fibers::start_guest_run(
      [&] { all.wait(); }, {.done_callback = [&](const fibers::Outcome<void>&) { done = true; }});
  const auto ask_soon = [](std::optional<int>& g, fibers::Event& e) -> Started {
    const int value = co_await trio_as_awaitable([] {
      fibers::sleep(1ms);
      return 7;
    });
    g = value;
    e.set();
  };
  coroutine.emplace(ask_soon(got, all));
  while (!done) {
    pollfd ready{guest.pollable_fd(), POLLIN, 0};
    poll(&ready, 1, -1);
    guest.tick();
  }
  EXPECT_EQ(got, 7);
}

Started ask_without_a_run(bool& refused) {
  try {
    co_await trio_as_awaitable(&slow_answer);
  } catch (const fibers::UsageError&) {
    refused = true;
  }
}

TEST(TrioAsAwaitableHostTest, WithoutARunItIsAUsageError) {
  bool refused = false;
  const Started coroutine = ask_without_a_run(refused);
  EXPECT_TRUE(refused);
}

}  // namespace
}  // namespace weft::cpp20
