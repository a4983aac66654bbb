// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/shared_wait.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <utility>
#include <vector>

#include "tests/support/pipe.h"
#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/event.h"
#include "weft/fibers/guest.h"
#include "weft/fibers/instrument.h"
#include "weft/fibers/io.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/run.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/mock_clock.h"
#include "weft/fibers/timeouts.h"
#include "weft/fibers/to_thread.h"

namespace weft::fibers {
namespace {

using namespace std::chrono_literals;

// Another loop: calls whose turn it is, and one for whenever its pipe is readable.
class OtherLoop final : public SharedWait {
 public:
  void post(std::function<void()> call) { calls_.push_back(std::move(call)); }
  void when_readable(std::function<void()> call) { on_readable_ = std::move(call); }
  const test::Pipe& pipe() const { return pipe_; }
  int polls = 0;
  int waits = 0;

 private:
  Turn poll() noexcept override {
    ++polls;
    return {call(), true};
  }
  Turn wait() noexcept override {
    ++waits;
    std::array<pollfd, 2> both{{{pollable_fd(), POLLIN, 0}, {pipe_[0], POLLIN, 0}}};
    ::poll(both.data(), both.size(), calls_.empty() ? -1 : 0);
    std::size_t done = call();
    if (both[1].revents != 0) {
      pipe_.read(0);
      on_readable_();
      ++done;
    }
    return {done, both[0].revents != 0};
  }
  std::size_t call() noexcept {
    const std::size_t count = calls_.size();
    for (std::size_t i = 0; i < count; ++i) {
      const auto call = std::move(calls_.front());
      calls_.pop_front();
      call();
    }
    return count;
  }

  std::deque<std::function<void()>> calls_;
  std::function<void()> on_readable_;
  test::Pipe pipe_;
};

FIBER_TEST(SharedWaitTest, WhatTheOtherLoopCallsIsInNoTask) {
  OtherLoop other;
  Event called;
  other.post([&] {
    EXPECT_FALSE(in_trio_task());
    EXPECT_THROW(checkpoint(), UsageError);
    EXPECT_NO_THROW(current_statistics());
    called.set();
  });
  called.wait();
}

// Without a task that is ready the thread waits there, once, until something comes.
FIBER_TEST(SharedWaitTest, TheThreadWaitsInTheOtherLoop) {
  OtherLoop other;
  Event called;
  other.when_readable([&] { called.set(); });
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      cancel_shielded_checkpoint();
      other.pipe().write(1);
    });
    called.wait();
  });
  EXPECT_GE(other.waits, 1);
  EXPECT_LE(other.waits, 3);
}

FIBER_TEST(SharedWaitTest, ABusyRunTurnsItAllTheSame) {
  OtherLoop other;
  bool called = false;
  other.post([&] { called = true; });
  while (!called) checkpoint();
  EXPECT_EQ(other.waits, 0);
  EXPECT_GE(other.polls, 1);
}

FIBER_TEST(SharedWaitTest, DescriptorsAndThreadsComeToo) {
  WEFT_NOT_SWEPT("a thread waits for what the body does");
  WEFT_NOT_FAULT_SWEPT("a thread waits for what the body does");
  OtherLoop other;
  const test::Pipe pipe;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { wait_readable(pipe[0]); });
    nursery.start_soon([&] { to_thread::run_sync([&] { pipe.write(1); }); });
  });
  EXPECT_GE(other.waits + other.polls, 1);  // The thread may have been faster.
}

// Its clock may jump when both sides are idle, but it is never taken for a deadlock.
FIBER_TEST(SharedWaitTest, DeadlinesComeInVirtualTime) {
  OtherLoop other;
  const auto start = current_time();
  EXPECT_FALSE(move_on_after(1h, [] { sleep_forever(); }));
  EXPECT_EQ(current_time() - start, 1h);
}

TEST(SharedWaitTest, DeadlinesComeInTheMachinesTime) {
  run([] {
    OtherLoop other;
    const auto start = current_time();
    for (int i = 0; i < 3; ++i) sleep(1ms);
    EXPECT_FALSE(move_on_after(1ms, [] { sleep_forever(); }));
    EXPECT_GE(current_time() - start, 4ms);
    EXPECT_GE(other.waits, 1);
    EXPECT_LE(other.waits, 30);  // It does not poll.
  });
}

TEST(SharedWaitTest, InstrumentsAreToldOfTheWait) {
  struct Counts final : Instrument {
    void before_io_wait(Duration) override { ++before; }
    void after_io_wait(Duration) override { ++after; }
    int before = 0;
    int after = 0;
  };
  const auto counts = std::make_shared<Counts>();
  run([&] {
    OtherLoop other;
    add_instrument(counts);
    sleep(1ms);
    remove_instrument(*counts);
    EXPECT_GE(counts->before, 1);
    EXPECT_EQ(counts->before, counts->after);
  });
}

FIBER_TEST(SharedWaitTest, EndsWithTheObject) {
  for (int i = 0; i < 2; ++i) {
    OtherLoop other;
    Event called;
    other.post([&] { called.set(); });
    called.wait();
    EXPECT_THROW(OtherLoop(), UsageError);
  }
  checkpoint();
}

TEST(SharedWaitTest, IsRefusedOutsideOfARunAndInAGuest) {
  EXPECT_THROW(OtherLoop(), UsageError);
  bool over = false;
  const GuestRun guest = start_guest_run([] { EXPECT_THROW(OtherLoop(), UsageError); },
                                         {.done_callback = [&](const Outcome<void>& outcome) {
                                           EXPECT_EQ(outcome.error(), nullptr);
                                           over = true;
                                         }});
  while (guest.tick()) continue;
  EXPECT_TRUE(over);
}

}  // namespace
}  // namespace weft::fibers
