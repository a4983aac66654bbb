// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/shim/portal.h"

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>

#include "tests/shim/shim_test_support.h"
#include "weft/fibers/no_suspend.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/run.h"
#include "weft/fibers/timeouts.h"
#include "weft/loop/errors.h"

namespace weft::shim {
namespace {

using namespace std::chrono_literals;
using fibers::CancelScope;
using fibers::Nursery;
using fibers::open_nursery;
using fibers::sleep;

// A library that calls back when it is told to, as often as it is told to.
template <class R>
struct Library {
  std::optional<Completion<R>> callback;
  int cancels = 0;

  auto start() {
    return [this](Completion<R> done) { callback = std::move(done); };
  }
  auto cancel(CancelResult result, std::function<void()> inside = {}) {
    return [this, result, inside] {
      ++cancels;
      if (inside) inside();
      return result;
    };
  }
  R wait(CancelResult result = CancelResult::kDone, std::function<void()> inside = {}) {
    return wait_for_callback<R>(start(), cancel(result, std::move(inside)));
  }
};

std::uint64_t extra_calls() {
  return portal_statistics().extra_calls;
}
std::uint64_t late_calls() {
  return portal_statistics().late_calls;
}

FIBER_TEST(PortalTest, ReturnsWhatTheCallbackBrings) {
  Library<std::string> library;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      sleep(3s);
      (*library.callback)("done");
    });
    EXPECT_EQ(library.wait(), "done");
  });
  EXPECT_EQ(library.cancels, 0);
}

FIBER_TEST(PortalTest, StartMayCompleteBeforeItReturns) {
  const auto before = fibers::checkpoint_counts().schedule_points;
  const int value = wait_for_callback<int>([](Completion<int> done) { done(7); },
                                           [] { return CancelResult::kDone; });
  EXPECT_EQ(value, 7);
  EXPECT_GT(fibers::checkpoint_counts().schedule_points, before) << "always a checkpoint";
}

FIBER_TEST(PortalTest, AValueThatCameEarlyIsNotLostToACancellation) {
  CancelScope scope;
  std::optional<int> value;
  scope.run([&] {
    value = wait_for_callback<int>(
        [&](Completion<int> done) {
          done(7);
          scope.cancel();
        },
        [] { return CancelResult::kDone; });
  });
  EXPECT_EQ(value, 7);
}

FIBER_TEST(PortalTest, AnErrorIsThrown) {
  const auto error = error_of([] {
    wait_for_callback<void>(
        [](Completion<void> done) { done.fail(std::make_exception_ptr(std::out_of_range("x"))); },
        [] { return CancelResult::kDone; });
  });
  EXPECT_TRUE(holds<std::out_of_range>(error));
}

FIBER_TEST(PortalTest, WhatStartThrowsComesOut) {
  const auto late = late_calls();
  std::optional<Completion<void>> kept;
  const auto error = error_of([&] {
    wait_for_callback<void>(
        [&](Completion<void> done) {
          kept = std::move(done);
          throw std::runtime_error("the library is not there");
        },
        [] { return CancelResult::kDone; });
  });
  EXPECT_TRUE(holds<std::runtime_error>(error));
  ASSERT_TRUE(kept.has_value());
  (*kept)();
  EXPECT_EQ(late_calls(), late + 1);
}

FIBER_TEST(PortalTest, CancelledBeforeStartsNothing) {
  bool started = false;
  CancelScope scope;
  scope.cancel();
  scope.run([&] {
    wait_for_callback<void>([&](Completion<void>) { started = true; },
                            [] { return CancelResult::kDone; });
  });
  EXPECT_TRUE(scope.cancelled_caught());
  EXPECT_FALSE(started);
}

FIBER_TEST(PortalTest, CancelThatIsDoneEndsTheWait) {
  Library<int> library;
  EXPECT_FALSE(fibers::move_on_after(1s, [&] { library.wait(CancelResult::kDone); }));
  EXPECT_EQ(library.cancels, 1);
  const auto late = late_calls();
  (*library.callback)(1);
  EXPECT_EQ(late_calls(), late + 1);
}

