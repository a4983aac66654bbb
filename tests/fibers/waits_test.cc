// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <sstream>
#include <string>

#include "weft/fibers/capacity_limiter.h"
#include "weft/fibers/condition.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/event.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/inspect.h"
#include "weft/fibers/lock.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/memory_channel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/parking_lot.h"
#include "weft/fibers/parking_lot_breaker.h"
#include "weft/fibers/semaphore.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using testing::wait_all_tasks_blocked;

constexpr const char* kUnknown = "; no task is known that would end this";

// Without the numbers, which depend on what ran before; only the line that begins with `name`.
std::string line_of(const std::string& name, const std::string& text) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::string plain;
    for (std::size_t i = 0; i < line.size(); ++i) {
      if (line.compare(i, 2, " #") == 0) {
        i += 2;
        while (i < line.size() && line[i] >= '0' && line[i] <= '9') ++i;
        --i;
      } else {
        plain += line[i];
      }
    }
    if (plain.starts_with("  " + name + " ") || plain.starts_with("  " + name + ":")) {
      return plain.substr(2);
    }
  }
  return "no line of " + name + " in:\n" + text;
}

// What the report says of a task that runs `wait`.
std::string waiting(const std::function<void()>& wait) {
  std::string text;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon(wait, {.name = "waiter"});
    wait_all_tasks_blocked();
    text = line_of("waiter", dump_waits());
    nursery.cancel_scope().cancel();
  });
  return text;
}

// Another one, which has done `first` and then sleeps on.
struct Holder {
  Holder(Nursery& nursery, std::function<void()> first) {
    nursery.start_soon(
        [first = std::move(first)] {
          first();
          sleep_forever();
        },
        {.name = "holder"});
    wait_all_tasks_blocked();
  }
};

FIBER_TEST(WaitsTest, ALocksWaiterNamesItsOwner) {
  Lock lock;
  open_nursery([&](Nursery& nursery) {
    const Holder holder(nursery, [&] { lock.acquire(); });
    EXPECT_EQ(waiting([&] { lock.acquire(); }), "waiter waits for Lock.acquire, held by holder");
    nursery.cancel_scope().cancel();
  });
}

FIBER_TEST(WaitsTest, ALimitersWaiterNamesWhoHasItsTokens) {
  CapacityLimiter limiter(2);
  const int nobody = 0;
  open_nursery([&](Nursery& nursery) {
    const Holder holder(nursery, [&] { limiter.acquire(); });
    limiter.acquire_on_behalf_of(&nobody);
    EXPECT_EQ(waiting([&] { limiter.acquire(); }),
              "waiter waits for CapacityLimiter.acquire, held by holder and others");
    nursery.cancel_scope().cancel();
  });
}

FIBER_TEST(WaitsTest, AParkingLotsWaiterNamesItsBreakers) {
  ParkingLot lot;
  open_nursery([&](Nursery& nursery) {
    const Holder holder(nursery, [&] { add_parking_lot_breaker(current_task(), lot); });
    EXPECT_EQ(waiting([&] { lot.park(); }), "waiter waits for ParkingLot.park, held by holder");
    nursery.cancel_scope().cancel();
  });
}

FIBER_TEST(WaitsTest, ANurserysEndNamesItsTasks) {
  std::string text;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon(
        [] {
          open_nursery([](Nursery& inner) {
            for (int i = 0; i < 10; ++i) inner.start_soon([] { sleep_forever(); }, {.name = "c"});
          });
        },
        {.name = "parent"});
    wait_all_tasks_blocked();
    text = dump_waits();
    nursery.cancel_scope().cancel();
  });
  EXPECT_EQ(line_of("parent", text),
            "parent waits for tasks of a nursery: c, c, c, c, c, c, c, c and 2 more");
}

FIBER_TEST(WaitsTest, OfOtherWaitsNobodyIsKnownToEndThem) {
  Event event;
  Semaphore semaphore(0);
  Condition condition;
  ParkingLot lot;
  auto [send, receive] = open_memory_channel<int>(0);
  const auto unknown = [](const std::string& what) {
    return "waiter waits for " + what + kUnknown;
  };
  EXPECT_EQ(waiting([&] { event.wait(); }), unknown("Event.wait"));
  EXPECT_EQ(waiting([&] { semaphore.acquire(); }), unknown("Semaphore.acquire"));
  EXPECT_EQ(waiting([&] {
              const LockGuard guard(condition.lock());
              condition.wait();
            }),
            unknown("Condition.wait"));
  EXPECT_EQ(waiting([&] { lot.park(); }), unknown("ParkingLot.park"));
  EXPECT_EQ(waiting([&] { send.send(1); }), unknown("MemorySendChannel.send"));
  EXPECT_EQ(waiting([&] { receive.receive(); }), unknown("MemoryReceiveChannel.receive"));
  EXPECT_EQ(waiting([] { sleep_forever(); }), unknown("sleep_forever"));
  EXPECT_EQ(
      waiting([] { wait_task_rescheduled([](const RaiseCancel&) { return Abort::kSucceeded; }); }),
      unknown("wait_task_rescheduled"));
}

