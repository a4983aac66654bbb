// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/owned_fd.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <system_error>
#include <utility>

#include "tests/support/pipe.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/io.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/checkpoints.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

using std::chrono::seconds;
using test::SocketPair;
using testing::wait_all_tasks_blocked;

bool is_open(int fd) {
  return ::fcntl(fd, F_GETFD) >= 0;
}

// One byte, waiting for it as the header says.
char receive(OwnedFd& fd) {
  char byte = 0;
  while (::read(fd.get(), &byte, 1) != 1) fd.wait_readable();
  return byte;
}

FIBER_TEST(OwnedFdTest, EachEdgeEndsAWait) {
  SocketPair pair;
  OwnedFd fd(pair.take(0));
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      for (const char byte : {'a', 'b', 'c'}) EXPECT_EQ(receive(fd), byte);
    });
    for (const char byte : {'a', 'b', 'c'}) {
      wait_all_tasks_blocked();
      pair.write(1, byte);
    }
  });
}

// The edge comes between the call that said EAGAIN and the wait.
FIBER_TEST(OwnedFdTest, AnEdgeBeforeTheWaitIsNotLost) {
  SocketPair pair;
  OwnedFd fd(pair.take(0));
  char byte = 0;
  ASSERT_EQ(::read(fd.get(), &byte, 1), -1);
  pair.write(1);
  EXPECT_TRUE(move_on_after(seconds(1), [&] { fd.wait_readable(); }));
  EXPECT_EQ(receive(fd), 'x');
}

// An edge that nobody waits for may pass: the next call finds the data without waiting.
FIBER_TEST(OwnedFdTest, DataThatArrivesWhileNobodyWaitsIsFoundByTheNextCall) {
  SocketPair pair;
  OwnedFd fd(pair.take(0));
  pair.write(1, 'a');
  sleep(seconds(1));
  EXPECT_TRUE(move_on_after(seconds(1), [&] { EXPECT_EQ(receive(fd), 'a'); }));
  EXPECT_FALSE(move_on_after(seconds(1), [&] { receive(fd); }));
  pair.write(1, 'b');
  EXPECT_TRUE(move_on_after(seconds(1), [&] { EXPECT_EQ(receive(fd), 'b'); }));
}

FIBER_TEST(OwnedFdTest, AFullDescriptorBecomesWritableAgain) {
  SocketPair pair;
  OwnedFd fd(pair.take(0));
  const char byte = 'x';
  while (::write(fd.get(), &byte, 1) == 1) {
  }
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      testing::assert_checkpoints([&] { fd.wait_writable(); });
      EXPECT_EQ(::write(fd.get(), &byte, 1), 1);
    });
    wait_all_tasks_blocked();
    pair.drain(1);
  });
}

FIBER_TEST(OwnedFdTest, ADirectionHasOneWaiter) {
  SocketPair pair;
  OwnedFd fd(pair.take(0));
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { receive(fd); });
    wait_all_tasks_blocked();
    EXPECT_EQ(current_statistics().fds_watched, 1U);
    EXPECT_THROW(fd.wait_readable(), BusyResourceError);
    EXPECT_THROW(wait_readable(fd.get()), BusyResourceError);
    nursery.cancel_scope().cancel();
  });
  EXPECT_EQ(current_statistics().fds_watched, 0U);
}

FIBER_TEST(OwnedFdTest, ClosingWakesWhoWaits) {
  SocketPair pair;
  OwnedFd fd(pair.take(0));
  const int number = fd.get();
  int woken = 0;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      EXPECT_THROW(fd.wait_readable(), ClosedResourceError);
      ++woken;
    });
    nursery.start_soon([&] {
      while (true) {
        const char byte = 'x';
        if (::write(fd.get(), &byte, 1) == 1) continue;
        EXPECT_THROW(fd.wait_writable(), ClosedResourceError);
        ++woken;
        break;
      }
    });
    wait_all_tasks_blocked();
    fd.close();
    EXPECT_FALSE(is_open(number));
  });
  EXPECT_EQ(woken, 2);
  EXPECT_FALSE(fd.is_open());
  fd.close();
  EXPECT_THROW(fd.wait_readable(), ClosedResourceError);
  EXPECT_THROW(fd.wait_writable(), ClosedResourceError);
}

FIBER_TEST(OwnedFdTest, IsMovedWithWhatItOwns) {
  SocketPair pair;
  OwnedFd a(pair.take(0));
  const int number = a.get();
  OwnedFd b(std::move(a));
  EXPECT_FALSE(a.is_open());  // NOLINT(bugprone-use-after-move): that is the claim.
  EXPECT_EQ(b.get(), number);
  OwnedFd c(pair.take(1));
  const int other = c.get();
  c = std::move(b);
  EXPECT_EQ(c.get(), number);
  EXPECT_FALSE(is_open(other));
  EXPECT_TRUE(is_open(number));
  c.close();
  EXPECT_FALSE(is_open(number));
}

