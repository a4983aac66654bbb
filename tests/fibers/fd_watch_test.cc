// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/fd_watch.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <functional>
#include <memory>
#include <system_error>
#include <utility>

#include "tests/support/pipe.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/io.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/owned_fd.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"

namespace weft::fibers {
namespace {

using test::Pipe;
using test::SocketPair;
using testing::wait_all_tasks_blocked;

// A watch that calls a function.
class Watch {
 public:
  explicit Watch(std::function<void()> fn = {}) : fn_(std::move(fn)) {}
  void arm(int fd, FdDirection direction = FdDirection::kRead) {
    watch.arm(
        fd, direction,
        [](void* self) {
          auto& me = *static_cast<Watch*>(self);
          ++me.calls;
          if (me.fn_) me.fn_();
        },
        this);
  }
  void arm(OwnedFd& fd, FdDirection direction = FdDirection::kRead) {
    watch.arm(
        fd, direction, [](void* self) { ++static_cast<Watch*>(self)->calls; }, this);
  }
  FdWatch watch;
  int calls = 0;

 private:
  std::function<void()> fn_;
};

FIBER_TEST(FdWatchTest, IsCalledAtEveryPollAsLongAsTheDescriptorIsReady) {
  Pipe pipe;
  Watch watch;
  watch.arm(pipe[0]);
  EXPECT_TRUE(watch.watch.armed());
  EXPECT_EQ(watch.watch.fd(), pipe[0]);
  checkpoint();
  EXPECT_EQ(watch.calls, 0);
  pipe.write(1);
  for (int i = 1; i <= 3; ++i) {
    checkpoint();
    EXPECT_EQ(watch.calls, i);
  }
  pipe.drain(0);
  checkpoint();
  EXPECT_EQ(watch.calls, 3);
  watch.watch.disarm();
  EXPECT_FALSE(watch.watch.armed());
  pipe.write(1);
  checkpoint();
  EXPECT_EQ(watch.calls, 3);
}

FIBER_TEST(FdWatchTest, BothDirectionsOfADescriptorMayBeWatched) {
  SocketPair pair;
  Watch reads;
  Watch writes;
  reads.arm(pair[0], FdDirection::kRead);
  writes.arm(pair[0], FdDirection::kWrite);
  EXPECT_EQ(current_statistics().fds_watched, 2U);
  checkpoint();
  EXPECT_EQ(reads.calls, 0);
  EXPECT_EQ(writes.calls, 1);
  writes.watch.disarm();
  pair.write(1);
  checkpoint();
  EXPECT_EQ(reads.calls, 1);
  EXPECT_EQ(writes.calls, 1);
}

FIBER_TEST(FdWatchTest, MayDisarmOrDestroyItselfInItsOwnCall) {
  Pipe pipe;
  Watch* self = nullptr;
  Watch watch([&] { self->watch.disarm(); });
  self = &watch;
  watch.arm(pipe[0]);
  auto mortal = std::unique_ptr<Watch>();
  SocketPair pair;
  mortal = std::make_unique<Watch>([&] { auto gone = std::move(mortal); });
  mortal->arm(pair[0]);
  pipe.write(1);
  pair.write(1);
  for (int i = 0; i < 3; ++i) checkpoint();
  EXPECT_EQ(watch.calls, 1);
  EXPECT_EQ(mortal, nullptr);
  EXPECT_EQ(current_statistics().fds_watched, 0U);
}

// Both are ready in the same batch of events: the second must not hear of it any more.
FIBER_TEST(FdWatchTest, DisarmingAnotherTakesBackWhatThePollHasFound) {
  SocketPair one;
  SocketPair two;
  Watch* first = nullptr;
  Watch* second = nullptr;
  Watch a([&] { second->watch.disarm(); });
  Watch b([&] { first->watch.disarm(); });
  first = &a;
  second = &b;
  a.arm(one[0]);
  b.arm(two[0]);
  one.write(1);
  two.write(1);
  checkpoint();
  EXPECT_EQ(a.calls + b.calls, 1);
  checkpoint();
  EXPECT_EQ(a.calls + b.calls, 2);
}

// As above, but the number has a new owner by the time the rest of the batch is delivered.
FIBER_TEST(FdWatchTest, ANumberReusedWithinTheBatchGetsNothingOfTheOldOne) {
  SocketPair one;
  SocketPair two;
  SocketPair fresh;
  Watch* first = nullptr;
  Watch* second = nullptr;
  const auto replace = [&fresh](Watch& other) {
    const int number = other.watch.fd();
    if (number < 0) return;
    other.watch.disarm();
    ASSERT_EQ(::dup2(fresh[0], number), number);
    other.arm(number);
  };
  Watch a([&] { replace(*second); });
  Watch b([&] { replace(*first); });
  first = &a;
  second = &b;
  a.arm(one[0]);
  b.arm(two[0]);
  one.write(1);
  two.write(1);
  checkpoint();
  EXPECT_EQ(a.calls + b.calls, 1);
}

FIBER_TEST(FdWatchTest, ADirectionHasOneWatchOrWaiter) {
  SocketPair pair;
  Watch watch;
  watch.arm(pair[0]);
  Watch other;
  EXPECT_THROW(other.arm(pair[0]), BusyResourceError);
  EXPECT_FALSE(other.watch.armed());
  EXPECT_THROW(wait_readable(pair[0]), BusyResourceError);
  wait_writable(pair[0]);  // The other direction is free.
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { wait_readable(pair[1]); });
    wait_all_tasks_blocked();
    EXPECT_THROW(other.arm(pair[1]), BusyResourceError);
    nursery.cancel_scope().cancel();
  });
  pair.write(1);
  checkpoint();
  EXPECT_EQ(watch.calls, 1);
}

