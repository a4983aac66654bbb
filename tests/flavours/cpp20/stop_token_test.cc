// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/cpp20/stop_token.h"

#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <thread>
#include <utility>

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/event.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/fibers/timeouts.h"
#include "weft/fibers/to_thread.h"

namespace weft::cpp20 {
namespace {

using fibers::CancelScope;
using fibers::Nursery;
using fibers::open_nursery;
using fibers::testing::wait_all_tasks_blocked;
using namespace std::chrono_literals;

// --- A scope stops a token. ---

FIBER_TEST(WithStopTokenTest, ReturnsWhatTheBodyReturns) {
  std::optional<std::stop_token> kept;
  EXPECT_EQ(with_stop_token([&](std::stop_token token) {
              kept = token;
              return 3;
            }),
            3);
  EXPECT_FALSE(kept->stop_requested());
}

FIBER_TEST(WithStopTokenTest, ThrowsWhatTheBodyThrowsAndStopsNothing) {
  std::optional<std::stop_token> kept;
  EXPECT_THROW(with_stop_token([&](std::stop_token token) {
                 kept = std::move(token);
                 fibers::sleep(1s);
                 throw std::runtime_error("no");
               }),
               std::runtime_error);
  EXPECT_FALSE(kept->stop_requested());
}

FIBER_TEST(WithStopTokenTest, ACancelledScopeStopsTheTokenAtOnce) {
  CancelScope scope;
  open_nursery([&](Nursery& nursery) {
    std::optional<std::stop_token> kept;
    nursery.start_soon(
        [&] {
          scope.run([&] {
            with_stop_token([&](std::stop_token token) {
              kept = std::move(token);
              fibers::sleep_forever();
            });
          });
        },
        {.unchecked_captures = true});
    wait_all_tasks_blocked();
    EXPECT_FALSE(kept->stop_requested());
    scope.cancel();
    EXPECT_TRUE(kept->stop_requested());
    wait_all_tasks_blocked();
  });
  EXPECT_TRUE(scope.cancelled_caught());
}

// A thread that is not cancelled, but asks.
int count_until_stopped(std::stop_token token) {
  std::mutex mutex;
  std::condition_variable_any changed;
  std::unique_lock lock(mutex);
  changed.wait(lock, std::move(token), [] { return false; });
  return 1;
}

FIBER_TEST(WithStopTokenTest, ACancellationAtTheBeginningOfTheBodyStopsTheTokenAtOnce) {
  CancelScope scope;
  bool stopped = false;
  scope.run([&] {
    with_stop_token([&](std::stop_token token) {
      scope.cancel();
      stopped = token.stop_requested();
    });
  });
  EXPECT_TRUE(stopped);
}

FIBER_TEST(WithStopTokenTest, ReachesAThreadThatTheScopeCannot) {
  CancelScope scope;
  int counted = 0;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      wait_all_tasks_blocked();
      scope.cancel();
    });
    scope.run([&] {
      with_stop_token([&](std::stop_token token) {
        counted = fibers::to_thread::run_sync([token] { return count_until_stopped(token); });
      });
    });
  });
  EXPECT_EQ(counted, 1);
}

// --- A token cancels a scope. ---

FIBER_TEST(MoveOnWhenStoppedTest, StoppingTheTokenCancelsTheBody) {
  std::stop_source source;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      wait_all_tasks_blocked();
      source.request_stop();
    });
    EXPECT_FALSE(move_on_when_stopped(source.get_token(), [] {
                   fibers::sleep_forever();
                   return 1;
                 }).finished());
  });
}

FIBER_TEST(MoveOnWhenStoppedTest, OneThatIsStoppedAlready) {
  std::stop_source source;
  source.request_stop();
  bool ran = false;
  EXPECT_FALSE(move_on_when_stopped(source.get_token(), [&] {
                 ran = true;
                 fibers::checkpoint();
                 return 1;
               }).finished());
  EXPECT_TRUE(ran);
}

FIBER_TEST(MoveOnWhenStoppedTest, OneThatIsNeverStopped) {
  EXPECT_EQ(move_on_when_stopped(std::stop_token(), [] { return 1; }).value(), 1);
  std::stop_source source;
  EXPECT_EQ(move_on_when_stopped(source.get_token(), [] { return 2; }).value(), 2);
  source.request_stop();  // Nobody listens any more.
}

FIBER_TEST(MoveOnWhenStoppedTest, AnotherThreadMayStopIt) {
  std::stop_source source;
  std::jthread other;
  EXPECT_FALSE(move_on_when_stopped(source.get_token(), [&] {
                 other = std::jthread([&] { source.request_stop(); });
                 fibers::sleep_forever();
                 return 1;
               }).finished());
}

FIBER_TEST(CancelOnStopTest, ANurserysScope) {
  std::stop_source source;
  open_nursery([&](Nursery& nursery) {
    const CancelOnStop link(nursery.cancel_scope(), source.get_token());
    nursery.start_soon([] { fibers::sleep_forever(); });
    wait_all_tasks_blocked();
    source.request_stop();
    EXPECT_TRUE(nursery.cancel_scope().cancel_called());
  });
}

// It may come when the scope has gone.
FIBER_TEST(CancelOnStopTest, AThreadThatComesTooLate) {
  for (int i = 0; i < 50; ++i) {
    std::stop_source source;
    const std::jthread other([&] { source.request_stop(); });
    {
      CancelScope scope;
      const CancelOnStop link(scope, source.get_token());
      scope.run([] { fibers::checkpoint(); });
    }
    fibers::checkpoint();
  }
}

}  // namespace
}  // namespace weft::cpp20
