// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The border to Asio in every schedule there is, where one thread suffices: an end against a
// cancellation, a posted call against the end of its executor.

#include <gtest/gtest.h>

#include <memory>
#include <optional>

#include "tests/flavours/asio/asio_testing.h"
#include "weft/asio/awaitable.h"
#include "weft/asio/executor.h"
#include "weft/fibers/cancel_scope.h"

namespace weft::asio {
namespace {

using fibers::CancelScope;
using fibers::checkpoint;
using fibers::Nursery;
using fibers::open_nursery;

// It ends as cancelled or with its value, and is asked to end once at most.
EXPLORE_TEST(UseFiberExplored, ACancellationAndAnEndMeet) {
  ByHand<error_code, int> op;
  op.on_start = [] {};
  op.on_cancel = [&] {
    if (op.pending()) op.end(aborted(), 0);
  };
  CancelScope scope;
  std::optional<int> got;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { scope.run([&] { got = op.start(use_fiber); }); });
    nursery.start_soon([&] {
      checkpoint();
      if (op.pending()) op.end({}, 7);
    });
    nursery.start_soon([&] { scope.cancel(); });
  });
  EXPECT_NE(got.has_value(), scope.cancelled_caught());
  EXPECT_LE(op.cancels, 1);
  EXPECT_FALSE(op.pending());
}

// An operation that cannot be cancelled is waited for.
EXPLORE_TEST(UseFiberExplored, WhatHasBegunIsWaitedForToItsEnd) {
  ByHand<int> op;
  op.on_start = [] {};
  CancelScope scope;
  std::optional<int> got;
  bool begun = false;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      scope.run([&] {
        fibers::checkpoint_if_cancelled();
        begun = true;
        got = op.start(use_fiber);
      });
    });
    nursery.start_soon([&] { scope.cancel(); });
    while (!op.pending() && !scope.cancel_called()) checkpoint();
    checkpoint();
    if (op.pending()) op.end(7);
  });
  EXPECT_EQ(got.has_value(), begun);
}

// It is called, or destroyed when the executor's time is over.
EXPLORE_TEST(RunExecutorExplored, ACallMeetsTheEndOfItsExecutor) {
  CancelScope scope;
  int calls = 0;
  const auto kept = std::make_shared<int>(0);
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      scope.run([&] {
        open_executor([&](const RunExecutor& executor) {
          ba::post(executor, [&calls, kept] { ++calls; });
          checkpoint();
        });
      });
    });
    nursery.start_soon([&] { scope.cancel(); });
  });
  EXPECT_EQ(kept.use_count(), 1);
  EXPECT_TRUE(calls == 1 || scope.cancelled_caught());
}

// Two tasks post, one of them what posts again; nothing is lost, and the end waits for all.
EXPLORE_TEST(RunExecutorExplored, CallsOfSeveralTasksAreAllCalled) {
  int calls = 0;
  open_executor([&](const RunExecutor& executor) {
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] { ba::post(executor, [&] { ++calls; }); });
      nursery.start_soon([&] {
        ba::post(executor, [&calls, executor] { ba::post(executor, [&calls] { ++calls; }); });
      });
    });
  });
  EXPECT_EQ(calls, 2);
}

// The coroutine ends with its value, or as cancelled, and its frame is gone.
EXPLORE_TEST(RunExecutorExplored, ACoroutineMeetsTheCancellationOfWhoAwaitsIt) {
  CancelScope scope;
  std::optional<int> got;
  const auto kept = std::make_shared<int>(7);
  const auto answer = [](std::shared_ptr<int> value) -> ba::awaitable<int> {
    co_await ba::post(ba::use_awaitable);
    co_return *value;
  };
  open_executor([&](const RunExecutor& executor) {
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] { scope.run([&] { got = await(answer(kept), executor); }); });
      nursery.start_soon([&] { scope.cancel(); });
    });
  });
  EXPECT_NE(got.has_value(), scope.cancelled_caught());
  EXPECT_EQ(kept.use_count(), 1);
}

}  // namespace
}  // namespace weft::asio
