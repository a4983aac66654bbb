// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/lock.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "weft/fibers/capacity_limiter.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/memory_channel.h"
#include "weft/fibers/no_suspend.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/semaphore.h"
#include "weft/fibers/testing/checkpoints.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

using testing::assert_checkpoints;
using testing::assert_no_checkpoints;
using testing::wait_all_tasks_blocked;

// Trio: test_sync.py::test_Lock_and_StrictFIFOLock
FIBER_TEST(LockTest, KnowsItsOwnerAndItsQueue) {
  Lock lock;
  EXPECT_FALSE(lock.locked());
  assert_checkpoints([&] { lock.acquire(); });
  EXPECT_TRUE(lock.locked());
  EXPECT_EQ(lock.statistics().owner, &current_task());
  assert_no_checkpoints([&] { lock.release(); });
  assert_no_checkpoints([&] { lock.acquire_nowait(); });
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { const LockGuard guard(lock); });
    wait_all_tasks_blocked();
    EXPECT_EQ(lock.statistics().tasks_waiting, 1U);
    lock.release();
  });
  EXPECT_FALSE(lock.locked());
  EXPECT_EQ(lock.statistics().owner, nullptr);
}

// Trio: test_sync.py::test_lock_multiple_acquire
FIBER_TEST(LockTest, SecondAcquireByTheOwnerIsRefused) {
  Lock lock;
  const LockGuard guard(lock);
  EXPECT_THROW(lock.acquire(), UsageError);
  EXPECT_THROW(lock.acquire_nowait(), UsageError);
}

// Trio: test_sync.py::test_lock_acquire_unowned_lock
FIBER_TEST(LockTest, OnlyTheOwnerReleases) {
  Lock lock;
  EXPECT_THROW(lock.release(), UsageError);
  open_nursery([&](Nursery& nursery) {
    const LockGuard guard(lock);
    nursery.start_soon([&] { EXPECT_THROW(lock.release(), UsageError); });
    wait_all_tasks_blocked();
  });
}

// Trio: test_sync.py::test_lock_handover
FIBER_TEST(LockTest, ReleaseHandsOverAtOnce) {
  Lock lock;
  lock.acquire();
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { const LockGuard guard(lock); });
    wait_all_tasks_blocked();
    lock.release();
    // The other one has it already, though it has not run yet.
    EXPECT_TRUE(lock.locked());
    EXPECT_THROW(lock.acquire_nowait(), WouldBlock);
  });
  EXPECT_FALSE(lock.locked());
}

FIBER_TEST(LockTest, CancelledWaiterDoesNotGetIt) {
  Lock lock;
  lock.acquire();
  CancelScope scope;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { scope.run([&] { lock.acquire(); }); });
    wait_all_tasks_blocked();
    scope.cancel();
    lock.release();
    EXPECT_FALSE(lock.locked());
  });
  EXPECT_TRUE(scope.cancelled_caught());
}

FIBER_TEST(LockTest, CancelledTaskDoesNotTakeAFreeLock) {
  Lock lock;
  CancelScope scope;
  scope.cancel();
  EXPECT_FALSE(scope.run([&] { lock.acquire(); }));
  EXPECT_FALSE(lock.locked());
}

FIBER_TEST(LockTest, GuardReleasesWhenTheBodyThrows) {
  Lock lock;
  try {
    const LockGuard guard(lock);
    throw 3;
  } catch (int) {
  }
  EXPECT_FALSE(lock.locked());
}