FIBER_TEST(PortalTest, AValueThatComesAfterCancelIsReturned) {
  WEFT_NOT_SWEPT("a wait that refuses to be cancelled has nobody left to end it");
  Library<int> library;
  CancelScope scope({.relative_deadline = fibers::Duration(1s)});
  std::optional<int> value;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      sleep(2s);
      (*library.callback)(5);
    });
    scope.run([&] { value = library.wait(CancelResult::kWillComplete); });
  });
  EXPECT_EQ(value, 5);
  EXPECT_TRUE(scope.cancel_called());
  EXPECT_FALSE(scope.cancelled_caught());
  EXPECT_EQ(library.cancels, 1);
}

FIBER_TEST(PortalTest, TheLibraryMaySayLaterThatItWasCancelled) {
  WEFT_NOT_SWEPT("a wait that refuses to be cancelled has nobody left to end it");
  Library<int> library;
  CancelScope scope({.relative_deadline = fibers::Duration(1s)});
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      sleep(2s);
      library.callback->cancelled();
    });
    scope.run([&] { library.wait(CancelResult::kWillComplete); });
    EXPECT_TRUE(scope.cancelled_caught());
  });
}

FIBER_TEST(PortalTest, CancelMayCallBackInsideItself) {
  for (const CancelResult result :
       {CancelResult::kDone, CancelResult::kWillComplete, CancelResult::kAbandoned}) {
    Library<int> library;
    std::optional<int> value;
    CancelScope scope({.relative_deadline = fibers::Duration(1s)});
    scope.run([&] { value = library.wait(result, [&] { (*library.callback)(9); }); });
    EXPECT_EQ(value, 9);
    EXPECT_FALSE(scope.cancelled_caught());
  }
}

FIBER_TEST(PortalTest, CancelMaySayInsideItselfThatItWasCancelled) {
  for (const CancelResult result :
       {CancelResult::kDone, CancelResult::kWillComplete, CancelResult::kAbandoned}) {
    Library<int> library;
    CancelScope scope({.relative_deadline = fibers::Duration(1s)});
    scope.run([&] { library.wait(result, [&] { library.callback->cancelled(); }); });
    EXPECT_TRUE(scope.cancelled_caught());
  }
}

FIBER_TEST(PortalTest, AnAbandonedCellOutlivesItsTask) {
  Library<std::shared_ptr<int>> library;
  const auto late = late_calls();
  EXPECT_FALSE(fibers::move_on_after(1s, [&] { library.wait(CancelResult::kAbandoned); }));
  const auto value = std::make_shared<int>(1);
  (*library.callback)(value);
  library.callback.reset();
  EXPECT_EQ(value.use_count(), 1) << "a dropped result is destroyed";
  EXPECT_EQ(late_calls(), late + 1);
}

FIBER_TEST(PortalTest, FurtherCallsAreCounted) {
  const auto extra = extra_calls();
  std::optional<Completion<int>> kept;
  const int value = wait_for_callback<int>(
      [&](Completion<int> done) {
        done(1);
        done(2);
        kept = std::move(done);
      },
      [] { return CancelResult::kDone; });
  (*kept)(3);
  EXPECT_EQ(value, 1);
  EXPECT_EQ(extra_calls(), extra + 2);
}

FIBER_TEST(PortalTest, ALostCallbackIsAnError) {
  const auto at_once = error_of(
      [] { wait_for_callback<void>([](Completion<void>) {}, [] { return CancelResult::kDone; }); });
  EXPECT_TRUE(holds<fibers::BrokenResourceError>(at_once));
  Library<void> library;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      sleep(1s);
      library.callback.reset();
    });
    EXPECT_TRUE(holds<fibers::BrokenResourceError>(error_of([&] { library.wait(); })));
  });
}

FIBER_TEST(PortalTest, ACallbackLostByCancellingIsACancellation) {
  Library<void> library;
  CancelScope scope({.relative_deadline = fibers::Duration(1s)});
  scope.run([&] { library.wait(CancelResult::kWillComplete, [&] { library.callback.reset(); }); });
  EXPECT_TRUE(scope.cancelled_caught());
}

FIBER_TEST(PortalTest, CancelledBySomebodyElseIsCancelledError) {
  const auto error = error_of([] {
    wait_for_callback<void>([](Completion<void> done) { done.cancelled(); },
                            [] { return CancelResult::kDone; });
  });
  EXPECT_TRUE(holds<loop::CancelledError>(error));
}

