// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Where guest runs end: in order, abandoned, or refused; and what only one of the two ways has.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <new>
#include <optional>
#include <thread>
#include <vector>

#include "tests/fibers/guest_testing.h"
#include "tests/support/captured_log.h"
#include "weft/fibers/event.h"
#include "weft/fibers/guest.h"
#include "weft/fibers/lock.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/mock_clock.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/fibers/timeouts.h"
#include "weft/fibers/token.h"

namespace weft::fibers {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::Hosted;
using testing::MockClock;
using testing::wait_all_tasks_blocked;
using testing::Way;

class GuestLimitsTest : public ::testing::TestWithParam<Way> {};
INSTANTIATE_TEST_SUITE_P(, GuestLimitsTest,
                         ::testing::Values(Way::kThread, Way::kPolled, Way::kPolledAndPosted),
                         testing::way_name);

TEST_P(GuestLimitsTest, AThreadHasOneRunAtATime) {
  Hosted hosted(GetParam());
  Event event;
  hosted.start([&] {
    EXPECT_THROW(run([] {}), UsageError);
    event.wait();
  });
  hosted.settle();
  try {
    run([] {});
    ADD_FAILURE() << "two runs";
  } catch (const UsageError& e) {
    EXPECT_THAT(e.what(), HasSubstr("guest run that is not over"));
  }
  Hosted second(GetParam());
  EXPECT_THROW(second.start([] {}), UsageError);
  // Another thread has nothing to do with it.
  std::thread([] { EXPECT_EQ(run([] { return 1; }), 1); }).join();
  event.set();
  hosted.finish();
  run([&] {
    EXPECT_THROW(second.start([] {}), UsageError);
    checkpoint();
  });
  EXPECT_EQ(run([] { return 2; }), 2);
}

TEST_P(GuestLimitsTest, RunsMayFollowEachOtherFromTheDoneCallback) {
  test::PollHost host;
  std::vector<int> done;
  std::vector<GuestRun> runs;
  const auto start = [&](int number, const auto& next) -> void {
    GuestOptions<int> options;
    options.done_callback = [&, next](Outcome<int> outcome) {
      done.push_back(outcome.unwrap());
      host.unwatch();
      if (done.back() < 3) next(done.back() + 1, next);
    };
    if (GetParam() == Way::kThread) {
      options.run_sync_soon_threadsafe = [&](const GuestTick& tick) { host.post(tick); };
    }
    runs.clear();
    runs.push_back(start_guest_run(
        [number] {
          checkpoint();
          return number;
        },
        options));
    if (GetParam() != Way::kThread) {
      host.watch(runs[0].pollable_fd(), [guest = runs[0]] { guest.tick(); });
    }
  };
  start(1, start);
  while (done.size() < 3) host.turn();
  EXPECT_THAT(done, ElementsAre(1, 2, 3));
}

TEST_P(GuestLimitsTest, AFailedStartIsThrownAndLeavesNothing) {
  const std::ptrdiff_t descriptors = testing::open_descriptors();
  Hosted hosted(GetParam());
  EXPECT_THROW(hosted.start([] {}, {.stack_size = std::size_t{4} << 30}), UsageError);
  EXPECT_FALSE(in_trio_run());
  EXPECT_THROW(start_guest_run([] {}, {}), UsageError);
  EXPECT_EQ(testing::open_descriptors(), descriptors + 1);  // The host's own.
}

TEST_P(GuestLimitsTest, ATickInsideATickOrOnAnotherThreadIsRefused) {
  Hosted hosted(GetParam());
  std::optional<GuestTick> kept;
  int refused = 0;
  GuestOptions<void> options;
  options.done_callback = [&](Outcome<void> outcome) {
    outcome.unwrap();
    hosted.done = true;
  };
  const auto tick = [&] {
    try {
      kept ? (*kept)() : static_cast<void>(hosted.run->tick());
    } catch (const UsageError&) {
      ++refused;
    }
  };
  if (GetParam() == Way::kThread) {
    options.run_sync_soon_threadsafe = [&](const GuestTick& t) {
      kept = t;
      hosted.host.post(t);
    };
  }
  hosted.run.emplace(start_guest_run([&] { tick(); }, options));
  if (GetParam() != Way::kThread) {
    hosted.host.watch(hosted.run->pollable_fd(), [&] { hosted.run->tick(); });
  }
  std::thread(tick).join();
  EXPECT_EQ(refused, 1);
  while (!hosted.done) hosted.host.turn();
  EXPECT_EQ(refused, 2);
  if (kept) {
    tick();
    EXPECT_EQ(refused, 3);
  }
}

// trio: test_guest_mode.py::test_guest_warns_if_abandoned
TEST_P(GuestLimitsTest, AnAbandonedRunIsReportedAndTheThreadIsFree) {
  WEFT_LEAVES_OVER("tasks that nobody can unwind");
  const std::ptrdiff_t descriptors = testing::open_descriptors();
  const test::CapturedLog log;
  {
    Hosted hosted(GetParam());
    hosted.start([] { ADD_FAILURE() << "nobody ticks"; });
    EXPECT_TRUE(in_trio_run());
  }
  ASSERT_EQ(log.lines.size(), 1U);
  EXPECT_THAT(log.lines.front(), HasSubstr("abandoned"));
  EXPECT_THAT(log.lines.front(), HasSubstr("main"));
  EXPECT_FALSE(in_trio_run());
  EXPECT_THROW(current_time(), UsageError);
  EXPECT_EQ(testing::open_descriptors(), descriptors);
  EXPECT_EQ(run([] { return 1; }), 1);
}

// Until the helper thread of an abandoned run has closed what that had open, or the next test would
// miss it. Nothing else tells when the thread is through: it belongs to nobody any more.
void wait_for_descriptors(std::ptrdiff_t count) {
  while (testing::open_descriptors() != count) std::this_thread::yield();
}

// What such a run's tasks used may outlive it, and be used on.
TEST_P(GuestLimitsTest, WhatAnAbandonedRunUsedMayBeUsedOn) {
  WEFT_LEAVES_OVER("tasks that nobody can unwind");
  const std::ptrdiff_t descriptors = testing::open_descriptors();
  const test::CapturedLog log;
  Event event;
  Lock lock;
  std::optional<Token> token;
  {
    CancelScope outer;
    CancelScope inner({.relative_deadline = hours(1)});
    CancelScope late({.relative_deadline = hours(2)});
    std::thread([&] {
      Hosted hosted(GetParam());
      hosted.start([&] {
        token = current_token();
        open_nursery([&](Nursery& nursery) {
          nursery.start_soon([&] { late.run([&] { sleep_forever(); }); });
          outer.run([&] {
            inner.run([&] {
              lock.acquire();
              event.wait();
            });
          });
        });
      });
      hosted.settle();
    }).join();
    ASSERT_EQ(log.lines.size(), 1U);
    outer.cancel();
    EXPECT_TRUE(outer.cancel_called());
    inner.set_deadline(kForever);
    EXPECT_FALSE(inner.cancel_called());
    late.set_shield(true);
  }
  EXPECT_THROW(token->run_sync_soon([] {}), RunFinishedError);
  event.set();
  run([&] {
    event.wait();
    EXPECT_TRUE(lock.locked());
  });
  EXPECT_EQ(log.lines.size(), 1U);
  token.reset();
  wait_for_descriptors(descriptors);
}

// --- One of the two ways. ---

TEST(GuestInThreadTest, IsReportedWhenItsThreadEndsWhileTheHelperWaits) {
  const std::ptrdiff_t descriptors = testing::open_descriptors();
  const test::CapturedLog log;
  std::thread([] {
    Hosted hosted(Way::kThread);
    hosted.start([] { sleep_forever(); });
    hosted.settle();
  }).join();
  ASSERT_EQ(log.lines.size(), 1U);
  EXPECT_THAT(log.lines.front(), HasSubstr("abandoned"));
  wait_for_descriptors(descriptors);
}

// A host that is awake anyway sees the tick before the helper thread has woken it.
TEST(GuestInThreadTest, TheHostMayGoAfterTheLastTick) {
  std::vector<int> later;
  for (int i = 0; i < 200; ++i) {
    {
      Hosted hosted(Way::kThread);
      hosted.start([] { sleep(std::chrono::nanoseconds(1)); });
      while (!hosted.done) {
        hosted.host.post([] {});
        hosted.host.turn();
      }
    }
    later.push_back(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));  // Has the number of the host's.
  }
  for (const int fd : later) {
    std::uint64_t count = 0;
    EXPECT_EQ(::read(fd, &count, sizeof count), -1) << "somebody took it for the host's";
    ::close(fd);
  }
}

