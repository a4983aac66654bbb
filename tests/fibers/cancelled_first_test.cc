// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Cancelled first: tasks, locks and channels.

#include "tests/support/cancelled_first.h"

#include <gtest/gtest.h>

#include <csignal>
#include <optional>
#include <stdexcept>

#include "weft/fibers/as_safe_channel.h"
#include "weft/fibers/async_resource.h"
#include "weft/fibers/broadcast_channel.h"
#include "weft/fibers/capacity_limiter.h"
#include "weft/fibers/condition.h"
#include "weft/fibers/conflict_detector.h"
#include "weft/fibers/event.h"
#include "weft/fibers/graceful_scope.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/memory_channel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/parking_lot.h"
#include "weft/fibers/semaphore.h"
#include "weft/fibers/service_nursery.h"
#include "weft/fibers/signals.h"
#include "weft/fibers/strict_fifo_lock.h"
#include "weft/fibers/task_handle.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/sequencer.h"
#include "weft/fibers/testing/threads.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/fibers/thread_event.h"
#include "weft/fibers/timeouts.h"
#include "weft/fibers/to_thread.h"

namespace weft::fibers {
namespace {

using test::cancelled_first;
using test::says_cancelled;

FIBER_TEST(CancelledFirstTest, AWaitForNothingElse) {
  says_cancelled("fibers/lowlevel.h checkpoint", [] { checkpoint(); });
  says_cancelled("fibers/lowlevel.h wait_task_rescheduled", [] {
    wait_task_rescheduled([](const RaiseCancel&) { return Abort::kSucceeded; });
  });
  says_cancelled("fibers/timeouts.h sleep_forever", [] { sleep_forever(); });
  cancelled_first("fibers/timeouts.h sleep", [] { sleep(seconds(-1)); });
  says_cancelled("fibers/timeouts.h sleep_until", [] { sleep_until(current_time()); });
  says_cancelled("fibers/graceful_scope.h wait_stopping", [] { wait_stopping(); });
  says_cancelled("fibers/testing/threads.h wait_all_threads_completed",
                 [] { testing::wait_all_threads_completed(); });
  says_cancelled("fibers/testing/wait_all_tasks_blocked.h wait_all_tasks_blocked",
                 [] { testing::wait_all_tasks_blocked(); });
}

FIBER_TEST(CancelledFirstTest, WhatIsSetAlready) {
  Event event;
  event.set();
  says_cancelled("fibers/event.h wait", [&] { event.wait(); });
  ThreadEvent thread_event;
  thread_event.set();
  says_cancelled("fibers/thread_event.h wait", [&] { thread_event.wait(); });
  says_cancelled("fibers/thread_event.h wait_for",
                 [&] { thread_event.wait_for(std::chrono::seconds(1)); });
}

FIBER_TEST(CancelledFirstTest, ALockThatThisTaskHolds) {
  Lock lock;
  lock.acquire();
  cancelled_first("fibers/lock.h acquire", [&] { lock.acquire(); });
  cancelled_first("fibers/lock.h Guard", [&] { const LockGuard guard(lock); });
  lock.release();
  StrictFIFOLock strict;
  strict.acquire();
  cancelled_first("fibers/lock.h acquire", [&] { strict.acquire(); });
  strict.release();
  CapacityLimiter limiter(2);
  limiter.acquire();
  cancelled_first("fibers/capacity_limiter.h acquire", [&] { limiter.acquire(); });
  cancelled_first("fibers/capacity_limiter.h acquire_on_behalf_of",
                  [&] { limiter.acquire_on_behalf_of(&current_task()); });
  limiter.release();
  Semaphore semaphore(1);
  says_cancelled("fibers/semaphore.h acquire", [&] { semaphore.acquire(); });
  EXPECT_EQ(semaphore.value(), 1U);
}

FIBER_TEST(CancelledFirstTest, ALockWhoseOwnerHasEnded) {
  Lock lock;
  open_nursery([&](Nursery& nursery) { nursery.start_soon([&] { lock.acquire(); }); });
  cancelled_first("fibers/lock.h acquire", [&] { lock.acquire(); });
}

FIBER_TEST(CancelledFirstTest, AConditionWithoutItsLock) {
  Condition condition;
  cancelled_first("fibers/condition.h wait", [&] { condition.wait(); });
  condition.acquire();
  cancelled_first("fibers/condition.h acquire", [&] { condition.acquire(); });
  condition.release();
}

FIBER_TEST(CancelledFirstTest, ABrokenLot) {
  ParkingLot lot;
  lot.break_lot();
  cancelled_first("fibers/parking_lot.h park", [&] { lot.park(); });
}

FIBER_TEST(CancelledFirstTest, ASequenceThatIsBroken) {
  testing::Sequencer sequencer;
  sequencer.seq(0, [] {});
  cancelled_first("fibers/testing/sequencer.h seq", [&] { sequencer.seq(0, [] {}); });
}

FIBER_TEST(CancelledFirstTest, AResourceThatAnotherUses) {
  ConflictDetector detector("in use");
  const ConflictDetector::Use mine(detector);
  cancelled_first("fibers/conflict_detector.h Use",
                  [&] { const ConflictDetector::Use second(detector); });
}

FIBER_TEST(CancelledFirstTest, AClosedMemoryChannel) {
  auto [send, receive] = open_memory_channel<int>(1);
  send.close();
  receive.close();
  cancelled_first("fibers/memory_channel.h send", [&, &send = send] { send.send(1); });
  cancelled_first("fibers/memory_channel.h receive",
                  [&, &receive = receive] { receive.receive(); });
  cancelled_first("fibers/memory_channel.h next", [&, &receive = receive] { receive.next(); });
  says_cancelled("fibers/async_resource.h aclose", [&, &send = send] { send.aclose(); });
  ReceiveChannel<int>& any = receive;
  cancelled_first("fibers/channel.h receive", [&] { any.receive(); });
  cancelled_first("fibers/channel.h next", [&] { any.next(); });
}

FIBER_TEST(CancelledFirstTest, AnEndedMemoryChannel) {
  auto [send, receive] = open_memory_channel<int>(1);
  {
    auto [other_send, other_receive] = open_memory_channel<int>(1);
    other_receive.close();
    cancelled_first("fibers/memory_channel.h send", [&, &send = other_send] { send.send(1); });
  }
  send.close();
  cancelled_first("fibers/memory_channel.h receive",
                  [&, &receive = receive] { receive.receive(); });
}

FIBER_TEST(CancelledFirstTest, AClosedBroadcastChannel) {
  auto [send, receive] = open_broadcast_channel<int>(1);
  send.close();
  receive.close();
  cancelled_first("fibers/broadcast_channel.h send", [&, &send = send] { send.send(1); });
  cancelled_first("fibers/broadcast_channel.h receive",
                  [&, &receive = receive] { receive.receive(); });
  cancelled_first("fibers/broadcast_channel.h next", [&, &receive = receive] { receive.next(); });
  says_cancelled("fibers/broadcast_channel.h aclose",
                 [&, &receive = receive] { receive.aclose(); });
}

FIBER_TEST(CancelledFirstTest, AClosedSafeChannel) {
  as_safe_channel<int>([](SafeSendChannel<int>& out) { out.send(1); },
                       [](SafeReceiveChannel<int>& items) {
                         items.close();
                         cancelled_first("fibers/as_safe_channel.h receive",
                                         [&] { items.receive(); });
                         cancelled_first("fibers/as_safe_channel.h next", [&] { items.next(); });
                         says_cancelled("fibers/as_safe_channel.h aclose", [&] { items.aclose(); });
                       });
}

FIBER_TEST(CancelledFirstTest, AnItemThatIsWanted) {
  as_safe_channel<int>(
      [](SafeSendChannel<int>& out) {
        says_cancelled("fibers/as_safe_channel.h send", [&] { out.send(1); });
      },
      [](SafeReceiveChannel<int>& items) { EXPECT_EQ(items.next(), std::nullopt); });
}

FIBER_TEST(CancelledFirstTest, ATaskThatHasFailed) {
  open_nursery([&](Nursery& nursery) {
    const auto failed =
        create_task(nursery, [] { throw std::runtime_error("no"); }, {.keep_error = true});
    failed.wait();
    says_cancelled("fibers/task_handle.h wait", [&] { failed.wait(); });
    cancelled_first("fibers/task_handle.h get", [&] { failed.get(); });
  });
}

FIBER_TEST(CancelledFirstTest, ATaskThatDoesNotStart) {
  open_service_nursery([](ServiceNursery& nursery) {
    cancelled_first("fibers/service_nursery.h start", [&] { nursery.start([](auto&) {}); });
  });
  open_nursery([](Nursery& nursery) {
    cancelled_first("fibers/nursery.h start", [&] { nursery.start([](TaskStatus<void>&) {}); });
  });
}

FIBER_TEST(CancelledFirstTest, SignalsThatAnotherReceives) {
  SignalReceiver receiver({SIGUSR1});
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { receiver.receive(); });
    testing::wait_all_tasks_blocked();
    cancelled_first("fibers/signals.h receive", [&] { receiver.receive(); });
    cancelled_first("fibers/signals.h next", [&] { receiver.next(); });
    nursery.cancel_scope().cancel();
  });
}

FIBER_TEST(CancelledFirstTest, ACallInAThreadThatFails) {
  cancelled_first("fibers/to_thread.h run_sync",
                  [] { to_thread::run_sync([] { throw std::runtime_error("no"); }); });
}

struct Closing final : AsyncResource {
  void aclose() override { checkpoint(); }
};

FIBER_TEST(CancelledFirstTest, AResourceThatIsClosed) {
  says_cancelled("fibers/async_resource.h aclosing", [] { aclosing(Closing(), [](Closing&) {}); });
}

}  // namespace
}  // namespace weft::fibers
