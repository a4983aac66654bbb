// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/run_ref.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <any>
#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/support/parked_backtraces.h"
#include "weft/fibers/context_var.h"
#include "weft/fibers/detail/outside_task.h"
#include "weft/fibers/detail/sanitizers.h"
#include "weft/fibers/event.h"
#include "weft/fibers/fd_watch.h"
#include "weft/fibers/greenlet.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/run.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/mock_clock.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

using namespace std::chrono_literals;  // NOLINT: for the tests only.
using ::testing::ElementsAre;

// A run in a greenlet, which stands still between two orders.
class SuspendedRun {
 public:
  using Order = std::function<void(Nursery&)>;

  SuspendedRun()
      : greenlet_([this] {
          run([this] { open_nursery([this](Nursery& nursery) { serve(nursery); }); },
              {.clock = &clock_, .in_order = true});
        }) {
    greenlet_.switch_to();
  }
  SuspendedRun(const SuspendedRun&) = delete;
  SuspendedRun& operator=(const SuspendedRun&) = delete;
  ~SuspendedRun() { order({}); }
  void order(const Order& order) { greenlet_.switch_to(order); }
  RunRef ref() const { return *ref_; }

 private:
  void serve(Nursery& nursery) {
    ref_ = current_run();
    for (;;) {
      const Order order = std::any_cast<Order>(getcurrent().parent().switch_to());
      if (!order) return;
      order(nursery);
    }
  }

  testing::MockClock clock_{0, 0s};
  std::optional<RunRef> ref_;
  Greenlet greenlet_;
};

TEST(RunRefTest, TheCallIsInTheRunAndInNoTask) {
  SuspendedRun suspended;
  EXPECT_FALSE(in_trio_run());
  suspended.ref().call([] {
    EXPECT_TRUE(in_trio_run());
    EXPECT_FALSE(in_trio_task());
  });
  EXPECT_FALSE(in_trio_run());
}

TEST(RunRefTest, AWaitInItIsRefused) {
  SuspendedRun suspended;
  EXPECT_THROW(suspended.ref().call([] { sleep(1s); }), UsageError);
  suspended.order([](Nursery&) { sleep(1s); });
}

TEST(RunRefTest, GivesTheTimeOfThatRun) {
  SuspendedRun suspended;
  const Instant before = suspended.ref().call([] { return current_time(); });
  suspended.order([](Nursery&) { sleep(5s); });
  EXPECT_EQ(suspended.ref().call([] { return current_time(); }) - before, 5s);
}

TEST(RunRefTest, ATaskStartedFromOutsideRunsWhenTheRunGoesOn) {
  SuspendedRun suspended;
  std::vector<std::string> order;
  Nursery* inside = nullptr;
  suspended.order([&](Nursery& nursery) { inside = &nursery; });
  suspended.ref().call([&] { inside->start_soon([&] { order.emplace_back("task"); }); });
  order.emplace_back("outside");
  suspended.order([](Nursery&) { checkpoint(); });
  EXPECT_THAT(order, ElementsAre("outside", "task"));
}

TEST(RunRefTest, AScopeMayBeCancelledAndAnEventSet) {
  SuspendedRun suspended;
  Event event;
  CancelScope scope;
  std::vector<std::string> ended;
  suspended.order([&](Nursery& nursery) {
    nursery.start_soon([&] {
      event.wait();
      ended.emplace_back("event");
    });
    nursery.start_soon([&] {
      scope.run([] { sleep_forever(); });
      ended.emplace_back("scope");
    });
    checkpoint();
  });
  suspended.ref().call([&] {
    event.set();
    scope.cancel();
  });
  EXPECT_TRUE(ended.empty());
  suspended.order([](Nursery&) { checkpoint(); });
  EXPECT_THAT(ended, ::testing::UnorderedElementsAre("event", "scope"));
}

TEST(RunRefTest, AWatchIsArmedInThatRun) {
  SuspendedRun suspended;
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  int calls = 0;
  FdWatch watch;
  suspended.ref().call([&] {
    watch.arm(
        ends[0], FdDirection::kRead, [](void* count) { ++*static_cast<int*>(count); }, &calls);
  });
  ASSERT_EQ(::write(ends[1], "x", 1), 1);
  suspended.order([](Nursery&) { checkpoint(); });
  EXPECT_GT(calls, 0);
  watch.disarm();
  ::close(ends[0]);
  ::close(ends[1]);
}

// Also without a call: rescheduling asks for the thread, not for the run.
TEST(RunRefTest, ATaskOfASuspendedRunMayBeRescheduled) {
  SuspendedRun suspended;
  Task* parked = nullptr;
  bool resumed = false;
  suspended.order([&](Nursery& nursery) {
    nursery.start_soon([&] {
      parked = &current_task();
      wait_task_rescheduled([](const RaiseCancel&) { return Abort::kFailed; });
      resumed = true;
    });
    checkpoint();
  });
  reschedule(*parked);
  suspended.order([](Nursery&) { checkpoint(); });
  EXPECT_TRUE(resumed);
}

