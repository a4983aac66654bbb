// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The body of a weft::main: the first Ctrl-C cancels it, the second interrupts it. The tests run on
// the main thread of the process, with SIGINT at its default.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <stdexcept>
#include <string>

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/inspect.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/main.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/raises_group.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

using detail::cancelled_by_interrupt;
using std::chrono::seconds;
using testing::RaisesGroup;
using testing::thrown_by;
using testing::type;
using testing::wait_all_tasks_blocked;

void interrupt_and_wait() {
  std::raise(SIGINT);
  sleep_forever();
}

// The Cancelled that a wait at the first Ctrl-C ends with, put into words.
std::string told_of_interrupt() {
  try {
    interrupt_and_wait();
  } catch (const Cancelled& cancelled) {
    return cancelled.what();
  }
  return "";
}

FIBER_TEST(FirstInterruptTest, CancelsTheBodyAndComesOutWhenThatHasUnwound) {
  std::string order;
  EXPECT_THROW(cancelled_by_interrupt([&]() -> int {
                 try {
                   interrupt_and_wait();
                 } catch (const Cancelled& cancelled) {
                   order += cancelled.what();
                   throw;
                 }
                 return 0;
               }),
               KeyboardInterrupt);
  EXPECT_THAT(order, ::testing::HasSubstr("KeyboardInterrupt"));
  checkpoint();  // Nothing is left of it.
}

FIBER_TEST(FirstInterruptTest, UnwindsTheNurseriesOfTheBody) {
  std::string order;
  EXPECT_THROW(cancelled_by_interrupt([&] {
                 open_nursery([&](Nursery& nursery) {
                   nursery.start_soon([&] {
                     try {
                       sleep_forever();
                     } catch (const Cancelled&) {
                       order += 'c';
                       throw;
                     }
                   });
                   wait_all_tasks_blocked();
                   interrupt_and_wait();
                 });
                 return 0;
               }),
               KeyboardInterrupt);
  EXPECT_EQ(order, "c");
}

FIBER_TEST(FirstInterruptTest, LeavesAloneWhatIsShielded) {
  bool cleaned = false;
  EXPECT_THROW(cancelled_by_interrupt([&]() -> int {
                 CancelScope({.shield = true}).run([&] {
                   std::raise(SIGINT);
                   sleep(seconds(1));
                   cleaned = true;
                 });
                 sleep_forever();
                 return 0;
               }),
               KeyboardInterrupt);
  EXPECT_TRUE(cleaned);
}

FIBER_TEST(FirstInterruptTest, TheSecondIsRaisedAlsoInsideAShield) {
  std::string order;
  EXPECT_THROW(cancelled_by_interrupt([&]() -> int {
                 order += told_of_interrupt().empty() ? "" : "cancelled ";
                 CancelScope({.shield = true}).run([&] {
                   try {
                     interrupt_and_wait();
                   } catch (const KeyboardInterrupt&) {
                     order += "interrupted";
                     throw;
                   }
                 });
                 return 0;
               }),
               KeyboardInterrupt);
  EXPECT_EQ(order, "cancelled interrupted");
}

// asyncio: Runner.run returns what the main task returns.
FIBER_TEST(FirstInterruptTest, ABodyThatIsToldAndReturnsHasItsStatus) {
  EXPECT_EQ(cancelled_by_interrupt([] { return told_of_interrupt().empty() ? 1 : 3; }), 3);
  EXPECT_EQ(last_swallowed_cancelled(), "");
  checkpoint();
}

FIBER_TEST(FirstInterruptTest, ABodyThatHasNotHeardOfItDoesNotDropIt) {
  EXPECT_THROW(cancelled_by_interrupt([] {
                 CancelScope({.shield = true}).run([] {
                   std::raise(SIGINT);
                   sleep(seconds(1));
                 });
                 return 0;
               }),
               KeyboardInterrupt);
}

FIBER_TEST(FirstInterruptTest, OneThatIsPendingAlreadyIsTheFirst) {
  std::raise(SIGINT);
  cancel_shielded_checkpoint();
  EXPECT_EQ(cancelled_by_interrupt([] {
              try {
                sleep_forever();
              } catch (const Cancelled&) {
                return 4;
              }
              return 0;
            }),
            4);
}

FIBER_TEST(FirstInterruptTest, ComesOutBesideAnErrorOfTheBody) {
  EXPECT_THAT(thrown_by([] {
                cancelled_by_interrupt([]() -> int {
                  if (told_of_interrupt().empty()) return 0;
                  throw std::runtime_error("no route");
                });
              }),
              RaisesGroup(type<KeyboardInterrupt>(), type<std::runtime_error>()));
}

FIBER_TEST(FirstInterruptTest, IsNotDroppedForACancellationAroundTheBody) {
  CancelScope scope;
  EXPECT_THROW(scope.run([&] {
    cancelled_by_interrupt([&]() -> int {
      CancelScope({.shield = true}).run([&] {
        std::raise(SIGINT);
        sleep(seconds(1));
        scope.cancel();
      });
      sleep_forever();
      return 0;
    });
  }),
               KeyboardInterrupt);
}

FIBER_TEST(FirstInterruptTest, WithoutOneEverythingIsAsEver) {
  EXPECT_EQ(cancelled_by_interrupt([] { return 5; }), 5);
  EXPECT_THROW(cancelled_by_interrupt([]() -> int { throw std::out_of_range("far"); }),
               std::out_of_range);
  CancelScope scope;
  scope.run([&] {
    scope.cancel();
    cancelled_by_interrupt([] {
      checkpoint();
      return 0;
    });
  });
  EXPECT_TRUE(scope.cancelled_caught());
  std::raise(SIGINT);
  EXPECT_THROW(checkpoint(), KeyboardInterrupt) << "after the body it is Trio's again";
}

}  // namespace
}  // namespace weft::fibers
