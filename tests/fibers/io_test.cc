// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/io.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <system_error>
#include <vector>

#include "tests/support/pipe.h"
#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/checkpoints.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

using std::chrono::seconds;
using test::Pipe;
using test::SocketPair;
using ::testing::ElementsAre;
using testing::wait_all_tasks_blocked;

// trio: test_io.py::test_wait_basic
FIBER_TEST(IoTest, WaitReadableEndsWhenDataArrives) {
  SocketPair pair;
  bool woken = false;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      wait_readable(pair[0]);
      woken = true;
      EXPECT_EQ(pair.read(0), 'x');
    });
    wait_all_tasks_blocked();
    EXPECT_FALSE(woken);
    EXPECT_EQ(current_statistics().fds_watched, 1U);
    pair.write(1);
  });
  EXPECT_TRUE(woken);
  EXPECT_EQ(current_statistics().fds_watched, 0U);
}

// trio: test_io.py::test_io_manager_statistics
FIBER_TEST(IoTest, StatisticsCountWhoWaitsForWhat) {
  SocketPair writes, reads, both;
  const auto expect = [](std::size_t readers, std::size_t writers) {
    const RunStatistics now = current_statistics();
    EXPECT_EQ(now.io_statistics.tasks_waiting_read, readers);
    EXPECT_EQ(now.io_statistics.tasks_waiting_write, writers);
    EXPECT_EQ(now.fds_watched, readers + writers);
  };
  writes.fill(0);
  both.fill(0);
  expect(0, 0);
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { wait_writable(writes[0]); });
    nursery.start_soon([&] { wait_readable(reads[0]); });
    nursery.start_soon([&] { wait_readable(reads[1]); });
    nursery.start_soon([&] { wait_writable(both[0]); });
    nursery.start_soon([&] { wait_readable(both[0]); });
    wait_all_tasks_blocked();
    expect(3, 2);
    nursery.cancel_scope().cancel();
  });
  expect(0, 0);
}

// trio: test_io.py::test_wait_basic
FIBER_TEST(IoTest, AReadyDescriptorCostsACheckpoint) {
  SocketPair pair;
  testing::assert_checkpoints([&] { wait_writable(pair[0]); });
  pair.write(0);
  for (int i = 0; i < 3; ++i) testing::assert_checkpoints([&] { wait_readable(pair[1]); });
}

// trio: test_io.py::test_wait_basic
FIBER_TEST(IoTest, WaitWritableEndsWhenThereIsRoom) {
  Pipe pipe;
  pipe.fill(1);
  bool woken = false;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      wait_writable(pipe[1]);
      woken = true;
    });
    wait_all_tasks_blocked();
    EXPECT_FALSE(woken);
    pipe.drain(0);
  });
  EXPECT_TRUE(woken);
}

FIBER_TEST(IoTest, TheEndOfThePeerWakesBothDirections) {
  SocketPair pair;
  pair.fill(0);
  int woken = 0;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      wait_readable(pair[0]);
      ++woken;
    });
    nursery.start_soon([&] {
      wait_writable(pair[0]);
      ++woken;
    });
    wait_all_tasks_blocked();
    pair.close(1);
  });
  EXPECT_EQ(woken, 2);
}

// trio: test_io.py::test_wait_basic
FIBER_TEST(IoTest, ACancelledWaitTakesNothingAndCanBeRepeated) {
  SocketPair pair;
  for (int i = 0; i < 3; ++i) {
    EXPECT_FALSE(move_on_after(seconds(1), [&] { wait_readable(pair[0]); }));
    EXPECT_EQ(current_statistics().fds_watched, 0U);
  }
  CancelScope scope;
  pair.write(1);
  EXPECT_FALSE(scope.run([&] {
    scope.cancel();
    wait_readable(pair[0]);
  }));
  wait_readable(pair[0]);
  EXPECT_EQ(pair.read(0), 'x');
}

// trio: test_io.py::test_double_read
// trio: test_io.py::test_double_write
FIBER_TEST(IoTest, ASecondWaiterOfADirectionIsRefused) {
  SocketPair pair;
  pair.fill(0);
  for (auto* wait : {&wait_readable, &wait_writable}) {
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] { wait(pair[0]); });
      wait_all_tasks_blocked();
      EXPECT_THROW(wait(pair[0]), BusyResourceError);
      nursery.cancel_scope().cancel();
    });
  }
}

// trio: test_io.py::test_socket_simultaneous_read_write
FIBER_TEST(IoTest, TheTwoDirectionsAreIndependent) {
  SocketPair pair;
  pair.fill(0);
  std::vector<char> woken;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      wait_readable(pair[0]);
      woken.push_back('r');
    });
    nursery.start_soon([&] {
      wait_writable(pair[0]);
      woken.push_back('w');
    });
    wait_all_tasks_blocked();
    pair.write(1);
    wait_all_tasks_blocked();
    EXPECT_THAT(woken, ElementsAre('r'));
    pair.drain(1);
  });
  EXPECT_THAT(woken, ElementsAre('r', 'w'));
}