TEST(GuestInThreadTest, TicksOfTheHostsThreadTakeTheCheaperWay) {
  test::PollHost host;
  int threadsafe = 0;
  int not_threadsafe = 0;
  bool done = false;
  Event event;
  const auto host_thread = std::this_thread::get_id();
  start_guest_run(
      [&] {
        for (int i = 0; i < 5; ++i) wait_all_tasks_blocked();
        event.wait();
      },
      {.done_callback = [&](Outcome<void>) { done = true; },
       .run_sync_soon_threadsafe =
           [&](const GuestTick& tick) {
             EXPECT_NE(std::this_thread::get_id(), host_thread);
             host.post([&, tick] {
               ++threadsafe;
               tick();
             });
           },
       .run_sync_soon_not_threadsafe =
           [&](const GuestTick& tick) {
             EXPECT_EQ(std::this_thread::get_id(), host_thread);
             ++not_threadsafe;
             host.post(tick);
           }});
  while (host.busy()) host.turn();
  EXPECT_EQ(threadsafe, 0);
  EXPECT_GE(not_threadsafe, 5);
  event.set();
  while (!done) host.turn();
  EXPECT_EQ(threadsafe, 1);
}

TEST(GuestInThreadTest, HasNoDescriptorToPollAndNoTickToCall) {
  Hosted hosted(Way::kThread);
  hosted.start([] {});
  EXPECT_THROW(hosted.run->pollable_fd(), UsageError);
  EXPECT_THROW(hosted.run->tick(), UsageError);
  hosted.finish();
}

