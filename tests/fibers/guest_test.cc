// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What a guest run and its host do to each other.

#include "weft/fibers/guest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "tests/fibers/guest_testing.h"
#include "tests/support/pipe.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/event.h"
#include "weft/fibers/instrument.h"
#include "weft/fibers/io.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/mock_clock.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/fibers/timeouts.h"
#include "weft/fibers/to_thread.h"
#include "weft/fibers/token.h"

namespace weft::fibers {
namespace {

using std::chrono::hours;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::Hosted;
using testing::MockClock;
using testing::run_hosted;
using testing::wait_all_tasks_blocked;
using testing::Way;

class GuestTest : public ::testing::TestWithParam<Way> {};
INSTANTIATE_TEST_SUITE_P(, GuestTest,
                         ::testing::Values(Way::kThread, Way::kPolled, Way::kPolledAndPosted),
                         testing::way_name);

// trio: test_guest_mode.py::test_guest_trivial
TEST_P(GuestTest, DoneCallbackGetsWhatMainReturnsOrThrows) {
  test::PollHost host;
  std::unique_ptr<int> result;
  GuestOptions<std::unique_ptr<int>> options;
  options.done_callback = [&](Outcome<std::unique_ptr<int>> o) { result = o.unwrap(); };
  if (GetParam() == Way::kThread) {
    options.run_sync_soon_threadsafe = [&](const GuestTick& tick) { host.post(tick); };
  }
  const GuestRun guest = start_guest_run([] { return std::make_unique<int>(7); }, options);
  if (GetParam() != Way::kThread) host.watch(guest.pollable_fd(), [&] { guest.tick(); });
  while (result == nullptr) host.turn();
  EXPECT_EQ(*result, 7);
  EXPECT_TRUE(guest.done());
  EXPECT_THROW(
      run_hosted(GetParam(), [](test::PollHost&) { throw std::out_of_range("main's own"); }),
      std::out_of_range);
}

// trio: test_guest_mode.py::test_guest_mode_sniffio_integration
TEST_P(GuestTest, TasksAreInATaskAndTheHostIsNot) {
  EXPECT_FALSE(in_trio_task());
  run_hosted(GetParam(), [](test::PollHost& host) {
    Event seen;
    bool host_in_task = true;
    EXPECT_TRUE(in_trio_task());
    host.post([&] {
      host_in_task = in_trio_task();
      seen.set();
    });
    seen.wait();
    EXPECT_FALSE(host_in_task);
    EXPECT_TRUE(in_trio_task());
  });
  EXPECT_FALSE(in_trio_task());
  EXPECT_FALSE(in_trio_run());
}

// trio: test_guest_mode.py::test_guest_can_do_io
TEST_P(GuestTest, WaitsForDescriptors) {
  const std::ptrdiff_t descriptors = testing::open_descriptors();
  run_hosted(GetParam(), [](test::PollHost& host) {
    const test::SocketPair pair;
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] {
        wait_readable(pair[1]);
        EXPECT_EQ(pair.read(1), 'a');
        pair.write(1, 'b');
      });
      wait_writable(pair[0]);
      pair.write(0, 'a');
      wait_readable(pair[0]);
      EXPECT_EQ(pair.read(0), 'b');
    });
    // The same with nothing else to do, and from the host.
    host.post([&] { pair.write(1, 'c'); });
    wait_readable(pair[0]);
    EXPECT_EQ(pair.read(0), 'c');
  });
  EXPECT_EQ(testing::open_descriptors(), descriptors);
}

// trio: test_guest_mode.py::test_guest_is_initialized_when_start_returns
TEST_P(GuestTest, IsARunWhenStartReturnsAndMainHasNotBegun) {
  Hosted hosted(GetParam());
  std::vector<std::string> happened;
  hosted.start([&] {
    happened.emplace_back("main");
    checkpoint();
  });
  EXPECT_TRUE(in_trio_run());
  EXPECT_FALSE(in_trio_task());
  EXPECT_THAT(happened, ElementsAre());
  EXPECT_GT(current_time(), kLongAgo);
  spawn_system_task([&] { happened.emplace_back("system task"); });
  current_token().run_sync_soon([&] { happened.emplace_back("call"); });
  EXPECT_EQ(current_statistics().tasks_living, 3U);
  EXPECT_THAT(happened, ElementsAre());
  hosted.finish();
  EXPECT_THAT(happened, ::testing::UnorderedElementsAre("main", "system task", "call"));
  EXPECT_FALSE(in_trio_run());
}

// trio: test_guest_mode.py::test_host_can_directly_wake_trio_task
TEST_P(GuestTest, TheHostWakesTasksAndStartsThem) {
  run_hosted(GetParam(), [](test::PollHost& host) {
    Event event;
    host.post([&] { event.set(); });
    event.wait();
    Event other;
    open_nursery([&](Nursery& nursery) {
      host.post([&] { nursery.start_soon([&] { other.set(); }); });
      other.wait();
    });
    CancelScope scope;
    host.post([&] { scope.cancel(); });
    scope.run([] { sleep_forever(); });
    EXPECT_TRUE(scope.cancelled_caught());
  });
}