// trio: test_io.py::test_interrupted_by_close
FIBER_TEST(IoTest, NotifyClosingWakesWhoWaits) {
  SocketPair pair;
  pair.fill(0);
  int closed = 0;
  open_nursery([&](Nursery& nursery) {
    for (auto* wait : {&wait_readable, &wait_writable}) {
      nursery.start_soon([&pair, &closed, wait] {
        EXPECT_THROW(wait(pair[0]), ClosedResourceError);
        ++closed;
      });
    }
    wait_all_tasks_blocked();
    notify_closing(pair[0]);
    pair.close(0);
  });
  EXPECT_EQ(closed, 2);
  EXPECT_EQ(current_statistics().fds_watched, 0U);
}

// trio: test_io.py::test_wait_on_invalid_object
// trio: test_io.py::test_notify_closing_on_invalid_object
FIBER_TEST(IoTest, AnInvalidDescriptorIsASystemError) {
  Pipe pipe;
  const int closed = pipe[0];
  pipe.close(0);
  for (auto* wait : {&wait_readable, &wait_writable}) {
    EXPECT_THROW(wait(closed), std::system_error);
    EXPECT_THROW(wait(-1), std::system_error);
  }
  EXPECT_THROW(notify_closing(-1), std::system_error);
  const int file = ::open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  EXPECT_THROW(wait_readable(file), std::system_error);  // epoll does not take plain files.
  ::close(file);
  EXPECT_EQ(current_statistics().fds_watched, 0U);
}

// trio: test_io.py::test_can_survive_unnotified_close
FIBER_TEST(IoTest, AnUnannouncedCloseHarmsOnlyWhoWaits) {
  SocketPair pair;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { wait_readable(pair[0]); });
    wait_all_tasks_blocked();
    pair.close(0);
    wait_all_tasks_blocked();
    nursery.cancel_scope().cancel();
  });
  EXPECT_EQ(current_statistics().fds_watched, 0U);
}

// The owner closes the descriptor between two waits, and another comes back under its number.
FIBER_TEST(IoTest, ANumberThatIsReusedIsANewDescriptor) {
  WEFT_NOT_SWEPT("it plays with numbers that nobody owns");
  WEFT_NOT_FAULT_SWEPT("it plays with numbers that nobody owns");
  for (int round = 0; round < 5; ++round) {
    Pipe first;
    const int number = first[0];
    first.write(1);
    wait_readable(number);
    EXPECT_FALSE(move_on_after(seconds(1), [&] {
      first.read(0);
      wait_readable(number);
    }));
    const int kept = ::dup(number);  // The old pipe lives on and has data.
    first.close(0);
    Pipe second;
    ASSERT_EQ(::dup2(second[0], number), number);
    first.write(1);
    bool woken = false;
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] {
        wait_readable(number);
        woken = true;
      });
      wait_all_tasks_blocked();
      EXPECT_FALSE(woken) << "what the old descriptor had was delivered to the new one";
      second.write(1);
    });
    EXPECT_TRUE(woken);
    ::close(kept);
    ::close(number);
  }
}

// The same while a task waits: nobody told it, but it must not be woken by the new owner's data and
// must still be cancellable, and the new owner be served.
FIBER_TEST(IoTest, AReusedNumberCanBeWaitedForOnceTheOldWaiterIsGone) {
  Pipe first;
  const int number = first[0];
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { wait_readable(number); });
    wait_all_tasks_blocked();
    first.close(0);
    nursery.cancel_scope().cancel();
  });
  Pipe second;
  ASSERT_EQ(::dup2(second[0], number), number);
  second.write(1);
  EXPECT_TRUE(move_on_after(seconds(1), [&] { wait_readable(number); }));
  ::close(number);
}

// trio: test_socket.py::test_many_sockets
FIBER_TEST(IoTest, HundredsOfDescriptorsWaitTogether) {
  constexpr int kPairs = 300;
  std::deque<SocketPair> pairs(kPairs);
  int woken = 0;
  open_nursery([&](Nursery& nursery) {
    for (SocketPair& pair : pairs) {
      nursery.start_soon([&] {
        wait_readable(pair[0]);
        ++woken;
      });
    }
    wait_all_tasks_blocked();
    EXPECT_EQ(current_statistics().fds_watched, std::size_t{kPairs});
    // More than one system call's worth at once.
    for (int i = 0; i < kPairs; i += 2) pairs[static_cast<std::size_t>(i)].write(1);
    wait_all_tasks_blocked();
    EXPECT_EQ(woken, kPairs / 2);
    nursery.cancel_scope().cancel();
  });
  EXPECT_EQ(woken, kPairs / 2);
  EXPECT_EQ(current_statistics().fds_watched, 0U);
}

