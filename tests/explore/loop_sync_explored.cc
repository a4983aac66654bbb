// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The locks and the like of weft::loop, between tasks of the loop, whose order is its own, and
// tasks of fibers, whose order is any.

#include <chrono>
#include <cstddef>
#include <optional>

#include "tests/loop/loop_testing.h"
#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/timeouts.h"
#include "weft/loop/barrier.h"
#include "weft/loop/condition.h"
#include "weft/loop/event.h"
#include "weft/loop/event_loop.h"
#include "weft/loop/lock.h"
#include "weft/loop/queue.h"
#include "weft/loop/semaphore.h"
#include "weft/loop/task.h"

namespace weft::loop {
namespace {

using fibers::checkpoint;
using fibers::Nursery;
using testing::with_loop;
using namespace std::chrono_literals;  // NOLINT: for the tests only.

// --- Lock, Semaphore, BoundedSemaphore: what has a scoped(). ---

// A task of the loop and two of fibers, one of which is cancelled if `leaves` says so.
template <class L>
void take_turns(EventLoop& loop, L& lock, fibers::CancelScope* leaves, int expected) {
  int inside = 0;
  int turns = 0;
  auto coro = loop.create_task([&]() -> Coro<void> {
    const auto guard = co_await lock.scoped();
    EXPECT_EQ(++inside, 1);
    co_await sleep(fibers::Duration(0));
    --inside;
    ++turns;
  });
  const auto turn = [&] {
    const auto guard = await(lock.scoped());
    EXPECT_EQ(++inside, 1);
    --inside;
    ++turns;
  };
  fibers::open_nursery([&](Nursery& nursery) {
    nursery.start_soon(turn);
    nursery.start_soon([&] { leaves == nullptr ? turn() : static_cast<void>(leaves->run(turn)); });
    if (leaves != nullptr) nursery.start_soon([&] { leaves->cancel(); });
  });
  await(coro);
  EXPECT_GE(turns, expected);
  EXPECT_FALSE(lock.locked());
}

template <class L>
void lets_one_in_at_a_time() {
  with_loop([](EventLoop& loop) {
    L lock(loop);
    take_turns(loop, lock, nullptr, 3);
  });
}

template <class L>
void is_not_lost_to_a_cancelled_task() {
  with_loop([](EventLoop& loop) {
    L lock(loop);
    fibers::CancelScope leaves;
    take_turns(loop, lock, &leaves, 2);
  });
}

// A task of the loop is cancelled when it waits, when it has been woken, or later.
template <class L>
void is_not_lost_to_a_cancelled_task_of_the_loop() {
  with_loop([](EventLoop& loop) {
    L lock(loop);
    std::optional guard = await(lock.scoped());
    const auto take = [&]() -> Coro<void> { const auto mine = co_await lock.scoped(); };
    auto waits = loop.create_task(take);
    auto next = loop.create_task(take);
    fibers::open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] { guard.reset(); });
      nursery.start_soon([&] {
        checkpoint();
        waits.cancel();
      });
    });
    await(next);
    wait(waits);
    EXPECT_FALSE(lock.locked());
  });
}

// explores: loop.Lock
EXPLORE_TEST(LoopLockExplored, LetsOneInAtATime) {
  lets_one_in_at_a_time<Lock>();
}
// explores: loop.Lock
EXPLORE_TEST(LoopLockExplored, IsNotLostToACancelledTask) {
  is_not_lost_to_a_cancelled_task<Lock>();
}
// explores: loop.Lock
EXPLORE_TEST(LoopLockExplored, IsNotLostToACancelledTaskOfTheLoop) {
  is_not_lost_to_a_cancelled_task_of_the_loop<Lock>();
}
// explores: loop.Semaphore
EXPLORE_TEST(LoopSemaphoreExplored, LetsOneInAtATime) {
  lets_one_in_at_a_time<Semaphore>();
}
// explores: loop.Semaphore
EXPLORE_TEST(LoopSemaphoreExplored, IsNotLostToACancelledTask) {
  is_not_lost_to_a_cancelled_task<Semaphore>();
}
// explores: loop.Semaphore
EXPLORE_TEST(LoopSemaphoreExplored, IsNotLostToACancelledTaskOfTheLoop) {
  is_not_lost_to_a_cancelled_task_of_the_loop<Semaphore>();
}
// explores: loop.BoundedSemaphore
EXPLORE_TEST(LoopBoundedSemaphoreExplored, LetsOneInAtATime) {
  lets_one_in_at_a_time<BoundedSemaphore>();
}
// explores: loop.BoundedSemaphore
EXPLORE_TEST(LoopBoundedSemaphoreExplored, IsNotLostToACancelledTask) {
  is_not_lost_to_a_cancelled_task<BoundedSemaphore>();
}
// explores: loop.BoundedSemaphore
EXPLORE_TEST(LoopBoundedSemaphoreExplored, IsNotLostToACancelledTaskOfTheLoop) {
  is_not_lost_to_a_cancelled_task_of_the_loop<BoundedSemaphore>();
}

// --- Event. ---

