// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Values whose constructors wait, throw and come back while they cross the border.

#include <gtest/gtest.h>

#include <chrono>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>

#include "tests/shim/shim_test_support.h"
#include "tests/support/user_code.h"
#include "weft/fibers/timeouts.h"
#include "weft/shim/aio_as_trio.h"
#include "weft/shim/loop_resource.h"
#include "weft/shim/open_loop.h"
#include "weft/shim/portal.h"
#include "weft/shim/trio_as_aio.h"

namespace weft::shim {
namespace {

using namespace std::chrono_literals;
using fibers::CancelScope;
using fibers::Nursery;
using fibers::open_nursery;
using fibers::sleep;
using fibers::sleep_forever;
using testing::Restless;
using testing::UserCode;

FIBER_TEST(UserCodeTest, AValueThatTakesItsTimeIsWaitedFor) {
  for (const bool early : {false, true}) {
    UserCode code;
    code.hook = [](const std::string& where) {
      if (where == "move") sleep(1s);
    };
    open_nursery([&](Nursery& nursery) {
      const Restless value = wait_for_callback<Restless>(
          [&](Completion<Restless> done) {
            nursery.start_soon([&code, done = std::move(done)] { done(code, 7); });
            if (early) sleep(1500ms);
          },
          [] { return CancelResult::kAbandoned; });
      EXPECT_EQ(value.value(), 7);
    });
    code.hook = nullptr;
    EXPECT_EQ(code.alive, 0);
  }
}

// It has been accepted: the cancellation comes at the next wait.
FIBER_TEST(UserCodeTest, ACancellationDoesNotLoseAValueOnItsWay) {
  UserCode code;
  int moves = 0;  // Into the outcome, into complete(), into the cell.
  code.hook = [&](const std::string& where) {
    if (where == "move" && ++moves == 3) sleep(1s);
  };
  bool got = false;
  open_nursery([&](Nursery& nursery) {
    CancelScope scope({.relative_deadline = fibers::Duration(500ms)});
    scope.run([&] {
      const Restless value = wait_for_callback<Restless>(
          [&](Completion<Restless> done) {
            nursery.start_soon([&code, done = std::move(done)] {
              auto outcome = fibers::Outcome<Restless>::value(Restless(code, 7));
              done.complete(std::move(outcome));
            });
          },
          [] {
            ADD_FAILURE() << "the library has called already";
            return CancelResult::kDone;
          });
      EXPECT_GE(moves, 3);
      got = value.value() == 7;
      sleep(1s);
    });
    EXPECT_TRUE(scope.cancelled_caught());
  });
  EXPECT_TRUE(got);
  EXPECT_EQ(code.alive, 0);
}

FIBER_TEST(UserCodeTest, AValueThatCannotBeStoredIsAnError) {
  UserCode code;
  int moves = 0;
  const auto error = error_of([&] {
    wait_for_callback<Restless>(
        [&](Completion<Restless> done) {
          auto outcome = fibers::Outcome<Restless>::value(Restless(code, 7));
          code.hook = [&](const std::string& where) {
            if (where == "move" && ++moves == 2) throw std::out_of_range("move");
          };
          done.complete(std::move(outcome));
        },
        [] { return CancelResult::kDone; });
  });
  EXPECT_TRUE(holds<std::out_of_range>(error));
  code.hook = nullptr;
  EXPECT_EQ(code.alive, 0);
}

// The wait ends also then: nobody else would end it.
FIBER_TEST(UserCodeTest, ATaskThatIsCancelledWhileItStoresTheValueCancelsTheWait) {
  for (const bool waiter_too : {false, true}) {
    UserCode code;
    int moves = 0;
    code.hook = [&](const std::string& where) {
      if (where == "move" && ++moves == 2) sleep_forever();
    };
    CancelScope storing;
    CancelScope waiting;
    bool stored = false;
    std::exception_ptr error;
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] {
        sleep(1s);
        if (waiter_too) waiting.cancel();
        storing.cancel();
      });
      waiting.run([&] {
        error = error_of([&] {
          wait_for_callback<Restless>(
              [&](Completion<Restless> done) {
                nursery.start_soon([&, done = std::move(done)] {
                  storing.run([&] {
                    done.complete(fibers::Outcome<Restless>::value(Restless(code, 7)));
                    stored = true;
                  });
                });
              },
              [] { return CancelResult::kAbandoned; });
        });
        if (waiter_too) std::rethrow_exception(error);
      });
    });
    EXPECT_FALSE(stored);
    EXPECT_TRUE(storing.cancelled_caught());
    EXPECT_EQ(waiting.cancelled_caught(), waiter_too);
    EXPECT_EQ(holds<fibers::Cancelled>(error), waiter_too);
    EXPECT_EQ(holds<loop::CancelledError>(error), !waiter_too);
    code.hook = nullptr;
    EXPECT_EQ(code.alive, 0);
  }
}

