// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/lock.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/capacity_limiter.h"
#include "weft/fibers/condition.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/memory_channel.h"
#include "weft/fibers/no_suspend.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/semaphore.h"
#include "weft/fibers/strict_fifo_lock.h"
#include "weft/fibers/testing/checkpoints.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

using testing::assert_checkpoints;
using testing::assert_no_checkpoints;
using testing::wait_all_tasks_blocked;

// trio: test_sync.py::test_Lock_and_StrictFIFOLock
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

// trio: test_sync.py::test_Lock_and_StrictFIFOLock
FIBER_TEST(LockTest, SecondAcquireByTheOwnerIsRefused) {
  Lock lock;
  const LockGuard guard(lock);
  EXPECT_THROW(lock.acquire(), UsageError);
  EXPECT_THROW(lock.acquire_nowait(), UsageError);
}

// trio: test_sync.py::test_Lock_and_StrictFIFOLock
FIBER_TEST(LockTest, OnlyTheOwnerReleases) {
  Lock lock;
  EXPECT_THROW(lock.release(), UsageError);
  open_nursery([&](Nursery& nursery) {
    const LockGuard guard(lock);
    nursery.start_soon([&] { EXPECT_THROW(lock.release(), UsageError); });
    wait_all_tasks_blocked();
  });
}

// trio: test_sync.py::test_lock_handover
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

// What a task that ended holding a lock leaves behind, as text.
std::string broken_by_owner(const std::function<void()>& acquire) {
  try {
    acquire();
  } catch (const BrokenResourceError& e) {
    return e.what();
  }
  return "not broken";
}

// trio: test_sync.py::test_lock_acquire_unowned_lock
FIBER_TEST(LockTest, AnOwnerThatEndsBreaksItForThoseWhoCome) {
  Lock lock;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { lock.acquire(); }, {.name = "forgetful"});
  });
  EXPECT_TRUE(lock.locked());
  EXPECT_EQ(lock.statistics().owner, nullptr);
  EXPECT_THAT(broken_by_owner([&] { lock.acquire(); }), ::testing::HasSubstr("task 'forgetful'"));
  EXPECT_THAT(broken_by_owner([&] { lock.acquire_nowait(); }),
              ::testing::HasSubstr("task 'forgetful'"));
  EXPECT_THROW(lock.release(), UsageError);
}

// trio: test_sync.py::test_lock_multiple_acquire
FIBER_TEST(LockTest, AnOwnerThatEndsBreaksItForThoseWhoWait) {
  Lock lock;
  int broken = 0;
  open_nursery([&](Nursery& nursery) {
    for (int i = 0; i < 3; ++i) {
      nursery.start_soon([&] {
        if (broken_by_owner([&] { lock.acquire(); }) != "not broken") ++broken;
      });
    }
  });
  EXPECT_EQ(broken, 2);
}

// The owner's error also cancels the nursery, but those who wait for its lock hear of the lock.
FIBER_TEST(LockTest, AnOwnerThatFailsBreaksItForItsSiblingsToo) {
  Lock lock;
  int broken = 0;
  const auto fail = [&] {
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] {
        lock.acquire();
        wait_all_tasks_blocked();
        throw std::runtime_error("forgot the lock");
      });
      for (int i = 0; i < 2; ++i) {
        nursery.start_soon([&] {
          while (!lock.locked()) checkpoint();
          try {
            lock.acquire();
          } catch (const BrokenResourceError&) {
            ++broken;
          }
        });
      }
    });
  };
  EXPECT_THROW(fail(), ExceptionGroup);
  EXPECT_EQ(broken, 2);
}