FIBER_TEST(OwnedFdTest, ReleaseGivesTheDescriptorAwayForOthersToWatch) {
  WEFT_NOT_SWEPT("it plays with a number that nobody owns");
  WEFT_NOT_FAULT_SWEPT("it plays with a number that nobody owns");
  SocketPair pair;
  OwnedFd fd(pair.take(0));
  const int number = fd.release();
  EXPECT_FALSE(fd.is_open());
  EXPECT_EQ(fd.release(), -1);
  EXPECT_TRUE(is_open(number));
  pair.write(1);
  EXPECT_TRUE(move_on_after(seconds(1), [&] { wait_readable(number); }));
  OwnedFd again(number);
  EXPECT_EQ(receive(again), 'x');
}

FIBER_TEST(OwnedFdTest, ClosesWhatItCannotRegister) {
  const int file = ::open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  EXPECT_THROW(OwnedFd{file}, std::system_error);
  EXPECT_FALSE(is_open(file));
  EXPECT_THROW(OwnedFd{-1}, std::system_error);
}

FIBER_TEST(OwnedFdTest, ANumberUsedAgainStartsAfresh) {
  for (int i = 0; i < 10; ++i) {
    SocketPair pair;
    OwnedFd fd(pair.take(0));
    EXPECT_FALSE(move_on_after(seconds(1), [&] { receive(fd); }));
    pair.write(1);
    EXPECT_EQ(receive(fd), 'x');
  }
}

FIBER_TEST(OwnedFdTest, NotifyClosingIsForForeignDescriptors) {
  SocketPair pair;
  const OwnedFd fd(pair.take(0));
  EXPECT_THROW(notify_closing(fd.get()), UsageError);
}

TEST(OwnedFdTest, MayBeDestroyedAfterTheRun) {
  SocketPair pair;
  const int number = pair[0];
  {
    OwnedFd fd;
    run([&] { fd = OwnedFd(pair.take(0)); });
    EXPECT_TRUE(is_open(number));
  }
  EXPECT_FALSE(is_open(number));
}

// What the later run has under the same number, or in the same memory, is not touched.
TEST(OwnedFdTest, MayBeClosedInALaterRun) {
  SocketPair first;
  SocketPair second;
  SocketPair third;
  OwnedFd closed;
  OwnedFd released;
  run([&] {
    closed = OwnedFd(first.take(0));
    released = OwnedFd(second.take(0));
  });
  run([&] {
    OwnedFd fd(third.take(0));
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] { EXPECT_EQ(receive(fd), 'x'); });
      wait_all_tasks_blocked();
      const int number = closed.get();
      closed.close();
      EXPECT_FALSE(is_open(number));
      const int given_away = released.release();
      EXPECT_TRUE(is_open(given_away));
      ::close(given_away);
      third.write(1);
    });
  });
}

TEST(OwnedFdTest, IsOfNoUseInALaterRun) {
  SocketPair pair;
  OwnedFd fd;
  run([&] { fd = OwnedFd(pair.take(0)); });
  run([&] {
    EXPECT_THROW(fd.wait_readable(), UsageError);
    EXPECT_THROW(fd.wait_writable(), UsageError);
  });
}

FIBER_TEST(OwnedFdTest, WhatIsDrainedStaysSoUntilTheNextEvent) {
  SocketPair pair;
  OwnedFd fd(pair.take(0));
  EXPECT_FALSE(fd.is_drained());
  pair.write(1);
  wait_all_tasks_blocked();
  EXPECT_EQ(receive(fd), 'x');
  fd.note_drained();
  EXPECT_TRUE(fd.is_drained());
  sleep(seconds(1));
  EXPECT_TRUE(fd.is_drained());
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      wait_all_tasks_blocked();
      pair.write(1);
    });
    fd.wait_readable();
  });
  EXPECT_FALSE(fd.is_drained());
  EXPECT_EQ(receive(fd), 'x');
  fd.note_drained();
  pair.write(1);
  wait_all_tasks_blocked();  // Nobody waits for it, and it is noted.
  EXPECT_FALSE(fd.is_drained());
}

// The end comes with the data, and no event of its own follows.
FIBER_TEST(OwnedFdTest, WhatHasEndedIsNeverDrained) {
  SocketPair pair;
  OwnedFd fd(pair.take(0));
  pair.write(1);
  pair.close(1);
  wait_all_tasks_blocked();
  EXPECT_EQ(receive(fd), 'x');
  fd.note_drained();
  EXPECT_FALSE(fd.is_drained());
  fd.close();
  fd.note_drained();
  EXPECT_FALSE(fd.is_drained());
}

}  // namespace
}  // namespace weft::fibers