FIBER_TEST(UserCodeTest, ASecondCallInsideTheFirstIsExtra) {
  UserCode code;
  const auto before = portal_statistics().extra_calls;
  const Restless value = wait_for_callback<Restless>(
      [&](Completion<Restless> done) {
        auto outcome = fibers::Outcome<Restless>::value(Restless(code, 7));
        int moves = 0;
        code.hook = [&, done](const std::string& where) {
          if (where == "move" && ++moves == 2) done(code, 8);
        };
        done.complete(std::move(outcome));
        code.hook = nullptr;
      },
      [] { return CancelResult::kDone; });
  EXPECT_EQ(value.value(), 7);
  EXPECT_EQ(portal_statistics().extra_calls, before + 1);
}

FIBER_TEST(UserCodeTest, AFutureThatSomebodyElseEndsKeepsItsValue) {
  UserCode code;
  open_loop([&](EventLoop& loop) {
    code.hook = [](const std::string& where) {
      if (where == "move") sleep(1s);
    };
    auto future = run_trio([&] { return Restless(code, 1); });
    loop.call_later(500ms, [&]() mutable {
      code.hook = nullptr;
      future.set_result(code, 2);
    });
    wait(future);
    EXPECT_EQ(future.result().value(), 2);
    sleep(10s);
    EXPECT_EQ(future.result().value(), 2);
  });
  EXPECT_EQ(code.alive, 0);
}

FIBER_TEST(UserCodeTest, TheResultOfATaskThatCannotBeStoredIsItsError) {
  UserCode code;
  open_loop([&](EventLoop&) {
    code.hook = [](const std::string& where) {
      if (where == "move") throw std::out_of_range("move");
    };
    auto future = run_trio([&] { return Restless(code, 1); });
    EXPECT_TRUE(holds<std::out_of_range>(error_of([&] { wait(future), future.result(); })));
    code.hook = nullptr;
  });
  EXPECT_EQ(code.alive, 0);
}

// A callable of run_trio is moved into its future, and nowhere else.
FIBER_TEST(UserCodeTest, AFunctionIsNotMovedOnItsWayIntoItsTask) {
  UserCode code;
  open_loop([&](EventLoop&) {
    int moves = 0;
    code.hook = [&](const std::string& where) { moves += where == "move" ? 1 : 0; };
    await(run_trio(Restless(code, 1)));
    EXPECT_EQ(moves, 1);
    code.hook = nullptr;
  });
  EXPECT_EQ(code.alive, 0);
}

struct SlowResource {
  explicit SlowResource(EventLoop& /*loop*/) { sleep(1s); }
  void close() {}
};

FIBER_TEST(UserCodeTest, AResourceIsMadeOnceThoughItTakesItsTime) {
  open_loop([](EventLoop& loop) {
    std::shared_ptr<SlowResource> first;
    std::shared_ptr<SlowResource> second;
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] { first = loop_resource<SlowResource>(loop); });
      nursery.start_soon([&] { second = loop_resource<SlowResource>(loop); });
    });
    EXPECT_EQ(first, second);
  });
}

// A library that completes inside cancel, which then throws.
FIBER_TEST(UserCodeTest, WhatCancelThrowsAfterTheLibraryHasCalledIsNotLost) {
  for (const bool value : {false, true}) {
    std::optional<Completion<int>> kept;
    const auto error = error_of([&] {
      fibers::move_on_after(1s, [&] {
        wait_for_callback<int>([&](Completion<int> done) { kept = std::move(done); },
                               [&]() -> CancelResult {
                                 value ? (*kept)(1) : kept->cancelled();
                                 throw std::logic_error("cannot cancel");
                               });
      });
    });
    EXPECT_TRUE(holds<std::logic_error>(error));
  }
}

FIBER_TEST(UserCodeTest, AnotherThreadMaySayThatItWasCancelled) {
  WEFT_NOT_ALLOCATION_SWEPT("what its thread throws ends the process");
  CancelScope scope({.relative_deadline = fibers::Duration(1s)});
  std::optional<Completion<int>> kept;
  std::jthread library;
  scope.run([&] {
    wait_for_callback<int>([&](Completion<int> done) { kept = std::move(done); },
                           [&] {
                             library = std::jthread([&] { kept->cancelled_threadsafe(); });
                             return CancelResult::kWillComplete;
                           });
  });
  library.join();
  EXPECT_TRUE(scope.cancelled_caught());
  const auto error = error_of([&] {
    wait_for_callback<int>(
        [](Completion<int> done) {
          std::thread([&] {
            done.cancelled_threadsafe(std::make_exception_ptr(std::out_of_range("stopped")));
          }).join();
        },
        [] { return CancelResult::kDone; });
  });
  EXPECT_TRUE(holds<std::out_of_range>(error));
  EXPECT_THROW(
      wait_for_callback<int>(
          [](Completion<int> done) { std::thread([&] { done.cancelled_threadsafe(); }).join(); },
          [] { return CancelResult::kDone; }),
      loop::CancelledError);
}

}  // namespace
}  // namespace weft::shim