// trio: test_io.py::test_socket_actual_streaming
FIBER_TEST(IoTest, AMegabyteEachWayArrives) {
  constexpr std::size_t kTotal = 1'000'000;
  SocketPair pair;
  std::size_t received = 0;
  const auto send = [&pair](std::size_t end) {
    const std::vector<char> data(10'000);
    for (std::size_t sent = 0; sent < kTotal;) {
      const ssize_t n = ::write(pair[end], data.data(), std::min(data.size(), kTotal - sent));
      if (n > 0) sent += static_cast<std::size_t>(n);
      if (n < 0) wait_writable(pair[end]);
    }
  };
  const auto receive = [&pair, &received](std::size_t end) {
    std::vector<char> data(7'000);
    for (std::size_t got = 0; got < kTotal;) {
      const ssize_t n = ::read(pair[end], data.data(), data.size());
      if (n > 0) got += static_cast<std::size_t>(n);
      if (n > 0) received += static_cast<std::size_t>(n);
      if (n < 0) wait_readable(pair[end]);
    }
  };
  open_nursery([&](Nursery& nursery) {
    for (const std::size_t end : {0U, 1U}) {
      nursery.start_soon([&send, end] { send(end); });
      nursery.start_soon([&receive, end] { receive(end); });
    }
  });
  EXPECT_EQ(received, 2 * kTotal);
}

FIBER_TEST(IoTest, EitherDirectionEndsTheWaitAndIsNamed) {
  SocketPair pair;
  FdReadiness found = wait_readable_or_writable(pair[0]);
  EXPECT_FALSE(found.readable);
  EXPECT_TRUE(found.writable);
  pair.write(1);
  found = wait_readable_or_writable(pair[0]);
  EXPECT_TRUE(found.readable);
  EXPECT_TRUE(found.writable);
  pair.read(0);
  pair.fill(0);
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { found = wait_readable_or_writable(pair[0]); });
    wait_all_tasks_blocked();
    EXPECT_EQ(current_statistics().fds_watched, 2U);
    pair.write(1);
  });
  EXPECT_TRUE(found.readable);
  EXPECT_FALSE(found.writable);
  EXPECT_EQ(current_statistics().fds_watched, 0U);
  pair.read(0);
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { found = wait_readable_or_writable(pair[0]); });
    wait_all_tasks_blocked();
    pair.drain(1);
  });
  EXPECT_FALSE(found.readable);
  EXPECT_TRUE(found.writable);
}

FIBER_TEST(IoTest, AHangUpEndsAWaitForEitherDirection) {
  SocketPair pair;
  pair.close(1);
  const FdReadiness found = wait_readable_or_writable(pair[0]);
  EXPECT_TRUE(found.readable);
  EXPECT_TRUE(found.writable);
}

FIBER_TEST(IoTest, AWaitForEitherDirectionIsCancelledAndLeavesNothing) {
  SocketPair pair;
  pair.fill(0);
  for (int i = 0; i < 3; ++i) {
    EXPECT_FALSE(move_on_after(seconds(1), [&] { wait_readable_or_writable(pair[0]); }));
    EXPECT_EQ(current_statistics().fds_watched, 0U);
  }
  testing::assert_checkpoints([&] { wait_readable_or_writable(pair[1]); });
}

FIBER_TEST(IoTest, AWaitForEitherDirectionTakesBoth) {
  SocketPair pair;
  pair.fill(0);
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { wait_readable_or_writable(pair[0]); });
    wait_all_tasks_blocked();
    EXPECT_THROW(wait_readable(pair[0]), BusyResourceError);
    EXPECT_THROW(wait_writable(pair[0]), BusyResourceError);
    EXPECT_THROW(wait_readable_or_writable(pair[0]), BusyResourceError);
    nursery.cancel_scope().cancel();
  });
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { wait_readable(pair[0]); });
    wait_all_tasks_blocked();
    EXPECT_THROW(wait_readable_or_writable(pair[0]), BusyResourceError);
    nursery.cancel_scope().cancel();
  });
}

FIBER_TEST(IoTest, NotifyClosingEndsAWaitForEitherDirection) {
  SocketPair pair;
  pair.fill(0);
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon(
        [&] { EXPECT_THROW(wait_readable_or_writable(pair[0]), ClosedResourceError); });
    wait_all_tasks_blocked();
    notify_closing(pair[0]);
    pair.close(0);
  });
  EXPECT_EQ(current_statistics().fds_watched, 0U);
}

TEST(IoTest, WaitingOutsideATaskIsRefused) {
  EXPECT_THROW(wait_readable(0), UsageError);
  EXPECT_THROW(wait_writable(1), UsageError);
  EXPECT_THROW(wait_readable_or_writable(1), UsageError);
  EXPECT_THROW(notify_closing(0), UsageError);
}

}  // namespace
}  // namespace weft::fibers