FIBER_TEST(PortalTest, WhatCancelThrowsEndsTheWait) {
  Library<void> library;
  const auto error = error_of([&] {
    fibers::move_on_after(1s, [&] {
      library.wait(CancelResult::kWillComplete, [] { throw std::logic_error("cannot cancel"); });
    });
  });
  EXPECT_TRUE(holds<std::logic_error>(error));
}

// Also where the cancellation comes before the wait: it is the waiting task that cancels then.
FIBER_TEST(PortalTest, CancelMustNotWaitInTheWaitingTaskEither) {
  std::optional<Completion<void>> kept;
  std::exception_ptr error;
  CancelScope scope;
  scope.run([&] {
    error = error_of([&] {
      wait_for_callback<void>(
          [&](Completion<void> done) {
            kept = std::move(done);
            scope.cancel();
          },
          [] {
            sleep(1s);
            return CancelResult::kDone;
          });
    });
  });
  EXPECT_TRUE(holds<fibers::UsageError>(error));
}

FIBER_TEST(PortalTest, CancelMustNotWait) {
  Library<void> library;
  std::exception_ptr error;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon(
        [&] { error = error_of([&] { library.wait(CancelResult::kDone, [] { sleep(1s); }); }); });
    sleep(1s);
    nursery.cancel_scope().cancel();  // Runs the cancel function on this task's stack.
  });
  EXPECT_TRUE(holds<fibers::UsageError>(error));
}

FIBER_TEST(PortalTest, AForbiddenWaitStartsNothing) {
  Library<int> library;
  const auto error = error_of([&] {
    const fibers::NoSuspend guard("a test");
    library.wait();
  });
  EXPECT_TRUE(holds<fibers::UsageError>(error));
  EXPECT_FALSE(library.callback.has_value());
}

FIBER_TEST(PortalTest, APointerStandsForACopy) {
  WEFT_NOT_SWEPT("a pointer that nobody takes back is never freed");
  const auto extra = extra_calls();
  void* pointer = nullptr;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      sleep(1s);
      Completion<int>::copy_pointer(pointer)(1);
      Completion<int>::copy_pointer(pointer)(2);
      Completion<int>::take_pointer(pointer)(3);
    });
    const int value = wait_for_callback<int>(
        [&](Completion<int> done) { pointer = std::move(done).into_pointer(); },
        [] { return CancelResult::kDone; });
    EXPECT_EQ(value, 1);
  });
  EXPECT_EQ(extra_calls(), extra + 2);
}

FIBER_TEST(PortalTest, OtherThreadsCompleteByTheirOwnCall) {
  WEFT_NOT_ALLOCATION_SWEPT("what its thread expects counts");
  std::jthread thread;
  const auto value = wait_for_callback<std::unique_ptr<int>>(
      [&](Completion<std::unique_ptr<int>> done) {
        thread = std::jthread([done = std::move(done)] {
          EXPECT_THROW(done(std::make_unique<int>(1)), fibers::UsageError);
          done.complete_threadsafe(std::make_unique<int>(2));
        });
      },
      [] { return CancelResult::kAbandoned; });
  thread.join();
  EXPECT_EQ(*value, 2);
}

FIBER_TEST(PortalTest, AThreadThatLosesTheCallbackEndsTheWait) {
  std::thread thread;
  const auto error = error_of([&] {
    wait_for_callback<void>(
        [&](Completion<void> done) { thread = std::thread([done = std::move(done)] {}); },
        [] { return CancelResult::kAbandoned; });
  });
  thread.join();
  EXPECT_TRUE(holds<fibers::BrokenResourceError>(error));
}

TEST(PortalTest, CompletingAfterTheRunHasNoEffect) {
  const auto late = late_calls();
  std::optional<Completion<int>> kept;
  fibers::run([&] {
    fibers::move_on_after(1ns, [&] {
      wait_for_callback<int>([&](Completion<int> done) { kept = std::move(done); },
                             [] { return CancelResult::kAbandoned; });
    });
  });
  std::thread([&] { kept->complete_threadsafe(1); }).join();
  (*kept)(2);
  EXPECT_EQ(late_calls(), late + 2);
}

}  // namespace
}  // namespace weft::shim