bool readable(const GuestRun& guest, int timeout_ms = 0) {
  pollfd p{guest.pollable_fd(), POLLIN, 0};
  return ::poll(&p, 1, timeout_ms) == 1;
}

// What the host does to the run brings a tick in the host's own queue, and the descriptor stays
// unreadable; what comes from elsewhere makes it readable.
TEST(GuestPolledTest, AHostThatPollsMayTakeTicksOfItsOwnThread) {
  std::deque<GuestTick> ticks;
  int given = 0;
  int wakes = 0;
  bool done = false;
  std::optional<Token> token;
  std::array<Event, 3> events;
  const GuestRun guest = start_guest_run(
      [&] {
        token = current_token();
        for (Event& event : events) {
          event.wait();
          ++wakes;
        }
      },
      {.done_callback = [&](Outcome<void>) { done = true; },
       .run_sync_soon_not_threadsafe =
           [&](const GuestTick& tick) {
             ++given;
             ticks.push_back(tick);
           }});
  const auto give = [&] {
    ASSERT_FALSE(ticks.empty());
    const GuestTick tick = ticks.front();
    ticks.pop_front();
    tick();
  };
  while (readable(guest)) guest.tick();
  while (!ticks.empty()) give();
  given = 0;
  events[0].set();
  EXPECT_EQ(given, 1);
  EXPECT_FALSE(readable(guest));
  give();
  EXPECT_EQ(wakes, 1);
  // A tick of the descriptor's may come first: the other one then does nothing.
  events[1].set();
  guest.tick();
  EXPECT_EQ(wakes, 2);
  while (!ticks.empty()) give();
  // From another thread.
  given = 0;
  std::thread([&] { token->run_sync_soon([&] { events[2].set(); }); }).join();
  EXPECT_EQ(given, 0);
  EXPECT_TRUE(readable(guest, 1000));
  while (!done) readable(guest) ? static_cast<void>(guest.tick()) : give();
  EXPECT_EQ(wakes, 3);
  while (!ticks.empty()) give();  // Of a run that is over.
}

