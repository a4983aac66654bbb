// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/cpp20/awaitable_as_trio.h"

#include <gtest/gtest.h>

#include <chrono>
#include <coroutine>
#include <memory>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>

#include "tests/flavours/cpp20/meanwhile.h"
#include "tests/support/foreign_awaitables.h"
#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/testing/checkpoints.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/timeouts.h"
#include "weft/loop/errors.h"
#include "weft/shim/open_loop.h"

namespace weft::cpp20 {
namespace {

using fibers::CancelScope;
using test::AsksForToken;
using test::Lazy;
using test::let_others_wait;
using test::meanwhile;
using test::Operation;
using test::operation_canceled;
using test::Plain;
using test::Stoppable;

FIBER_TEST(AwaitableAsTrioTest, GivesTheValue) {
  Operation op;
  meanwhile([&] { EXPECT_EQ(awaitable_as_trio(Plain(op)), 7); }, [&] { op.end(7); });
}

FIBER_TEST(AwaitableAsTrioTest, ThrowsTheError) {
  Operation op;
  meanwhile([&] { EXPECT_THROW(awaitable_as_trio(Plain(op)), std::runtime_error); },
            [&] { op.fail(test::failure()); });
}

FIBER_TEST(AwaitableAsTrioTest, OtherTasksRunMeanwhile) {
  Operation op;
  bool other = false;
  meanwhile(
      [&] {
        awaitable_as_trio(Plain(op));
        EXPECT_TRUE(other);
      },
      [&] {
        other = true;
        op.end(0);
      });
}

// --- The shapes of awaitables. ---

enum class Shape { kReady, kResumesInside, kDoesNotSuspend, kThrows };
struct Immediately {
  Shape shape;
  bool await_ready() const noexcept { return shape == Shape::kReady; }
  bool await_suspend(std::coroutine_handle<> waits) const {
    if (shape == Shape::kThrows) throw std::runtime_error("not begun");
    if (shape == Shape::kResumesInside) waits.resume();
    return shape == Shape::kResumesInside;
  }
  void await_resume() const noexcept {}
};

FIBER_TEST(AwaitableAsTrioTest, OneThatEndsAtOnceIsACheckpointToo) {
  for (const Shape shape : {Shape::kReady, Shape::kResumesInside, Shape::kDoesNotSuspend}) {
    fibers::testing::assert_checkpoints([&] { awaitable_as_trio(Immediately{shape}); });
  }
}

FIBER_TEST(AwaitableAsTrioTest, WhatAwaitSuspendThrowsComesOut) {
  EXPECT_THROW(awaitable_as_trio(Immediately{Shape::kThrows}), std::runtime_error);
}

Lazy<std::string> greet(Operation& op) {
  const int times = co_await Plain(op);
  std::string text;
  for (int i = 0; i < times; ++i) text += "hello ";
  if (times == 0) throw std::runtime_error("silent");
  co_return text;
}

FIBER_TEST(AwaitableAsTrioTest, ACoroutineOfAnotherLibraryGivesAReference) {
  Operation op;
  meanwhile(
      [&] {
        const Lazy<std::string> lazy = greet(op);
        static_assert(std::is_same_v<decltype(awaitable_as_trio(lazy)), std::string&>);
        EXPECT_EQ(awaitable_as_trio(lazy), "hello hello ");
      },
      [&] { op.end(2); });
}

FIBER_TEST(AwaitableAsTrioTest, ACoroutineOfAnotherLibraryThrows) {
  Operation op;
  meanwhile([&] { EXPECT_THROW(awaitable_as_trio(greet(op)), std::runtime_error); },
            [&] { op.end(0); });
}

struct Fixed {
  Fixed() = default;
  Fixed(const Fixed&) = delete;
  Fixed& operator=(const Fixed&) = delete;
  int number = 5;
};
struct MakesFixed : Immediately {
  Fixed await_resume() const noexcept { return {}; }
};
struct HasMember {
  MakesFixed operator co_await() const { return {{Shape::kDoesNotSuspend}}; }
};

FIBER_TEST(AwaitableAsTrioTest, AResultNeedNotMove) {
  EXPECT_EQ(awaitable_as_trio(HasMember{}).number, 5);
}

// The awaiter, or the awaitable, that is to be moved from is gone when the call has returned.
struct Keeps {
  std::unique_ptr<int> value = std::make_unique<int>(7);
  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<>) const noexcept { return false; }
  std::unique_ptr<int>&& await_resume() noexcept { return std::move(value); }
};
struct MakesKeeper {
  Keeps operator co_await() const { return {}; }
};

FIBER_TEST(AwaitableAsTrioTest, WhatMayBeMovedAwayIsMovedOutOfWhatIsGone) {
  static_assert(std::is_same_v<decltype(awaitable_as_trio(Keeps{})), std::unique_ptr<int>>);
  EXPECT_EQ(*awaitable_as_trio(MakesKeeper{}), 7);
  EXPECT_EQ(*awaitable_as_trio([](std::stop_token) { return Keeps{}; }), 7);
  EXPECT_EQ(*awaitable_as_trio(Keeps{}, {.abandon_on_cancel = true}), 7);
}

// --- Cancellation. ---

FIBER_TEST(AwaitableAsTrioTest, CancellationCallsRequestStopOnce) {
  Operation op;
  CancelScope scope;
  meanwhile([&] { scope.run([&] { awaitable_as_trio(Stoppable(op)); }); },
            [&] {
              scope.cancel();
              let_others_wait();
              EXPECT_EQ(op.stops, 1);
              EXPECT_FALSE(scope.cancelled_caught());
              op.fail(operation_canceled());
            });
  EXPECT_TRUE(scope.cancelled_caught());
}

FIBER_TEST(AwaitableAsTrioTest, ItMayEndInsideRequestStop) {
  Operation op;
  op.stop_ends_it = true;
  CancelScope scope;
  meanwhile([&] { scope.run([&] { awaitable_as_trio(Stoppable(op)); }); }, [&] { scope.cancel(); });
  EXPECT_TRUE(scope.cancelled_caught());
}

FIBER_TEST(AwaitableAsTrioTest, ADeadlineStopsIt) {
  Operation op;
  op.stop_ends_it = true;
  EXPECT_FALSE(fibers::move_on_after(std::chrono::seconds(1), [&] {
                 return awaitable_as_trio(Stoppable(op));
               }).finished());
  EXPECT_EQ(op.stops, 1);
}

FIBER_TEST(AwaitableAsTrioTest, CancellationStopsTheTokenOfThePromise) {
  Operation op;
  CancelScope scope;
  meanwhile([&] { scope.run([&] { awaitable_as_trio(AsksForToken(op)); }); },
            [&] { scope.cancel(); });
  EXPECT_TRUE(scope.cancelled_caught());
}

struct TakesToken : AsksForToken {
  TakesToken(Operation& of, std::stop_token t) : AsksForToken(of), token(std::move(t)) {}
  void await_suspend(std::coroutine_handle<> handle) {
    op.waits = handle;
    on_stop.emplace(token, Stop{op});
  }
  std::stop_token token;
};

FIBER_TEST(AwaitableAsTrioTest, CancellationStopsTheTokenThatAFunctionIsGiven) {
  Operation op;
  CancelScope scope;
  meanwhile(
      [&] {
        scope.run([&] {
          awaitable_as_trio([&](std::stop_token token) { return TakesToken(op, token); });
        });
      },
      [&] { scope.cancel(); });
  EXPECT_TRUE(scope.cancelled_caught());
}

struct SaysStopped : Plain {
  using Plain::Plain;
  template <class P>
  void await_suspend(std::coroutine_handle<P> handle) const noexcept {
    op.waits = handle.promise().unhandled_stopped();
  }
};

FIBER_TEST(AwaitableAsTrioTest, UnhandledStoppedIsACancellation) {
  Operation op;
  meanwhile([&] { EXPECT_THROW(awaitable_as_trio(SaysStopped(op)), loop::CancelledError); },
            [&] { op.resume(); });
  CancelScope scope;
  meanwhile([&] { scope.run([&] { awaitable_as_trio(SaysStopped(op)); }); },
            [&] {
              scope.cancel();
              op.resume();
            });
  EXPECT_TRUE(scope.cancelled_caught());
}

FIBER_TEST(AwaitableAsTrioTest, WithoutAWayToStopItTheTaskWaitsOn) {
  Operation op;
  CancelScope scope;
  int got = 0;
  meanwhile([&] { scope.run([&] { got = awaitable_as_trio(Plain(op)); }); },
            [&] {
              scope.cancel();
              let_others_wait();
              op.end(3);
            });
  EXPECT_EQ(got, 3);
  EXPECT_FALSE(scope.cancelled_caught());
}

FIBER_TEST(AwaitableAsTrioTest, AnErrorInSpiteOfTheCancellationIsThrown) {
  Operation op;
  CancelScope scope;
  meanwhile(
      [&] {
        EXPECT_THROW(scope.run([&] { awaitable_as_trio(Stoppable(op)); }), std::runtime_error);
      },
      [&] {
        scope.cancel();
        op.fail(test::failure());
      });
}

FIBER_TEST(AwaitableAsTrioTest, CancelledByItselfItsErrorIsUnchanged) {
  Operation op;
  meanwhile([&] { EXPECT_THROW(awaitable_as_trio(Plain(op)), std::system_error); },
            [&] { op.fail(operation_canceled()); });
}

struct StopThrows : Plain {
  using Plain::Plain;
  void request_stop() const { throw std::logic_error("cannot"); }
};

FIBER_TEST(AwaitableAsTrioTest, WhatRequestStopThrowsIsThrownAtTheEnd) {
  Operation op;
  CancelScope scope;
  meanwhile(
      [&] {
        EXPECT_THROW(scope.run([&] { awaitable_as_trio(StopThrows(op)); }), std::logic_error);
      },
      [&] {
        scope.cancel();
        op.end(1);
      });
}

// --- Abandoned. ---

// Its frame goes once, with what it holds.
struct Holds : Plain {
  Holds(Operation& of, std::shared_ptr<int> h) : Plain(of), held(std::move(h)) {}
  std::shared_ptr<int> held;
};

FIBER_TEST(AwaitableAsTrioTest, OneThatMayBeAbandonedIsLeftAlone) {
  Operation op;
  const auto held = std::make_shared<int>(1);
  CancelScope scope;
  meanwhile(
      [&] {
        scope.run([&] { awaitable_as_trio(Holds(op, held), {.abandon_on_cancel = true}); });
        EXPECT_TRUE(scope.cancelled_caught());
        EXPECT_EQ(held.use_count(), 2);
      },
      [&] { scope.cancel(); });
  op.end(1);
  EXPECT_EQ(held.use_count(), 1);
}

FIBER_TEST(AwaitableAsTrioTest, OneThatMayBeAbandonedGivesItsValueOrError) {
  Operation op;
  meanwhile([&] { EXPECT_EQ(awaitable_as_trio(Plain(op), {.abandon_on_cancel = true}), 4); },
            [&] { op.end(4); });
  meanwhile(
      [&] {
        EXPECT_THROW(awaitable_as_trio(Plain(op), {.abandon_on_cancel = true}), std::runtime_error);
      },
      [&] { op.fail(test::failure()); });
}

// --- The resumer. ---

// Instead of resuming what waits.
void destroy(Operation& op) {
  if (!op.waits) return op.fail(test::failure());
  std::exchange(op.waits, nullptr).destroy();
}

FIBER_TEST(AwaitableAsTrioTest, ALibraryMayDestroyInsteadOfResuming) {
  Operation op;
  meanwhile([&] { EXPECT_THROW(awaitable_as_trio(Plain(op)), fibers::BrokenResourceError); },
            [&] { destroy(op); });
}

FIBER_TEST(AwaitableAsTrioTest, TheFlavourIsThatOfWhoRuns) {
  struct AsksFlavour : Plain {
    using Plain::Plain;
    std::string await_resume() const { return std::string(current_async_library()); }
  };
  Operation op;
  meanwhile([&] { EXPECT_EQ(awaitable_as_trio(AsksFlavour(op)), "trio"); }, [&] { op.end(0); });
}

}  // namespace
}  // namespace weft::cpp20