FIBER_TEST(LockTest, AnOwnerThatIsCancelledBreaksItForItsSiblingsToo) {
  Lock lock;
  CancelScope scope;
  bool broken = false;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      lock.acquire();
      scope.run([] { sleep_forever(); });
      nursery.cancel_scope().cancel();
      checkpoint();
    });
    nursery.start_soon([&] {
      while (!lock.locked()) checkpoint();
      try {
        CancelScope shield({.shield = true});
        shield.run([&] { lock.acquire(); });
      } catch (const BrokenResourceError&) {
        broken = true;
      }
    });
    wait_all_tasks_blocked();
    scope.cancel();
  });
  EXPECT_TRUE(broken);
}

FIBER_TEST(LockTest, AnOwnerThatEndsBreaksItForThoseWhoWaitForItsConditions) {
  Lock lock;
  Condition condition(lock);
  Condition other(lock);
  int broken = 0;
  const auto wait_for = [&](Condition& which) {
    lock.acquire();
    try {
      which.wait();
    } catch (const BrokenResourceError&) {
      ++broken;
    }
  };
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { wait_for(condition); });
    nursery.start_soon([&] { wait_for(other); });
    wait_all_tasks_blocked();
    nursery.start_soon([&] { lock.acquire(); });
  });
  EXPECT_EQ(broken, 2);
}

// trio: test_sync.py::test_lock_handover
FIBER_TEST(LockTest, WhoGotItByHandOverIsWatchedInTurn) {
  Lock lock;
  lock.acquire_nowait();
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { lock.acquire(); }, {.name = "heir"});
    wait_all_tasks_blocked();
    lock.release();
    const Task* const owner = lock.statistics().owner;
    ASSERT_NE(owner, nullptr);
    EXPECT_EQ(owner->name(), "heir");
  });
  EXPECT_THAT(broken_by_owner([&] { lock.acquire(); }), ::testing::HasSubstr("task 'heir'"));
}

FIBER_TEST(LockTest, ATaskThatEndsBreaksEveryLockItHolds) {
  std::array<Lock, 4> locks;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      for (Lock& lock : locks) lock.acquire();
      // Neither the first nor the last of the list.
      locks[1].release();
    });
  });
  for (Lock& lock : locks) EXPECT_EQ(lock.locked(), &lock != &locks[1]);
  EXPECT_THROW(locks[0].acquire(), BrokenResourceError);
  EXPECT_THROW(locks[3].acquire(), BrokenResourceError);
  locks[1].acquire();
  locks[1].release();
}

FIBER_TEST(LockTest, ALockMayGoWhileItIsHeld) {
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([] {
      Lock stays;
      {
        Lock goes;
        goes.acquire();
        stays.acquire();
      }
      stays.release();
    });
    nursery.start_soon([lock = std::make_unique<Lock>()] { lock->acquire(); });
  });
}

// The only suspension between looking at the lock and taking it is that of a cancelled task. If the
// cancellation is called off meanwhile, the lock may have gone to somebody else.
FIBER_TEST(LockTest, AShieldPutUpInTheLastMomentDoesNotMakeTwoOwners) {
  Lock lock;
  CancelScope outer, inner;
  bool got = false;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      outer.run([&] {
        inner.run([&] {
          outer.cancel();
          lock.acquire();
          got = true;
          lock.release();
        });
      });
    });
    nursery.start_soon([&] {
      lock.acquire_nowait();
      inner.set_shield(true);
      wait_all_tasks_blocked();
      EXPECT_FALSE(got);
      lock.release();
    });
  });
  EXPECT_TRUE(got);
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
  all.push_back(std::make_unique<Plain<StrictFIFOLock>>());
  all.push_back(std::make_unique<Plain<Semaphore>>(std::size_t{1}));
  all.push_back(std::make_unique<Plain<CapacityLimiter>>(std::size_t{1}));
  all.push_back(std::make_unique<ChannelBySending>(1));
  all.push_back(std::make_unique<ChannelByReceiving>());
  return all;
}

// trio: test_sync.py::test_generic_lock_exclusion
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

// trio: test_sync.py::test_generic_lock_fifo_fairness
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

// trio: test_sync.py::test_generic_lock_acquire_nowait_blocks_acquire
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
