// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Descriptors that are closed while a copy of them lives: epoll goes on reporting them, and the run
// must not spin.

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <utility>

#include "fibers/core/current_scheduler.h"
#include "tests/fibers/guest_testing.h"
#include "tests/support/pipe.h"
#include "weft/fibers/fd_watch.h"
#include "weft/fibers/io.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/owned_fd.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/fibers/to_thread.h"

namespace weft::fibers {
namespace {

using test::Pipe;
using test::SocketPair;
using testing::wait_all_tasks_blocked;

void count(void* calls) {
  ++*static_cast<int*>(calls);
}

bool is_readable(int fd) {
  pollfd set{.fd = fd, .events = POLLIN, .revents = 0};
  return ::poll(&set, 1, 0) == 1;
}

// A copy that keeps what its original was opened for.
class Copy {
 public:
  Copy() = default;
  explicit Copy(int fd) : fd_(::dup(fd)) {}
  Copy(Copy&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Copy& operator=(Copy&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Copy() {
    if (fd_ >= 0) ::close(fd_);
  }

 private:
  int fd_ = -1;
};

// Whether the next wait for I/O would end at once, and so each one after it.
bool spins() {
  for (int i = 0; i < 8; ++i) checkpoint();
  return is_readable(detail::current_scheduler().io().fd_for_host());
}

// Leaves a registration behind that nobody can delete any more, of a pipe with something to read.
// Returns the copy that keeps it alive.
Copy leave_registration(int* calls) {
  Pipe pipe;
  pipe.write(1);
  FdWatch watch;
  watch.arm(pipe[0], FdDirection::kRead, &count, calls);
  Copy copy(pipe[0]);
  pipe.close(0);
  watch.disarm();
  return copy;
}

FIBER_TEST(StaleRegistrationTest, AWatchThatIsDisarmedAfterTheCloseDoesNotSpin) {
  WEFT_NOT_FAULT_SWEPT("without a new epoll set the run spins on");
  int calls = 0;
  const Copy copy = leave_registration(&calls);
  EXPECT_FALSE(spins());
  EXPECT_EQ(calls, 0);
  EXPECT_EQ(current_statistics().fds_watched, 0U);
}

// The second descriptor has the number of the first.
FIBER_TEST(StaleRegistrationTest, SeveralOfOneNumberDoNotSpin) {
  WEFT_NOT_FAULT_SWEPT("without a new epoll set the run spins on");
  int calls = 0;
  const Copy first = leave_registration(&calls);
  const Copy second = leave_registration(&calls);
  EXPECT_FALSE(spins());
  EXPECT_EQ(calls, 0);
}

FIBER_TEST(StaleRegistrationTest, OneDirectionThatIsDisarmedAfterTheCloseDoesNotSpin) {
  WEFT_NOT_FAULT_SWEPT("without a new epoll set the run spins on");
  SocketPair pair;
  pair.write(1);
  pair.fill(0);
  int reads = 0;
  int writes = 0;
  FdWatch reader;
  FdWatch writer;
  reader.arm(pair[0], FdDirection::kRead, &count, &reads);
  writer.arm(pair[0], FdDirection::kWrite, &count, &writes);
  const Copy copy(pair[0]);
  pair.close(0);
  reader.disarm();
  EXPECT_FALSE(spins());
  EXPECT_EQ(reads, 0);
  writer.disarm();
  EXPECT_FALSE(spins());
}

FIBER_TEST(StaleRegistrationTest, AllOtherRegistrationsGoOn) {
  WEFT_NOT_FAULT_SWEPT("without a new epoll set the run spins on");
  Pipe watched;
  Pipe waited;
  SocketPair owned;
  OwnedFd fd(owned.take(0));
  int calls = 0;
  FdWatch watch;
  watch.arm(watched[0], FdDirection::kRead, &count, &calls);
  int woken = 0;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      wait_readable(waited[0]);
      ++woken;
    });
    nursery.start_soon([&] {
      fd.wait_readable();
      ++woken;
    });
    wait_all_tasks_blocked();
    const Copy copy = leave_registration(&calls);
    EXPECT_FALSE(spins());
    EXPECT_EQ(calls, 0);
    watched.write(1);
    waited.write(1);
    owned.write(1);
  });
  EXPECT_EQ(woken, 2);
  EXPECT_GT(calls, 0);
  // Calls from other threads, too.
  EXPECT_EQ(to_thread::run_sync([] { return 3; }), 3);
}

// An edge a packet is no spinning, but wakes the run for nothing.
FIBER_TEST(StaleRegistrationTest, AnOwnedDescriptorThatIsClosedReportsNothingMore) {
  SocketPair pair;
  const Copy copy(pair[0]);
  OwnedFd fd(pair.take(0));
  fd.close();
  checkpoint();
  pair.write(1);
  EXPECT_FALSE(is_readable(detail::current_scheduler().io().fd_for_host()));
}

// The host waits for a descriptor of the guest's, which has to stay the same one.
TEST(StaleRegistrationTest, AHostThatPollsIsLeftInPeaceAndStillServed) {
  testing::Hosted hosted(testing::Way::kPolled);
  const Pipe pipe;
  int calls = 0;
  Copy copy;
  hosted.start([&] {
    copy = leave_registration(&calls);
    wait_readable(pipe[0]);
  });
  for (int i = 0; i < 50 && hosted.host.busy(); ++i) hosted.host.turn();
  EXPECT_FALSE(hosted.host.busy());
  pipe.write(1);
  hosted.finish();
  EXPECT_EQ(calls, 0);
}

}  // namespace
}  // namespace weft::fibers
