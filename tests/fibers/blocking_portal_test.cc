// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/blocking_portal.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <memory>
#include <optional>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/event.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/timeouts.h"
#include "weft/fibers/to_thread.h"
#include "weft/fibers/token.h"

namespace weft::fibers {
namespace {

using to_thread::run_sync;

TEST(BlockingPortalTest, PlainThreadsCallIntoARunThatLivesForThem) {
  const std::thread::id here = std::this_thread::get_id();
  const int result = start_blocking_portal([&](BlockingPortal& portal) {
    EXPECT_NE(portal.call([] { return std::this_thread::get_id(); }), here);
    portal.call([] { checkpoint(); });
    return *portal.call([p = std::make_unique<int>(3)]() mutable { return std::move(p); });
  });
  EXPECT_EQ(result, 3);
}

TEST(BlockingPortalTest, ErrorsGoToTheCallerOnly) {
  start_blocking_portal([](BlockingPortal& portal) {
    std::future<void> failing = portal.start_task_soon([] { throw std::out_of_range("far"); });
    EXPECT_THROW(portal.call([] { throw std::invalid_argument("near"); }), std::invalid_argument);
    EXPECT_EQ(portal.call([] { return 1; }), 1);
    EXPECT_THROW(failing.get(), std::out_of_range);
  });
}

TEST(BlockingPortalTest, TasksRunBesideEachOther) {
  start_blocking_portal([](BlockingPortal& portal) {
    Event event;
    std::future<int> waiting = portal.start_task_soon([&] {
      event.wait();
      return 5;
    });
    portal.call([&] { event.set(); });
    EXPECT_EQ(waiting.get(), 5);
  });
}

TEST(BlockingPortalTest, ManyThreadsMayUseIt) {
  constexpr int kThreads = 4, kCalls = 200;
  int sum = 0;  // The run's.
  start_blocking_portal([&](BlockingPortal& portal) {
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i) {
      threads.emplace_back([&sum, portal] {
        for (int call = 0; call < kCalls; ++call) {
          portal.call([&sum] {
            const int before = sum;
            checkpoint();
            static_cast<void>(before);
            ++sum;
          });
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  });
  EXPECT_EQ(sum, kThreads * kCalls);
}

TEST(BlockingPortalTest, TheEndWaitsForTheTasksThatStillRun) {
  Event go;
  std::atomic<bool> finished = false;
  start_blocking_portal([&](BlockingPortal& portal) {
    portal.start_task_soon([&] {
      go.wait();
      for (int i = 0; i < 10; ++i) checkpoint();
      finished = true;
    });
    portal.start_task_soon([&] { go.set(); });
  });
  EXPECT_TRUE(finished);
}

TEST(BlockingPortalTest, ABodyThatThrowsCancelsTheTasks) {
  std::future<void> waiting;
  EXPECT_THROW(start_blocking_portal([&](BlockingPortal& portal) {
                 waiting = portal.start_task_soon([] { sleep_forever(); });
                 portal.call([] {});
                 throw std::out_of_range("far");
               }),
               std::out_of_range);
  EXPECT_THROW(waiting.get(), Cancelled);
}

TEST(BlockingPortalTest, AfterTheRunItIsFinished) {
  std::optional<BlockingPortal> kept;
  start_blocking_portal([&](BlockingPortal& portal) { kept = portal; });
  EXPECT_THROW(kept->call([] {}), RunFinishedError);
  EXPECT_THROW(kept->start_task_soon([] {}), RunFinishedError);
}

TEST(BlockingPortalTest, AnErrorOfTheRunComesOut) {
  const auto crash = [](BlockingPortal& portal) {
    portal.call([] { spawn_system_task([] { throw std::out_of_range("far"); }); });
  };
  EXPECT_THROW(start_blocking_portal(crash), InternalError);
  EXPECT_THROW(start_blocking_portal([&](BlockingPortal& portal) {
                 crash(portal);
                 throw std::invalid_argument("near");
               }),
               ExceptionGroup);
}

FIBER_TEST(BlockingPortalTest, InsideARunItRefusesToBlock) {
  Event ran;
  open_blocking_portal([&](BlockingPortal& portal) {
    EXPECT_THROW(portal.call([] {}), UsageError);
    portal.start_task_soon([&] { ran.set(); });
    ran.wait();
  });
  EXPECT_THROW(start_blocking_portal([](BlockingPortal&) {}), UsageError);
}

FIBER_TEST(BlockingPortalTest, OpenedInATaskItBelongsToItsScopes) {
  WEFT_NOT_ALLOCATION_SWEPT("what its thread expects counts");
  const int result = open_blocking_portal([](BlockingPortal& portal) {
    return run_sync([portal] { return portal.call([] { return 2; }); });
  });
  EXPECT_EQ(result, 2);
  EXPECT_FALSE(move_on_after(seconds(1), [] {
    open_blocking_portal([](BlockingPortal& portal) {
      run_sync([portal] { EXPECT_THROW(portal.call([] { sleep_forever(); }), Cancelled); });
      checkpoint();
    });
  }));
}

FIBER_TEST(BlockingPortalTest, ClosedItRefusesButWaitsForWhatItHasStarted) {
  WEFT_NOT_ALLOCATION_SWEPT("what its thread expects counts");
  Event go;
  std::optional<BlockingPortal> kept;
  std::future<int> running;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      open_blocking_portal([&](BlockingPortal& portal) {
        kept = portal;
        running = portal.start_task_soon([&] {
          go.wait();
          return 7;
        });
        checkpoint();
      });
    });
    for (int i = 0; i < 5; ++i) checkpoint();
    run_sync([&] { EXPECT_THROW(kept->call([] {}), ClosedResourceError); });
    go.set();
  });
  EXPECT_EQ(running.get(), 7);
}

FIBER_TEST(BlockingPortalTest, ACancelledTaskWithANurseryInsideIsCancelledToo) {
  CancelScope scope;
  std::future<void> running;
  scope.run([&] {
    open_blocking_portal([&](BlockingPortal& portal) {
      running = portal.start_task_soon([&] {
        open_nursery([](Nursery& nursery) {
          nursery.start_soon([] { sleep_forever(); });
          sleep_forever();
        });
      });
      for (int i = 0; i < 5; ++i) checkpoint();
      scope.cancel();
    });
  });
  EXPECT_TRUE(scope.cancelled_caught());
  EXPECT_THROW(running.get(), Cancelled);
}

}  // namespace
}  // namespace weft::fibers