FIBER_TEST(WaitsTest, ADeadlineIsMentioned) {
  EXPECT_EQ(waiting([] { sleep(seconds(3)); }), "waiter waits for sleep, until a deadline");
  Lock lock;
  open_nursery([&](Nursery& nursery) {
    const Holder holder(nursery, [&] { lock.acquire(); });
    EXPECT_EQ(waiting([&] { move_on_after(seconds(1), [&] { lock.acquire(); }); }),
              "waiter waits for Lock.acquire, held by holder; until a deadline");
    nursery.cancel_scope().cancel();
  });
}

FIBER_TEST(WaitsTest, WhoWasNotifiedWaitsForTheLock) {
  Condition condition;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon(
        [&] {
          const LockGuard guard(condition.lock());
          condition.wait();
        },
        {.name = "waiter"});
    wait_all_tasks_blocked();
    const LockGuard guard(condition.lock());
    condition.notify();
    EXPECT_EQ(line_of("waiter", dump_waits()), "waiter waits for Lock.acquire, held by main");
  });
}

FIBER_TEST(WaitsTest, TwoLocksInOppositeOrdersAreACycle) {
  Lock a, b;
  std::string text;
  open_nursery([&](Nursery& nursery) {
    const auto take = [&](Lock& first, Lock& second) {
      const LockGuard one(first);
      sleep(seconds(1));
      const LockGuard two(second);
    };
    nursery.start_soon([&, take] { take(a, b); }, {.name = "ab"});
    nursery.start_soon([&, take] { take(b, a); }, {.name = "ba"});
    sleep(seconds(2));
    text = dump_waits();
    nursery.cancel_scope().cancel();
  });
  EXPECT_EQ(line_of("ab", text), "ab waits for Lock.acquire, held by ba");
  EXPECT_THAT(line_of("a cycle", text),
              ::testing::AnyOf("a cycle: ab -> ba -> ab", "a cycle: ba -> ab -> ba"));
}

FIBER_TEST(WaitsTest, ATaskThatNeedsWhatItsNurserysParentHoldsIsACycle) {
  Lock lock;
  std::string text;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon(
        [&] {
          const LockGuard guard(lock);
          open_nursery([&](Nursery& inner) {
            inner.start_soon([&] { const LockGuard again(lock); }, {.name = "child"});
            inner.start_soon([] { sleep_forever(); }, {.name = "sleeper"});
          });
        },
        {.name = "parent"});
    wait_all_tasks_blocked();
    text = dump_waits();
    nursery.cancel_scope().cancel();
  });
  EXPECT_THAT(line_of("a cycle", text), ::testing::AnyOf("a cycle: child -> parent -> child",
                                                         "a cycle: parent -> child -> parent"));
}

// Of several who could let it go one is enough.
FIBER_TEST(WaitsTest, ALimiterIsInACycleOnlyIfAllItsBorrowersAre) {
  Lock lock;
  CapacityLimiter limiter(2);
  Event go_on;
  const auto stuck = [&](Nursery& nursery) {
    nursery.start_soon(
        [&] {
          const Guard token(limiter);
          go_on.wait();
          const LockGuard guard(lock);
        },
        {.name = "borrower"});
  };
  std::string one, both;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon(
        [&] {
          const LockGuard guard(lock);
          sleep(seconds(1));
          limiter.acquire();
        },
        {.name = "owner"});
    nursery.start_soon(
        [&] {
          const Guard token(limiter);
          sleep(seconds(5));
          const LockGuard guard(lock);
        },
        {.name = "late"});
    stuck(nursery);
    sleep(seconds(2));
    go_on.set();
    sleep(seconds(1));
    one = dump_waits();
    sleep(seconds(3));
    both = dump_waits();
    nursery.cancel_scope().cancel();
  });
  EXPECT_THAT(one, Not(HasSubstr("a cycle"))) << one;
  EXPECT_THAT(both, HasSubstr("a cycle")) << both;
}

TEST(WaitsTest, ADeadlockErrorSaysWhoWaitsForWhom) {
  testing::MockClock clock(0.0, Duration::zero());
  Lock lock;
  try {
    run(
        [&] {
          const LockGuard guard(lock);
          open_nursery([&](Nursery& nursery) {
            nursery.start_soon([&] { const LockGuard again(lock); }, {.name = "child"});
          });
        },
        {.clock = &clock});
    ADD_FAILURE() << "no deadlock";
  } catch (const BaseExceptionGroup& group) {
    const std::string text = describe_exception(group.exceptions().front());
    EXPECT_EQ(line_of("child", text), "child waits for Lock.acquire, held by main");
    EXPECT_THAT(text, HasSubstr("a cycle: "));
    EXPECT_THAT(text, HasSubstr("└─ main"));
  }
}

TEST(WaitsTest, NeedsARun) {
  EXPECT_THROW(dump_waits(), UsageError);
}

}  // namespace
}  // namespace weft::fibers
