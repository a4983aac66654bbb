// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The border between C++20 coroutines and tasks in every schedule there is: an end against a
// cancellation, a stop against an end, a coroutine that is destroyed while its function runs.

#include <gtest/gtest.h>

#include <coroutine>
#include <optional>
#include <stop_token>
#include <utility>

#include "tests/flavours/cpp20/started.h"
#include "tests/support/foreign_awaitables.h"
#include "weft/cpp20/cpp20.h"
#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/event.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/loop/coro.h"
#include "weft/loop/errors.h"
#include "weft/loop/task.h"
#include "weft/shim/open_loop.h"

namespace weft::cpp20 {
namespace {

using fibers::CancelScope;
using fibers::checkpoint;
using fibers::Nursery;
using fibers::open_nursery;
using test::Operation;
using test::Plain;
using test::Started;
using test::Stoppable;

// A result that has come counts, whether the task is cancelled before it or after.
EXPLORE_TEST(AwaitableAsTrioExplored, WhatHasBegunIsWaitedForToItsEnd) {
  Operation op;
  CancelScope scope;
  std::optional<int> got;
  bool begun = false;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      scope.run([&] {
        fibers::checkpoint_if_cancelled();
        begun = true;
        got = awaitable_as_trio(Plain(op));
      });
    });
    nursery.start_soon([&] { op.end(7); });
    nursery.start_soon([&] { scope.cancel(); });
  });
  EXPECT_EQ(got.has_value(), begun);
}

// It ends as cancelled, or with its value, and is asked to stop once at most.
EXPLORE_TEST(AwaitableAsTrioExplored, AStopAndAnEndMeet) {
  Operation op;
  op.stop_ends_it = true;
  CancelScope scope;
  std::optional<int> got;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { scope.run([&] { got = awaitable_as_trio(Stoppable(op)); }); });
    nursery.start_soon([&] {
      checkpoint();
      if (op.waits) op.end(3);
    });
    nursery.start_soon([&] { scope.cancel(); });
  });
  EXPECT_LE(op.stops, 1);
  EXPECT_NE(got.has_value(), scope.cancelled_caught());
  EXPECT_FALSE(op.stops == 1 && got.has_value());
}

// Two tasks, each with an operation that the other ends.
EXPLORE_TEST(AwaitableAsTrioExplored, TasksThatResumeEachOther) {
  Operation first;
  Operation second;
  int sum = 0;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      first.end(1);
      sum += awaitable_as_trio(Plain(second));
    });
    nursery.start_soon([&] {
      second.end(2);
      sum += awaitable_as_trio(Plain(first));
    });
  });
  EXPECT_EQ(sum, 3);
}

// A value that may be abandoned arrives once or not at all, and its operation may outlive the wait.
EXPLORE_TEST(AwaitableAsTrioExplored, WhatIsAbandonedGoesOnWithoutTheTask) {
  Operation op;
  CancelScope scope;
  std::optional<int> got;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      scope.run([&] { got = awaitable_as_trio(Plain(op), {.abandon_on_cancel = true}); });
    });
    nursery.start_soon([&] { op.end(5); });
    nursery.start_soon([&] { scope.cancel(); });
  });
  EXPECT_NE(got.has_value(), scope.cancelled_caught());
  EXPECT_EQ(got.value_or(5), 5);
}

Started ask(std::stop_token, fibers::Event& asked, std::optional<int>& got, bool& stopped) {
  try {
    got = co_await trio_as_awaitable([&asked] {
      asked.wait();
      return 4;
    });
  } catch (const loop::CancelledError&) {
    stopped = true;
  }
}

// The coroutine hears one of the two.
EXPLORE_TEST(TrioAsAwaitableExplored, AStopTokenAndAnEndMeet) {
  std::stop_source source;
  fibers::Event asked;
  std::optional<int> got;
  bool stopped = false;
  const Started coroutine = ask(source.get_token(), asked, got, stopped);
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { asked.set(); });
    nursery.start_soon([&] { source.request_stop(); });
  });
  while (!coroutine.ended()) checkpoint();
  EXPECT_NE(got.has_value(), stopped);
}

// Its function is cancelled, or has ended; the frame is not touched again.
EXPLORE_TEST(TrioAsAwaitableExplored, ACoroutineIsDestroyedWhileItsFunctionRuns) {
  fibers::Event asked;
  std::optional<int> got;
  bool stopped = false;
  std::optional<Started> coroutine(ask({}, asked, got, stopped));
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { asked.set(); });
    nursery.start_soon([&] { coroutine.reset(); });
  });
  EXPECT_FALSE(stopped);
}

// A task of the loop that is cancelled, and the end of the function that it awaits.
EXPLORE_TEST(TrioAsAwaitableExplored, ATaskOfTheLoopIsCancelledWhileItsFunctionEnds) {
  fibers::Event asked;
  int answers = 0;
  int ended = 0;
  shim::open_loop([&](EventLoop& loop) {
    auto task = loop.create_task([&]() -> loop::Coro<void> {
      answers += co_await trio_as_awaitable([&] {
        const int& counted = ++ended;  // Begun.
        asked.wait();
        return counted;
      });
    });
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] { asked.set(); });
      nursery.start_soon([&] { task.cancel(); });
    });
    while (!task.done()) checkpoint();
    EXPECT_NE(task.cancelled(), answers == 1);
  });
  EXPECT_LE(answers, ended);
}

// The scope is cancelled by the token once, and a token that is stopped later harms nobody.
EXPLORE_TEST(StopTokenExplored, AStopAndTheEndOfItsScopeMeet) {
  std::stop_source source;
  fibers::Event done;
  bool finished = false;
  bool left = false;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      const auto result = move_on_when_stopped(source.get_token(), [&] {
        done.wait();
        return 1;
      });
      finished = result.finished();
      left = !result.finished();
    });
    nursery.start_soon([&] { done.set(); });
    nursery.start_soon([&] { source.request_stop(); });
  });
  EXPECT_NE(finished, left);
}

}  // namespace
}  // namespace weft::cpp20