TEST(GuestPolledTest, AHostThatRefusesATickIsWoken) {
  bool done = false;
  Event event;
  const GuestRun guest = start_guest_run(
      [&] { event.wait(); },
      {.done_callback = [&](Outcome<void>) { done = true; },
       .run_sync_soon_not_threadsafe = [](const GuestTick&) { throw std::bad_alloc(); }});
  while (readable(guest)) guest.tick();
  event.set();
  while (!done && readable(guest, 1000)) guest.tick();
  EXPECT_TRUE(done);
}

TEST(GuestPolledTest, ATickThatNobodyAskedForDoesNothing) {
  MockClock clock;
  Event event;
  bool done = false;
  const GuestRun guest = start_guest_run(
      [&] {
        // A cushion that has not passed must not be taken for one that has.
        move_on_after(seconds(1), [] { wait_all_tasks_blocked(hours(1)); });
        event.wait();
      },
      {.done_callback = [&](Outcome<void>) { done = true; }, .run = {.clock = &clock}});
  while (readable(guest)) guest.tick();
  const std::uint64_t looks = current_statistics().ticks;
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(guest.tick());
  EXPECT_EQ(current_statistics().ticks, looks);
  EXPECT_FALSE(readable(guest));
  clock.jump(seconds(1));
  EXPECT_TRUE(readable(guest));
  while (readable(guest)) guest.tick();
  event.set();
  EXPECT_TRUE(readable(guest));
  while (readable(guest)) guest.tick();
  EXPECT_TRUE(done);
  EXPECT_FALSE(guest.tick());
  EXPECT_FALSE(readable(guest));
}

// Time stands still, so that no deadline comes however slow the machine is; alarms go by the
// machine's own time.
struct StandingClock final : Clock {
  Instant current_time() override { return {}; }
  Duration deadline_to_sleep_time(Instant deadline) override { return time_between({}, deadline); }
};

TEST(GuestPolledTest, AnAlarmForADeadlineThatIsNoMoreRingsOnce) {
  constexpr auto kAlarm = milliseconds(20);
  StandingClock clock;
  Event soon;
  Event late;
  bool is_late = false;
  const auto rings_at = std::chrono::steady_clock::now() + kAlarm;  // At the soonest.
  const GuestRun guest = start_guest_run(
      [&] {
        EXPECT_TRUE(move_on_after(kAlarm, [&] { soon.wait(); }));
        is_late = true;
        EXPECT_TRUE(move_on_after(hours(1), [&] { late.wait(); }));
      },
      {.done_callback = [](Outcome<void> outcome) { outcome.unwrap(); }, .run = {.clock = &clock}});
  while (readable(guest)) guest.tick();
  soon.set();
  while (!is_late || readable(guest)) guest.tick();
  const std::uint64_t looks = current_statistics().ticks;
  const bool still_rings = std::chrono::steady_clock::now() < rings_at;
  EXPECT_TRUE(readable(guest, still_rings ? -1 : 0) || !still_rings);
  EXPECT_TRUE(guest.tick());
  EXPECT_EQ(current_statistics().ticks, looks);
  EXPECT_FALSE(readable(guest));
  late.set();
  while (readable(guest)) guest.tick();
  EXPECT_TRUE(guest.done());
}

}  // namespace
}  // namespace weft::fibers