// trio: test_guest_mode.py::test_host_altering_deadlines_wakes_trio_up
TEST_P(GuestTest, TheHostMovesDeadlines) {
  run_hosted(GetParam(), [](test::PollHost& host) {
    CancelScope endless;
    host.post([&] { endless.set_deadline(kLongAgo); });
    endless.run([] { sleep_forever(); });
    EXPECT_TRUE(endless.cancelled_caught());

    CancelScope scope;
    host.post([&] { scope.set_deadline(current_time() + hours(1000)); });
    host.post([&] { scope.set_deadline(kLongAgo); });
    scope.run([] { sleep(hours(1)); });
    EXPECT_TRUE(scope.cancelled_caught());
  });
}

// trio: test_guest_mode.py::test_guest_mode_trio_context_detection
TEST_P(GuestTest, WhoIsInTheRunAndWhoInATask) {
  EXPECT_FALSE(in_trio_run());
  run_hosted(GetParam(), [](test::PollHost& host) {
    EXPECT_TRUE(in_trio_run());
    EXPECT_TRUE(in_trio_task());
    Event asked;
    host.post([&] {
      EXPECT_TRUE(in_trio_run());
      EXPECT_FALSE(in_trio_task());
      asked.set();
    });
    asked.wait();
    to_thread::run_sync([] {
      EXPECT_FALSE(in_trio_run());
      EXPECT_FALSE(in_trio_task());
    });
    CancelScope scope;
    scope.run([&] {
      scope.cancel();
      wait_task_rescheduled([](const RaiseCancel&) {
        EXPECT_TRUE(in_trio_run());
        EXPECT_TRUE(in_trio_task());
        return Abort::kSucceeded;
      });
    });
    current_token().run_sync_soon([&] {
      EXPECT_TRUE(in_trio_run());
      EXPECT_FALSE(in_trio_task());
    });
    wait_all_tasks_blocked();
  });
  EXPECT_FALSE(in_trio_run());
}

// Sees when the run waits for long, has `host` move a deadline then, and once more when that has
// woken the run.
class WakeByDeadline final : public Instrument {
 public:
  WakeByDeadline(test::PollHost& host, CancelScope& scope, Duration primed_by)
      : host_(host), scope_(scope), primed_by_(primed_by) {}
  void before_io_wait(Duration timeout) override {
    if (timeout != primed_by_ || primed_) return;
    primed_ = true;
    host_.post([this] { scope_.set_deadline(current_time() + hours(100'000)); });
  }
  void after_io_wait(Duration /*timeout*/) override {
    if (!primed_) return;
    host_.post([&scope = scope_] { scope.set_deadline(kLongAgo); });  // This is gone by then.
    remove_instrument(*this);
  }

 private:
  test::PollHost& host_;
  CancelScope& scope_;
  Duration primed_by_;
  bool primed_ = false;
};

// trio: test_guest_mode.py::test_host_wakeup_doesnt_trigger_wait_all_tasks_blocked
TEST_P(GuestTest, AWakeUpByTheHostIsNoIdleness) {
  run_hosted(GetParam(), [](test::PollHost& host) {
    CancelScope idle;
    CancelScope woken;
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] {
        idle.run([] {
          wait_all_tasks_blocked(seconds(9999));
          ADD_FAILURE() << "the run was not idle for so long";
        });
        EXPECT_TRUE(idle.cancelled_caught());
      });
      add_instrument(std::make_shared<WakeByDeadline>(host, woken, seconds(9999)));
      woken.run([] { sleep_forever(); });
      EXPECT_TRUE(woken.cancelled_caught());
      idle.cancel();
    });
  });
}

// trio: test_guest_mode.py::test_guest_mode_autojump_clock_threshold_changing
TEST_P(GuestTest, TheHostMakesAClockJump) {
  MockClock clock;
  run_hosted(GetParam(),
             [&](test::PollHost& host) {
               host.post([&] { clock.jump(hours(2)); });
               sleep(hours(1));
               EXPECT_EQ(current_time().time_since_epoch(), hours(2));
               host.post([&] { clock.set_autojump_threshold(Duration::zero()); });
               sleep(hours(1));
               EXPECT_EQ(current_time().time_since_epoch(), hours(3));
             },
             {.clock = &clock});
}

TEST_P(GuestTest, AHostThatMayStillActIsNoDeadlock) {
  MockClock clock(0.0, Duration::zero());
  Hosted hosted(GetParam());
  Event event;
  hosted.start(
      [&] {
        sleep(hours(1));
        event.wait();
      },
      {.clock = &clock});
  hosted.settle();
  EXPECT_EQ(current_time().time_since_epoch(), hours(1));
  event.set();
  hosted.finish();
}

