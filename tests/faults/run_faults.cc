// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include <gtest/gtest.h>

#include <memory>
#include <thread>

#include "tests/faults/faults_testing.h"
#include "tests/fibers/guest_testing.h"
#include "weft/fibers/blocking_portal.h"
#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/timeouts.h"
#include "weft/fibers/token.h"

namespace weft::fibers::testing {
namespace {

using std::chrono::seconds;

FAULT_TEST(RunFaults, AnEmptyRun) {
  checkpoint();
}

FAULT_TEST(RunFaults, TasksInNurseries) {
  int done = 0;
  open_nursery([&](Nursery& nursery) {
    for (int i = 0; i < 3; ++i) {
      nursery.start_soon([&] {
        sleep(seconds(1));
        ++done;
      });
    }
    const int value = nursery.start<int>([&](TaskStatus<int>& status) {
      status.started(7);
      checkpoint();
    });
    EXPECT_EQ(value, 7);
  });
  EXPECT_EQ(done, 3);
}

FAULT_TEST(RunFaults, CancellationReachesEverybody) {
  int cancelled = 0;
  const bool finished = move_on_after(seconds(1), [&] {
    open_nursery([&](Nursery& nursery) {
      for (int i = 0; i < 3; ++i) {
        nursery.start_soon([&] {
          struct Count {
            int& of;
            ~Count() { ++of; }
          } const count{cancelled};
          sleep_forever();
        });
      }
    });
  });
  EXPECT_FALSE(finished);
  EXPECT_EQ(cancelled, 3);
}

FAULT_TEST(RunFaults, ErrorsOfTasks) {
  try {
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon([] { throw std::runtime_error("one"); });
      nursery.start_soon([] { throw std::runtime_error("two"); });
      nursery.start_soon([] { sleep_forever(); });
    });
  } catch (const BaseExceptionGroup& group) {
    const auto rest = group.split(
        [](const std::exception_ptr& error) { return holds<std::runtime_error>(error); });
    if (rest.second != nullptr) std::rethrow_exception(rest.second);
  }
}

FAULT_TEST(RunFaults, SystemTasks) {
  spawn_system_task([] { sleep_forever(); }, {.name = "idle"});
  sleep(seconds(1));
}

FAULT_TEST(RunFaults, StacksOfManySizes) {
  open_nursery([&](Nursery& nursery) {
    for (const std::size_t size : {32 * 1024, 64 * 1024, 512 * 1024, 64 * 1024}) {
      nursery.start_soon([] { checkpoint(); }, {.stack_size = size});
    }
  });
}

FAULT_TEST(RunFaults, OtherThreadsCallIn) {
  int calls = 0;
  const Token token = current_token();
  Task* const task = &current_task();
  struct Caller {
    std::thread thread;
    ~Caller() { thread.join(); }
  };
  const Caller caller{std::thread([&] {
    for (int i = 0; i < 3;) {
      try {
        token.run_sync_soon([&] {
          if (++calls == 3) reschedule(*task);
        });
        ++i;
      } catch (const std::bad_alloc&) {
        continue;  // The one that a fault has cost.
      }
    }
  })};
  wait_task_rescheduled([](const RaiseCancel&) { return Abort::kFailed; }, {"calls"});
  EXPECT_EQ(calls, 3);
}

// Not of allocations: the host's would fail as well, and it is no part of weft.
void guest_takes_each_fault(Way way) {
  expect_no_fault_harms(
      [way] {
        Hosted hosted(way);
        hosted.start([] {
          open_nursery([&](Nursery& nursery) {
            nursery.start_soon([] { sleep(std::chrono::milliseconds(1)); });
            nursery.start_soon([] { checkpoint(); });
          });
        });
        hosted.finish();
      },
      {.allocations = false, .in_run = false});
}

TEST(GuestFaults, InThread) {
  guest_takes_each_fault(Way::kThread);
}
TEST(GuestFaults, Polled) {
  guest_takes_each_fault(Way::kPolled);
}

TEST(RunFaults, ABlockingPortal) {
  expect_no_fault_harms(
      [] {
        start_blocking_portal(
            [](BlockingPortal& portal) { EXPECT_EQ(portal.call([] { return 7; }), 7); });
      },
      {.in_run = false});
}

}  // namespace
}  // namespace weft::fibers::testing