FIBER_TEST(FdWatchTest, AWatchAndAWaiterOfTheOtherDirectionDoNotDisturbEachOther) {
  SocketPair pair;
  pair.fill(0);
  Watch watch;
  watch.arm(pair[0]);
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { wait_writable(pair[0]); });
    wait_all_tasks_blocked();
    EXPECT_EQ(watch.calls, 0);
    pair.drain(1);
  });
  pair.write(1);
  checkpoint();
  checkpoint();
  EXPECT_EQ(watch.calls, 2);
}

FIBER_TEST(FdWatchTest, ArmingAgainFollowsADescriptorThatWasReplaced) {
  Pipe first;
  const int number = first[0];
  Watch watch;
  watch.arm(number);
  first.close(0);
  Pipe second;
  ASSERT_EQ(::dup2(second[0], number), number);
  watch.arm(number);
  checkpoint();
  EXPECT_EQ(watch.calls, 0);
  second.write(1);
  checkpoint();
  EXPECT_EQ(watch.calls, 1);
  watch.watch.disarm();
  ::close(number);
}

FIBER_TEST(FdWatchTest, ADescriptorThatCannotBePolledIsRefused) {
  Watch watch;
  EXPECT_THROW(watch.arm(-1), std::system_error);
  EXPECT_FALSE(watch.watch.armed());
  EXPECT_EQ(current_statistics().fds_watched, 0U);
}

FIBER_TEST(FdWatchTest, ItsCallRunsOutsideAnyTaskAndMayWakeOne) {
  Pipe pipe;
  Task* waiting = nullptr;
  bool in_task = true;
  Watch watch([&] {
    in_task = in_trio_task();
    EXPECT_THROW(checkpoint(), UsageError);
    pipe.drain(0);
    if (waiting != nullptr) reschedule(*std::exchange(waiting, nullptr));
  });
  watch.arm(pipe[0]);
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      waiting = &current_task();
      wait_task_rescheduled([&](const RaiseCancel&) {
        waiting = nullptr;
        return Abort::kSucceeded;
      });
    });
    wait_all_tasks_blocked();
    pipe.write(1);
  });
  EXPECT_FALSE(in_task);
}

TEST(FdWatchTest, MayOutliveTheRunThatItWasArmedIn) {
  Pipe pipe;
  Watch watch;
  testing::run_fiber_test([&] { watch.arm(pipe[0]); });
  EXPECT_FALSE(watch.watch.armed());
  testing::run_fiber_test([&] {
    watch.arm(pipe[0]);
    pipe.write(1);
    checkpoint();
    watch.watch.disarm();
  });
  EXPECT_EQ(watch.calls, 1);
}

// --- Of an OwnedFd. ---

FIBER_TEST(FdWatchTest, OfAnOwnedFdIsCalledOnceAnEdge) {
  SocketPair pair;
  OwnedFd fd(pair.take(0));
  Watch watch;
  watch.arm(fd);
  checkpoint();
  EXPECT_EQ(watch.calls, 0);
  pair.write(1);
  for (int i = 0; i < 3; ++i) checkpoint();
  EXPECT_EQ(watch.calls, 1);
  pair.write(1);
  for (int i = 0; i < 3; ++i) checkpoint();
  EXPECT_EQ(watch.calls, 2);
  watch.watch.disarm();
  pair.write(1);
  checkpoint();
  EXPECT_EQ(watch.calls, 2);
}

FIBER_TEST(FdWatchTest, OfAnOwnedFdSharesADirectionWithNobody) {
  SocketPair pair;
  OwnedFd fd(pair.take(0));
  Watch read;
  Watch write;
  Watch other;
  read.arm(fd);
  write.arm(fd, FdDirection::kWrite);
  EXPECT_THROW(other.arm(fd), BusyResourceError);
  EXPECT_THROW(fd.wait_readable(), BusyResourceError);
  EXPECT_FALSE(other.watch.armed());
  read.watch.disarm();
  other.arm(fd);
  EXPECT_EQ(current_statistics().fds_watched, 2U);
}

FIBER_TEST(FdWatchTest, OfAnOwnedFdEndsWithThat) {
  SocketPair pair;
  OwnedFd fd(pair.take(0));
  Watch watch;
  watch.arm(fd);
  fd.close();
  EXPECT_FALSE(watch.watch.armed());
  EXPECT_EQ(current_statistics().fds_watched, 0U);
  EXPECT_THROW(watch.arm(fd), UsageError);
  Watch outlives;
  {
    OwnedFd other(pair.take(1));
    outlives.arm(other);
  }
  EXPECT_FALSE(outlives.watch.armed());
}

}  // namespace
}  // namespace weft::fibers
