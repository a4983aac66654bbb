// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// An operation of Asio's that is a task, in every schedule there is: its end against a cancellation
// that comes from the coroutine, from the task's nursery, or from both.

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <stdexcept>

#include "tests/flavours/asio/asio_testing.h"
#include "weft/asio/awaitable.h"
#include "weft/asio/executor.h"
#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/event.h"

namespace weft::asio {
namespace {

using fibers::CancelScope;
using fibers::Event;
using fibers::Nursery;
using fibers::open_nursery;

// What the two sides have seen of a task that waits for `asked`.
struct Call {
  Event asked;
  std::optional<int> got;  // The coroutine's.
  bool aborted = false;    // Likewise.
  bool fails = false;      // How the task is to end.
  std::shared_ptr<int> kept = std::make_shared<int>(7);
};

ba::awaitable<void> ask(Nursery& nursery, Call& call) {
  const auto wait = [&call, kept = call.kept] {
    call.asked.wait();
    if (call.fails) throw std::out_of_range("far");
    return *kept;
  };
  try {
    call.got = co_await trio_as_asio(nursery, wait, ba::use_awaitable);
  } catch (const boost::system::system_error& error) {
    call.aborted = error.code() == aborted();
    throw;
  }
}

EXPLORE_TEST(TrioAsAsioExplored, ACoroutineGetsTheResultOfItsTask) {
  Call call;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { call.asked.set(); });
    open_executor([&](const RunExecutor& executor) { await(ask(nursery, call), executor); });
  });
  EXPECT_EQ(call.got, 7);
  EXPECT_EQ(call.kept.use_count(), 1);
}

// It is the coroutine's alone: the nursery of the task goes on.
EXPLORE_TEST(TrioAsAsioExplored, ACoroutineGetsTheErrorOfItsTask) {
  Call call;
  call.fails = true;
  bool thrown = false;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { call.asked.set(); });
    open_executor([&](const RunExecutor& executor) {
      EXPECT_THROW(await(ask(nursery, call), executor), std::out_of_range);
      thrown = true;
    });
    EXPECT_FALSE(nursery.cancel_scope().cancel_called());
  });
  EXPECT_TRUE(thrown);
  EXPECT_FALSE(call.got.has_value() || call.aborted);
  EXPECT_EQ(call.kept.use_count(), 1);
}

// The task has ended by then, with its result or as cancelled; never both, never neither.
EXPLORE_TEST(TrioAsAsioExplored, ACancelledCoroutineMeetsTheEndOfItsTask) {
  Call call;
  CancelScope scope;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { call.asked.set(); });
    nursery.start_soon([&] { scope.cancel(); });
    open_executor([&](const RunExecutor& executor) {
      scope.run([&] { await(ask(nursery, call), executor); });
      EXPECT_EQ(call.kept.use_count(), 1);
    });
    EXPECT_FALSE(nursery.cancel_scope().cancel_called());
  });
  EXPECT_NE(call.got.has_value(), scope.cancelled_caught());
  EXPECT_FALSE(call.got.has_value() && call.aborted);
}

// Nobody has cancelled the coroutine, which sees the end of its task as an aborted operation.
EXPLORE_TEST(TrioAsAsioExplored, ACancelledTaskMeetsItsOwnEnd) {
  Call call;
  bool thrown = false;
  Event begun;
  CancelScope tasks;
  open_executor([&](const RunExecutor& executor) {
    open_nursery([&](Nursery& callers) {
      tasks.run([&] {
        open_nursery([&](Nursery& nursery) {
          callers.start_soon(
              [&] {
                const auto begin = [&]() -> ba::awaitable<void> {
                  begun.set();
                  co_await ask(nursery, call);
                };
                try {
                  await(begin(), executor);
                } catch (const boost::system::system_error&) {
                  thrown = true;
                }
              },
              {.unchecked_captures = true});  // The inner nursery is there when it begins.
          begun.wait();
          nursery.start_soon([&] { call.asked.set(); });
          callers.start_soon([&] { tasks.cancel(); });
        });
      });
    });
  });
  EXPECT_FALSE(call.got.has_value() && thrown);
  EXPECT_EQ(thrown, call.aborted);
  EXPECT_EQ(call.kept.use_count(), 1);
}

// From both sides, in either order.
EXPLORE_TEST(TrioAsAsioExplored, ACancelledCoroutineMeetsTheCancellationOfItsTask) {
  Call call;
  CancelScope scope;
  CancelScope tasks;
  tasks.run([&] {
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] { scope.cancel(); });
      nursery.start_soon([&] { tasks.cancel(); });
      open_executor([&](const RunExecutor& executor) {
        scope.run([&] { await(ask(nursery, call), executor); });
      });
    });
  });
  EXPECT_FALSE(call.got.has_value());
  EXPECT_TRUE(scope.cancelled_caught() || tasks.cancelled_caught());
  EXPECT_EQ(call.kept.use_count(), 1);
}

}  // namespace
}  // namespace weft::asio