TEST(RunRefTest, ContextVariablesAreThoseOfTheCaller) {
  static ContextVar<std::string> name{"name"};
  SuspendedRun suspended;
  suspended.order([](Nursery&) { name.set("inside"); });
  Greenlet outside([&] {
    name.set("outside");
    suspended.ref().call([] {
      EXPECT_EQ(name.get(), "outside");
      name.set("changed");
    });
    EXPECT_EQ(name.get(), "changed");
  });
  outside.switch_to();
  suspended.order([](Nursery&) { EXPECT_EQ(name.get(), "inside"); });
}

TEST(RunRefTest, InItsOwnRunItIsAPlainCall) {
  run([] {
    const RunRef me = current_run();
    me.call([] { EXPECT_TRUE(in_trio_task()); });
    EXPECT_EQ(me, current_run());
  });
}

TEST(RunRefTest, OneRunMayWorkOnAnother) {
  SuspendedRun suspended;
  Event event;
  bool woken = false;
  suspended.order([&](Nursery& nursery) {
    nursery.start_soon([&] {
      event.wait();
      woken = true;
    });
    checkpoint();
  });
  run([&] {
    suspended.ref().call([&] { event.set(); });
    EXPECT_TRUE(in_trio_task());
    checkpoint();
  });
  suspended.order([](Nursery&) { checkpoint(); });
  EXPECT_TRUE(woken);
}

TEST(RunRefTest, WhatTheCallThrowsComesOut) {
  SuspendedRun suspended;
  EXPECT_THROW(suspended.ref().call([] { throw std::runtime_error("no"); }), std::runtime_error);
  EXPECT_FALSE(in_trio_run());
}

TEST(RunRefTest, OutsideARunThereIsNone) {
  EXPECT_THROW(current_run(), UsageError);
}

// --- Calls outside the task: see detail/outside_task.h. ---

// Where a local lies that is declared here.
[[gnu::noinline]] std::uintptr_t place() {
  return reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
}

bool calls_on_other_stack() {
#if defined(WEFT_ASAN) || defined(WEFT_TSAN)
  return false;
#else
  return test::parked_backtraces_work();
#endif
}

FIBER_TEST(OutsideTaskTest, TheCallIsInTheRunButInNoTask) {
  ContextVar<int> var("var");
  var.set(7);
  bool called = false;
  auto call = [&] {
    EXPECT_FALSE(in_trio_task());
    EXPECT_TRUE(in_trio_run());
    EXPECT_THROW(sleep(1s), UsageError);
    EXPECT_EQ(var.get(), 7);
    called = true;
  };
  detail::call_outside_task(call);
  EXPECT_TRUE(called);
  EXPECT_TRUE(in_trio_task());
}

FIBER_TEST(OutsideTaskTest, ItMayMakeTasksReady) {
  Event event;
  bool woken = false;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      event.wait();
      woken = true;
    });
    checkpoint();
    auto call = [&] { event.set(); };
    detail::call_outside_task(call);
    EXPECT_FALSE(woken);
  });
  EXPECT_TRUE(woken);
}

FIBER_TEST(OutsideTaskTest, WhatItThrowsComesOut) {
  auto call = [] { throw std::out_of_range("inside"); };
  std::string text;
  try {
    throw std::runtime_error("before");
  } catch (...) {
    try {
      detail::call_outside_task(call);
    } catch (const std::out_of_range& e) {
      text = e.what();
    }
    EXPECT_EQ(text, "inside");
    EXPECT_TRUE(in_trio_task());
    EXPECT_THROW(throw, std::runtime_error);
  }
  EXPECT_EQ(std::uncaught_exceptions(), 0);
}

// The task's stack has not that much room.
FIBER_TEST(OutsideTaskTest, ItHasTheRoomOfTheSchedulersStack) {
  if (!calls_on_other_stack()) GTEST_SKIP() << "this build calls on the task's own stack";
  constexpr std::size_t kStack = 32 << 10;
  int sum = 0;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon(
        [&] {
          const std::uintptr_t here = place();
          auto call = [&] {
            std::array<volatile unsigned char, 4 * kStack> much{};
            for (auto& each : much) each = 1;
            for (const auto& each : much) sum += each;
            const std::uintptr_t there = place();
            EXPECT_GT(there > here ? there - here : here - there, kStack);
          };
          detail::call_outside_task(call);
          sleep(1s);
          detail::call_outside_task(call);
        },
        {.stack_size = kStack});
  });
  EXPECT_EQ(sum, static_cast<int>(2 * 4 * kStack));
}

TEST(OutsideTaskOfNoRunTest, ItIsJustCalled) {
  int calls = 0;
  auto call = [&] { ++calls; };
  detail::call_outside_task(call);
  EXPECT_EQ(calls, 1);
}

}  // namespace
}  // namespace weft::fibers