// trio: test_guest_mode.py::test_guest_mode_internal_errors
TEST_P(GuestTest, WhatBreaksTheRunGoesToDoneCallback) {
  WEFT_LEAVES_OVER("tasks that nobody can unwind");
  EXPECT_THROW(run_hosted(GetParam(),
                          [](test::PollHost&) {
                            spawn_system_task([] { throw std::runtime_error("the cause"); });
                            sleep_forever();
                          }),
               InternalError);
  EXPECT_THROW(run_hosted(GetParam(),
                          [](test::PollHost&) {
                            current_token().run_sync_soon([] { throw std::runtime_error("too"); });
                            sleep_forever();
                          }),
               InternalError);
  // The scheduler itself.
  struct Broken final : Clock {
    Instant current_time() override { return {}; }
    Duration deadline_to_sleep_time(Instant) override { throw std::runtime_error("stopped"); }
  } clock;
  try {
    run_hosted(GetParam(), [](test::PollHost&) { sleep(seconds(1)); }, {.clock = &clock});
    ADD_FAILURE() << "the error was lost";
  } catch (const InternalError& e) {
    EXPECT_THAT(e.what(), HasSubstr("stopped"));
  }
  EXPECT_FALSE(in_trio_run());
}

// trio: test_guest_mode.py::test_guest_mode_ki
TEST_P(GuestTest, CtrlCReachesMainFromTasksAndFromTheHost) {
  EXPECT_THROW(run_hosted(GetParam(),
                          [](test::PollHost&) {
                            std::raise(SIGINT);
                            sleep_forever();
                          }),
               KeyboardInterrupt);
  EXPECT_THROW(run_hosted(GetParam(),
                          [](test::PollHost& host) {
                            host.post([] { std::raise(SIGINT); });
                            sleep_forever();
                          }),
               KeyboardInterrupt);
  // When main has ended, the run has still one to pass on.
  EXPECT_THROW(run_hosted(GetParam(),
                          [](test::PollHost&) {
                            spawn_system_task([] {
                              try {
                                sleep_forever();
                              } catch (const Cancelled&) {
                                std::raise(SIGINT);
                                throw;
                              }
                            });
                            checkpoint();
                          }),
               KeyboardInterrupt);
}

TEST_P(GuestTest, NothingTicksWhileNothingHappens) {
  MockClock clock;
  Hosted hosted(GetParam());
  Event event;
  const test::Pipe pipe;
  hosted.start(
      [&] {
        open_nursery([&](Nursery& nursery) {
          nursery.start_soon([] { sleep(hours(1)); });
          nursery.start_soon([&] { wait_readable(pipe[0]); });
          event.wait();
        });
      },
      {.clock = &clock});
  hosted.settle();
  const int ticks = hosted.ticks;
  const int turns = hosted.host.turns();
  const std::uint64_t looks = current_statistics().ticks;
  for (int i = 0; i < 100; ++i) {
    bool ran = false;
    hosted.host.post([&] { ran = true; });
    hosted.host.turn();
    EXPECT_TRUE(ran);
    EXPECT_FALSE(hosted.host.busy());
  }
  EXPECT_EQ(hosted.host.turns(), turns + 100);
  EXPECT_EQ(hosted.ticks, ticks);
  EXPECT_EQ(current_statistics().ticks, looks);
  event.set();
  pipe.write(1);
  clock.jump(hours(1));
  hosted.finish();
}

TEST_P(GuestTest, DeadlinesOfTheMachinesClockAreKept) {
  run_hosted(GetParam(), [](test::PollHost&) {
    for (int i = 0; i < 10; ++i) {
      const Instant deadline = current_time() + std::chrono::microseconds(100 * i);
      sleep_until(deadline);
      EXPECT_GE(current_time(), deadline);
    }
  });
}

TEST_P(GuestTest, OtherThreadsCallIn) {
  run_hosted(GetParam(), [](test::PollHost&) {
    for (int i = 0; i < 20; ++i) {
      Event event;
      std::thread([token = current_token(), &event] {
        token.run_sync_soon([&event] { event.set(); });
      }).detach();
      event.wait();
    }
    EXPECT_EQ(to_thread::run_sync([] { return 3; }), 3);
  });
}

// A task that never rests leaves the host its turns.
TEST_P(GuestTest, TheHostHasATurnAfterEachBatch) {
  Hosted hosted(GetParam());
  bool stop = false;
  hosted.start([&] {
    open_nursery([&](Nursery& nursery) {
      for (int i = 0; i < 3; ++i) {
        nursery.start_soon([&] {
          while (!stop) checkpoint();
        });
      }
    });
  });
  for (int i = 0; i < 100; ++i) hosted.host.turn();
  EXPECT_FALSE(hosted.done);
  stop = true;
  hosted.finish();
}

}  // namespace
}  // namespace weft::fibers
