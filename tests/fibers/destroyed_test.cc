// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What tasks use may not be destroyed under them: the process ends and says who uses it.

#include <gtest/gtest.h>

#include <csignal>
#include <memory>
#include <optional>

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/capacity_limiter.h"
#include "weft/fibers/condition.h"
#include "weft/fibers/conflict_detector.h"
#include "weft/fibers/fd_stream.h"
#include "weft/fibers/lock.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/process.h"
#include "weft/fibers/semaphore.h"
#include "weft/fibers/signals.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/fibers/thread_event.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

// Destroys `object` while a task called "user" is in `use(object)`.
template <class T, class Use>
void destroy_while(std::unique_ptr<T> object, Use&& use) {
  testing::run_fiber_test([&] {
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] { use(*object); }, {.name = "user"});
      testing::wait_all_tasks_blocked();
      object.reset();
    });
  });
}

// Not inlined: gcc sees what is wrong with it, and says so.
[[gnu::noinline]] void destroy(std::unique_ptr<CancelScope>& scope) {
  scope.reset();
}

class DestroyedDeathTest : public ::testing::Test {
  // NOLINTNEXTLINE(readability-identifier-naming): GoogleTest's.
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_F(DestroyedDeathTest, ACancelScopeWithATaskInside) {
  EXPECT_DEATH(destroy_while(std::make_unique<CancelScope>(),
                             [](CancelScope& scope) { scope.run([] { sleep_forever(); }); }),
               "the CancelScope at 0x.* is destroyed while the task 'user', started at "
               ".*destroyed_test.cc:.*, is inside it");
}

TEST_F(DestroyedDeathTest, ACancelScopeFromTheInside) {
  EXPECT_DEATH(testing::run_fiber_test([] {
                 auto scope = std::make_unique<CancelScope>();
                 scope->run([&] { destroy(scope); });
               }),
               "the CancelScope at 0x.* is destroyed while the task 'main'");
}

TEST_F(DestroyedDeathTest, ANurseryWithTasks) {
  EXPECT_DEATH(testing::run_fiber_test([] {
                 std::optional<Nursery> nursery(std::in_place, std::source_location::current());
                 nursery->start_soon([] { sleep_forever(); }, {.name = "user"});
                 nursery.reset();
               }),
               "the Nursery at 0x.* is destroyed while the task 'user'.* runs in it");
}

TEST_F(DestroyedDeathTest, ALockThatAnotherTaskHolds) {
  EXPECT_DEATH(destroy_while(std::make_unique<Lock>(),
                             [](Lock& lock) {
                               const LockGuard guard(lock);
                               sleep_forever();
                             }),
               "the Lock at 0x.* is destroyed while the task 'user'.* holds it");
}

TEST_F(DestroyedDeathTest, ACapacityLimiterThatATaskHasATokenOf) {
  EXPECT_DEATH(
      destroy_while(std::make_unique<CapacityLimiter>(1),
                    [](CapacityLimiter& limiter) {
                      limiter.acquire();
                      sleep_forever();
                    }),
      "the CapacityLimiter at 0x.* is destroyed while the task 'user'.* has a token of it");
}

TEST_F(DestroyedDeathTest, AConditionWithItsOwnLock) {
  EXPECT_DEATH(destroy_while(std::make_unique<Condition>(),
                             [](Condition& condition) {
                               const LockGuard guard(condition.lock());
                               condition.wait();
                             }),
               "the Condition at 0x.* is destroyed while the task 'user'.* waits for it");
}

TEST_F(DestroyedDeathTest, AStreamThatIsBeingRead) {
  EXPECT_DEATH(testing::run_fiber_test([] {
                 auto pipe = std::make_unique<std::pair<FdStream, FdStream>>(open_pipe());
                 open_nursery([&](Nursery& nursery) {
                   nursery.start_soon([&] { pipe->second.receive_some(1); }, {.name = "user"});
                   testing::wait_all_tasks_blocked();
                   pipe.reset();
                 });
               }),
               "is destroyed while the task 'user'.* uses it");
}

TEST_F(DestroyedDeathTest, AThreadEvent) {
  EXPECT_DEATH(
      destroy_while(std::make_unique<ThreadEvent>(), [](ThreadEvent& event) { event.wait(); }),
      "the ThreadEvent at 0x.* is destroyed while the task 'user'.* waits for it");
}

TEST_F(DestroyedDeathTest, ASignalReceiver) {
  EXPECT_DEATH(testing::run_fiber_test([] {
                 auto receiver = std::make_unique<SignalReceiver>(std::vector<int>{SIGUSR1});
                 open_nursery([&](Nursery& nursery) {
                   nursery.start_soon([&] { receiver->receive(); }, {.name = "user"});
                   testing::wait_all_tasks_blocked();
                   receiver.reset();
                 });
               }),
               "the SignalReceiver at 0x.* is destroyed while the task 'user'.* receives from it");
}

TEST_F(DestroyedDeathTest, AProcessThatIsWaitedFor) {
  EXPECT_DEATH(run([] {
                 auto child = open_process({"sleep", "100"});
                 open_nursery([&](Nursery& nursery) {
                   nursery.start_soon([&] { child->wait(); }, {.name = "user"});
                   testing::wait_all_tasks_blocked();
                   child->kill();
                   child.reset();
                 });
               }),
               "the Process at 0x.* is destroyed while the task 'user'.* waits for it");
}

// These have nothing to give back: the tasks that wait get an error.
FIBER_TEST(DestroyedTest, TasksThatWaitForALockOrASemaphoreGetAnError) {
  auto lock = std::make_unique<Lock>();
  auto semaphore = std::make_unique<Semaphore>(0);
  open_nursery([&](Nursery& nursery) {
    lock->acquire();
    nursery.start_soon([&] { EXPECT_THROW(lock->acquire(), BrokenResourceError); });
    nursery.start_soon([&] { EXPECT_THROW(semaphore->acquire(), BrokenResourceError); });
    testing::wait_all_tasks_blocked();
    lock.reset();
    semaphore.reset();
  });
}

FIBER_TEST(DestroyedTest, TasksThatWaitForAConditionOfAnotherLockGetAnError) {
  Lock lock;
  auto condition = std::make_unique<Condition>(lock);
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      const LockGuard guard(lock);
      EXPECT_THROW(condition->wait(), BrokenResourceError);
      EXPECT_EQ(lock.statistics().owner, &current_task());
    });
    testing::wait_all_tasks_blocked();
    condition.reset();
  });
}

}  // namespace
}  // namespace weft::fibers