// Everything that can be used as a lock, under one interface.
struct LockLike {
  virtual ~LockLike() = default;
  virtual void acquire() = 0;
  virtual void release() = 0;
  virtual void acquire_nowait() = 0;
};
template <class L>
struct Plain : LockLike {
  template <class... A>
  explicit Plain(A... a) : lock(a...) {}
  void acquire() override { lock.acquire(); }
  void release() override { lock.release(); }
  void acquire_nowait() override { lock.acquire_nowait(); }
  L lock;
};
// Who has put the one item in holds the lock.
struct ChannelBySending : LockLike {
  explicit ChannelBySending(std::size_t capacity) : ends(open_memory_channel<int>(capacity)) {}
  void acquire() override { ends.first.send(0); }
  void release() override { ends.second.receive_nowait(); }
  void acquire_nowait() override { ends.first.send_nowait(0); }
  MemoryChannelPair<int> ends;
};
// Who has taken the one item out holds the lock.
struct ChannelByReceiving : LockLike {
  ChannelByReceiving() : ends(open_memory_channel<int>(1)) { ends.first.send_nowait(0); }
  void acquire() override { ends.second.receive(); }
  void release() override { ends.first.send_nowait(0); }
  void acquire_nowait() override { ends.second.receive_nowait(); }
  MemoryChannelPair<int> ends;
};

std::vector<std::unique_ptr<LockLike>> all_lock_likes() {
  std::vector<std::unique_ptr<LockLike>> all;
  all.push_back(std::make_unique<Plain<Lock>>());
  all.push_back(std::make_unique<Plain<Semaphore>>(std::size_t{1}));
  all.push_back(std::make_unique<Plain<CapacityLimiter>>(std::size_t{1}));
  all.push_back(std::make_unique<ChannelBySending>(1));
  all.push_back(std::make_unique<ChannelByReceiving>());
  return all;
}

// Trio: test_sync.py::test_generic_lock_exclusion
FIBER_TEST(LockLikeTest, OneTaskAtATimeIsInside) {
  for (const auto& lock : all_lock_likes()) {
    bool inside = false;
    int done = 0;
    open_nursery([&](Nursery& nursery) {
      for (int task = 0; task < 5; ++task) {
        nursery.start_soon([&] {
          for (int round = 0; round < 10; ++round) {
            Guard guard(*lock);
            EXPECT_FALSE(inside);
            inside = true;
            checkpoint();
            checkpoint();
            inside = false;
            ++done;
          }
        });
      }
    });
    EXPECT_EQ(done, 50);
  }
}

// Trio: test_sync.py::test_generic_lock_fifo_fairness
FIBER_TEST(LockLikeTest, TasksTakeStrictTurns) {
  for (const auto& lock : all_lock_likes()) {
    std::vector<int> order;
    open_nursery([&](Nursery& nursery) {
      for (int task = 0; task < 3; ++task) {
        nursery.start_soon([&, task] {
          for (int round = 0; round < 5; ++round) {
            Guard guard(*lock);
            order.push_back(task);
            checkpoint();
          }
        });
      }
    });
    ASSERT_EQ(order.size(), 15U);
    for (std::size_t i = 3; i < order.size(); ++i) EXPECT_EQ(order[i], order[i - 3]);
  }
}

// Trio: test_sync.py::test_generic_lock_acquire_nowait_blocks_acquire
FIBER_TEST(LockLikeTest, AcquireNowaitKeepsOthersOut) {
  for (const auto& lock : all_lock_likes()) {
    bool got = false;
    open_nursery([&](Nursery& nursery) {
      lock->acquire_nowait();
      nursery.start_soon([&] {
        EXPECT_THROW(lock->acquire_nowait(), WouldBlock);
        Guard guard(*lock);
        got = true;
      });
      wait_all_tasks_blocked();
      EXPECT_FALSE(got);
      lock->release();
    });
    EXPECT_TRUE(got);
  }
}

FIBER_TEST(LockLikeTest, CancellationWhileWaitingHasNoEffect) {
  for (const auto& lock : all_lock_likes()) {
    open_nursery([&](Nursery& nursery) {
      lock->acquire();
      nursery.start_soon(
          [&] { EXPECT_FALSE(move_on_after(seconds(1), [&] { lock->acquire(); })); });
      sleep(seconds(2));
      lock->release();
      lock->acquire_nowait();
      lock->release();
    });
  }
}

}  // namespace
}  // namespace weft::fibers