// explores: loop.Event
EXPLORE_TEST(LoopEventExplored, NobodyWhoWaitsIsForgotten) {
  with_loop([](EventLoop& loop) {
    Event event(loop);
    auto coro = loop.create_task([&event] { return event.wait(); });
    fibers::open_nursery([&](Nursery& nursery) {
      for (int i = 0; i < 2; ++i) nursery.start_soon([&] { await(event.wait()); });
      nursery.start_soon([&] { event.set(); });
    });
    await(coro);
  });
}

// explores: loop.Event
EXPLORE_TEST(LoopEventExplored, WhoIsWokenReturnsAlsoIfItIsClearedThen) {
  with_loop([](EventLoop& loop) {
    Event event(loop);
    auto coro = loop.create_task([&event] { return event.wait(); });
    loop.synchronize();
    fibers::open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] {
        event.set();
        event.clear();
      });
      nursery.start_soon([&] { checkpoint(); });
    });
    await(coro);
    EXPECT_FALSE(event.is_set());
  });
}

// explores: loop.Event
EXPLORE_TEST(LoopEventExplored, ACancelledWaitDisturbsNobody) {
  with_loop([](EventLoop& loop) {
    Event event(loop);
    fibers::CancelScope leaves;
    auto first = loop.create_task([&event] { return event.wait(); });
    auto second = loop.create_task([&event] { return event.wait(); });
    fibers::open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] { leaves.run([&] { await(event.wait()); }); });
      nursery.start_soon([&] {
        first.cancel();
        leaves.cancel();
      });
      nursery.start_soon([&] { event.set(); });
    });
    await(second);
    wait(first);
  });
}

// --- Condition. ---

// One item for each of two consumers.
void consume(EventLoop& loop, int consumers, fibers::CancelScope* leaves) {
  Condition condition(loop);
  int items = 0;
  int taken = 0;
  const auto take = [&]() -> Coro<void> {
    const auto guard = co_await condition.scoped();
    co_await condition.wait_for([&] { return items > 0; });
    --items;
    ++taken;
  };
  auto coro = loop.create_task(take);
  Task<void> more;
  if (consumers > 2) more = loop.create_task(take);
  fibers::open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      leaves == nullptr ? await(take()) : static_cast<void>(leaves->run([&] { await(take()); }));
    });
    nursery.start_soon([&] {
      for (int i = 0; i < 2; ++i) {
        const auto guard = await(condition.scoped());
        ++items;
        condition.notify();
      }
    });
    if (leaves != nullptr) nursery.start_soon([&] { leaves->cancel(); });
  });
  await(coro);
  if (more) more.cancel();
  loop.synchronize();
  EXPECT_FALSE(condition.locked());
  EXPECT_EQ(items + taken, 2);
}

// explores: loop.Condition
EXPLORE_TEST(LoopConditionExplored, EachNotificationReachesSomebody) {
  with_loop([](EventLoop& loop) { consume(loop, 2, nullptr); });
}

// explores: loop.Condition
EXPLORE_TEST(LoopConditionExplored, ANotificationIsNotLostToACancellation) {
  with_loop([](EventLoop& loop) {
    fibers::CancelScope leaves;
    consume(loop, 2, &leaves);
  });
}

// explores: loop.Condition
EXPLORE_TEST(LoopConditionExplored, ACancelledWaitHasTheLockAgain) {
  with_loop([](EventLoop& loop) {
    Condition condition(loop);
    auto waits = loop.create_task([&]() -> Coro<void> {
      co_await condition.acquire();
      struct Look {
        Condition& condition;
        ~Look() {
          EXPECT_TRUE(condition.locked());
          condition.release();
        }
      } const look{condition};
      co_await condition.wait();
    });
    loop.synchronize();
    fibers::open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] {
        const auto guard = await(condition.scoped());
        condition.notify();
        checkpoint();
      });
      nursery.start_soon([&] {
        checkpoint();
        waits.cancel();
      });
    });
    wait(waits);
    EXPECT_FALSE(condition.locked());
  });
}

// --- Barrier. ---

// explores: loop.Barrier
EXPLORE_TEST(LoopBarrierExplored, LetsAllGoTogether) {
  with_loop([](EventLoop& loop) {
    Barrier barrier(loop, 3);
    int here = 0;
    std::size_t sum = 0;
    const auto come = [&]() -> Coro<void> {
      ++here;
      const std::size_t index = co_await barrier.wait();
      EXPECT_EQ(here, 3);
      sum += index;
    };
    auto coro = loop.create_task(come);
    fibers::open_nursery([&](Nursery& nursery) {
      for (int i = 0; i < 2; ++i) nursery.start_soon([&] { await(come()); });
    });
    await(coro);
    EXPECT_EQ(sum, 3U);
    EXPECT_EQ(barrier.n_waiting(), 0U);
  });
}

// explores: loop.Barrier
EXPLORE_TEST(LoopBarrierExplored, TakesSomebodyElseForTheOneThatIsCancelled) {
  with_loop([](EventLoop& loop) {
    Barrier barrier(loop, 2);
    auto first = loop.create_task([&barrier] { return barrier.wait(); });
    auto second = loop.create_task([&barrier] { return barrier.wait(); });
    fibers::open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] { first.cancel(); });
      nursery.start_soon([&] { checkpoint(); });
    });
    wait(first);
    if (!second.done()) await(barrier.wait());
    await(second);
    EXPECT_EQ(barrier.n_waiting(), 0U);
    EXPECT_FALSE(barrier.broken());
  });
}

// explores: loop.Barrier
EXPLORE_TEST(LoopBarrierExplored, ResetSendsAllAwayOrNobody) {
  with_loop([](EventLoop& loop) {
    Barrier barrier(loop, 2);
    int broken = 0;
    const auto come = [&]() -> Coro<void> {
      try {
        co_await barrier.wait();
      } catch (const BrokenBarrierError&) {
        ++broken;
      }
    };
    auto first = loop.create_task(come);
    fibers::open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] { await(barrier.reset()); });
      nursery.start_soon([&] { checkpoint(); });
    });
    if (!first.done()) await(come());
    await(first);
    EXPECT_LE(broken, 1);
    EXPECT_FALSE(barrier.broken());
    EXPECT_EQ(barrier.n_waiting(), 0U);
  });
}

// --- Queues. ---

template <class Q>
void loses_no_item() {
  with_loop([](EventLoop& loop) {
    Q queue(loop, 1);
    int sum = 0;
    auto producer = loop.create_task([&]() -> Coro<void> {
      for (int i = 1; i <= 3; ++i) co_await queue.put(i);
    });
    fibers::open_nursery([&](Nursery& nursery) {
      for (int i = 0; i < 3; ++i) nursery.start_soon([&] { sum += await(queue.get()); });
    });
    await(producer);
    EXPECT_EQ(sum, 6);
    EXPECT_TRUE(queue.empty());
  });
}

template <class Q>
void loses_no_item_to_a_cancellation() {
  with_loop([](EventLoop& loop) {
    Q queue(loop, 1);
    fibers::CancelScope leaves;
    int got = 0;
    auto first = loop.create_task([&queue] { return queue.get(); });
    fibers::open_nursery([&](Nursery& nursery) {
      // What does not get in counts as got.
      nursery.start_soon([&] {
        const auto scope = leaves.run([&] { await(queue.put(1)); });
        got += scope.finished() ? 0 : 1;
      });
      nursery.start_soon([&] {
        const auto scope = fibers::move_on_after(1s, [&] { await(queue.put(2)); });
        got += scope.finished() ? 0 : 1;
      });
      nursery.start_soon([&] {
        first.cancel();
        leaves.cancel();
      });
    });
    wait(first);
    got += first.cancelled() ? 0 : 1;
    EXPECT_EQ(got + static_cast<int>(queue.qsize()), 2);
  });
}

template <class Q>
void shut_down_reaches_everybody() {
  with_loop([](EventLoop& loop) {
    Q queue(loop, 1);
    int ends = 0;
    const auto get = [&]() -> Coro<void> {
      try {
        co_await queue.get();
        queue.task_done();
      } catch (const QueueShutDown&) {
        ++ends;
      }
    };
    auto coro = loop.create_task(get);
    fibers::open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] { await(get()); });
      nursery.start_soon([&] {
        queue.put_nowait(1);
        queue.shutdown();
        await(queue.join());
      });
    });
    await(coro);
    EXPECT_EQ(ends, 1);
  });
}

// explores: loop.Queue
EXPLORE_TEST(LoopQueueExplored, LosesNoItem) {
  loses_no_item<Queue<int>>();
}
// explores: loop.Queue
EXPLORE_TEST(LoopQueueExplored, LosesNoItemToACancellation) {
  loses_no_item_to_a_cancellation<Queue<int>>();
}
// explores: loop.Queue
EXPLORE_TEST(LoopQueueExplored, ShutDownReachesEverybody) {
  shut_down_reaches_everybody<Queue<int>>();
}
// explores: loop.PriorityQueue
EXPLORE_TEST(LoopPriorityQueueExplored, LosesNoItem) {
  loses_no_item<PriorityQueue<int>>();
}
// explores: loop.PriorityQueue
EXPLORE_TEST(LoopPriorityQueueExplored, LosesNoItemToACancellation) {
  loses_no_item_to_a_cancellation<PriorityQueue<int>>();
}
// explores: loop.PriorityQueue
EXPLORE_TEST(LoopPriorityQueueExplored, ShutDownReachesEverybody) {
  shut_down_reaches_everybody<PriorityQueue<int>>();
}
// explores: loop.LifoQueue
EXPLORE_TEST(LoopLifoQueueExplored, LosesNoItem) {
  loses_no_item<LifoQueue<int>>();
}
// explores: loop.LifoQueue
EXPLORE_TEST(LoopLifoQueueExplored, LosesNoItemToACancellation) {
  loses_no_item_to_a_cancellation<LifoQueue<int>>();
}
// explores: loop.LifoQueue
EXPLORE_TEST(LoopLifoQueueExplored, ShutDownReachesEverybody) {
  shut_down_reaches_everybody<LifoQueue<int>>();
}

}  // namespace
}  // namespace weft::loop
