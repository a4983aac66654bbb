// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/loop/sync_testing.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/timeouts.h"

namespace weft::loop {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;
using namespace testing;  // NOLINT: the helpers of the folder.

template <class Q>
auto get(Q& queue) {
  return [&queue] { return queue.get(); };
}
template <class Q, class T>
auto put(Q& queue, T item) {
  return [&queue, item] { return queue.put(item); };
}

template <class Q>
std::vector<int> order_of() {
  Q queue;
  for (const int item : {3, 1, 4, 1, 5, 9, 2, 6}) queue.put_nowait(item);
  std::vector<int> items;
  while (!queue.empty()) items.push_back(queue.get_nowait());
  return items;
}

// asyncio: test_queues.py::QueueBasicTests::test_empty
// asyncio: test_queues.py::QueueBasicTests::test_full
// asyncio: test_queues.py::QueueBasicTests::test_maxsize
// asyncio: test_queues.py::QueuePutTests::test_nonblocking_put_exception
FIBER_TEST(LoopQueueTest, HoldsAsManyAsItSays) {
  Queue<int> queue(2);
  EXPECT_EQ(queue.maxsize(), 2);
  EXPECT_TRUE(queue.empty());
  EXPECT_FALSE(queue.full());
  queue.put_nowait(1);
  EXPECT_FALSE(queue.empty());
  EXPECT_FALSE(queue.full());
  queue.put_nowait(2);
  EXPECT_TRUE(queue.full());
  EXPECT_EQ(queue.qsize(), 2U);
  EXPECT_THROW(queue.put_nowait(3), QueueFull);
  EXPECT_EQ(queue.qsize(), 2U);
  EXPECT_EQ(queue.get_nowait(), 1);
  EXPECT_FALSE(queue.full());

  Queue<int> unlimited;
  Queue<int> negative(-1);
  for (int i = 0; i < 100; ++i) {
    unlimited.put_nowait(i);
    negative.put_nowait(i);
  }
  EXPECT_FALSE(unlimited.full());
  EXPECT_FALSE(negative.full());
}

// asyncio: test_queues.py::QueueBasicTests::test_order
// asyncio: test_queues.py::QueuePutTests::test_nonblocking_put
// asyncio: test_queues.py::QueueGetTests::test_nonblocking_get
// asyncio: test_queues.py::LifoQueueTests::test_order
// asyncio: test_queues.py::PriorityQueueTests::test_order
FIBER_TEST(LoopQueueTest, EachKindHasItsOrder) {
  EXPECT_THAT(order_of<Queue<int>>(), ElementsAre(3, 1, 4, 1, 5, 9, 2, 6));
  EXPECT_THAT(order_of<LifoQueue<int>>(), ElementsAre(6, 2, 9, 5, 1, 4, 1, 3));
  EXPECT_THAT(order_of<PriorityQueue<int>>(), ElementsAre(1, 1, 2, 3, 4, 5, 6, 9));
}

FIBER_TEST(LoopQueueTest, KeepsItsOrderWhileItGrowsAndShrinks) {
  Queue<int> queue;
  int put = 0;
  int got = 0;
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 7; ++i) queue.put_nowait(put++);
    for (int i = 0; i < 5; ++i) EXPECT_EQ(queue.get_nowait(), got++);
  }
  while (!queue.empty()) EXPECT_EQ(queue.get_nowait(), got++);
  EXPECT_EQ(got, put);
}

FIBER_TEST(LoopQueueTest, APriorityQueueIsAHeap) {
  PriorityQueue<unsigned> queue;
  std::vector<unsigned> expected;
  unsigned random = 1;
  for (int i = 0; i < 500; ++i) {
    random = random * 1664525U + 1013904223U;
    queue.put_nowait(random >> 24U);
    expected.push_back(random >> 24U);
    if (i % 3 != 2) continue;
    const auto least = std::min_element(expected.begin(), expected.end());
    EXPECT_EQ(queue.get_nowait(), *least);
    expected.erase(least);
  }
  std::sort(expected.begin(), expected.end());
  for (const unsigned item : expected) EXPECT_EQ(queue.get_nowait(), item);
  EXPECT_TRUE(queue.empty());
}

// A comparison that throws loses nothing.
FIBER_TEST(LoopQueueTest, AnItemThatCannotBeComparedStaysOut) {
  struct Less {
    bool* fails;
    bool operator()(int a, int b) const {
      if (*fails) throw std::runtime_error("cannot be compared");
      return a > b;
    }
  };
  bool fails = false;
  PriorityQueue<int, Less> queue(0, Less{&fails});
  for (const int item : {2, 3, 1}) queue.put_nowait(item);
  fails = true;
  EXPECT_THROW(queue.put_nowait(5), std::runtime_error);
  EXPECT_THROW(queue.get_nowait(), std::runtime_error);
  fails = false;
  EXPECT_EQ(queue.qsize(), 3U);
  EXPECT_EQ(queue.get_nowait(), 3);
  EXPECT_EQ(queue.get_nowait(), 2);
  EXPECT_EQ(queue.get_nowait(), 1);
}

FIBER_TEST(LoopQueueTest, ItemsMayBeMoveOnly) {
  WEFT_NOT_ALLOCATION_SWEPT("nobody else puts in what its producer does not");
  Queue<std::unique_ptr<int>> queue(1);
  LifoQueue<std::unique_ptr<int>> stack;
  with_loop([&](EventLoop& loop) {
    auto producer = loop.create_task([&]() -> Coro<void> {
      for (int i = 0; i < 3; ++i) co_await queue.put(std::make_unique<int>(i));
      stack.put_nowait(std::make_unique<int>(3));
    });
    for (int i = 0; i < 3; ++i) {
      auto getter = start(loop, Form::kCoro, get(queue));
      EXPECT_EQ(*await(getter), i);
    }
    await(producer);
    EXPECT_EQ(*stack.get_nowait(), 3);
  });
}

// asyncio: test_queues.py::QueueGetTests::test_blocking_get
// asyncio: test_queues.py::QueuePutTests::test_blocking_put
// asyncio: test_queues.py::QueuePutTests::test_put_cancelled
FIBER_TEST(LoopQueueTest, NobodyWaitsForWhatIsThere) {
  Queue<int> queue;
  with_idle_loop([&](EventLoop& loop) {
    in_each_form([&](Form form) {
      auto task = start(loop, form, [&queue]() -> Coro<int> {
        co_await queue.put(1);
        co_return co_await queue.get();
      });
      run_once(loop);
      EXPECT_EQ(task.result(), 1);
    });
  });
}

// asyncio: test_queues.py::QueueGetTests::test_blocking_get_wait
// asyncio: test_queues.py::QueuePutTests::test_put_with_waiting_getters
// asyncio: test_queues.py::QueueGetTests::test_nonblocking_get_exception
// asyncio: claims_queues::put_nowait_wakes_one
FIBER_TEST(LoopQueueTest, GetWaitsForAnItem) {
  in_each_form([](Form form) {
    Queue<int> queue;
    with_idle_loop([&](EventLoop& loop) {
      EXPECT_THROW(queue.get_nowait(), QueueEmpty);
      auto one = start(loop, form, get(queue));
      auto two = start(loop, form, get(queue));
      run_once(loop);
      EXPECT_FALSE(one.done());
      queue.put_nowait(1);
      run_once(loop);
      EXPECT_EQ(one.result(), 1);
      EXPECT_FALSE(two.done());
      queue.put_nowait(2);
      run_once(loop);
      EXPECT_EQ(two.result(), 2);
    });
  });
}

// asyncio: test_queues.py::QueuePutTests::test_blocking_put_wait
// asyncio: test_queues.py::QueueGetTests::test_get_with_putters
// asyncio: test_queues.py::QueueGetTests::test_get_with_waiting_putters
FIBER_TEST(LoopQueueTest, PutWaitsForAFreePlace) {
  in_each_form([](Form form) {
    Queue<int> queue(1);
    with_idle_loop([&](EventLoop& loop) {
      auto one = start(loop, form, put(queue, 1));
      auto two = start(loop, form, put(queue, 2));
      auto three = start(loop, form, put(queue, 3));
      run_once(loop);
      EXPECT_TRUE(one.done());
      EXPECT_FALSE(two.done());
      EXPECT_EQ(queue.get_nowait(), 1);
      run_once(loop);
      EXPECT_TRUE(two.done());
      EXPECT_FALSE(three.done());
      EXPECT_EQ(queue.get_nowait(), 2);
      run_once(loop);
      EXPECT_EQ(queue.get_nowait(), 3);
      EXPECT_TRUE(queue.empty());
    });
  });
}

// asyncio: test_queues.py::QueueGetTests::test_get_cancelled_race
// asyncio: test_queues.py::QueueGetTests::test_cancelled_getters_not_being_held_in_self_getters
FIBER_TEST(LoopQueueTest, ACancelledGetTakesNothing) {
  in_each_form([](Form form) {
    Queue<int> queue;
    with_idle_loop([&](EventLoop& loop) {
      auto one = start(loop, form, get(queue));
      auto two = start(loop, form, get(queue));
      run_once(loop);
      one.cancel();
      queue.put_nowait(1);
      run_iterations(loop, 2);
      EXPECT_TRUE(one.cancelled());
      EXPECT_EQ(two.result(), 1);
    });
  });
}

// asyncio: test_queues.py::QueuePutTests::test_get_cancel_drop_one_pending_reader
// asyncio: test_queues.py::QueuePutTests::test_get_cancel_drop_many_pending_readers
// asyncio: claims_queues::a_cancelled_getter_swallows_no_item
FIBER_TEST(LoopQueueTest, AGetThatIsWokenAndCancelledLeavesTheItemToTheNext) {
  in_each_form([](Form form) {
    Queue<int> queue;
    with_idle_loop([&](EventLoop& loop) {
      auto one = start(loop, form, get(queue));
      auto two = start(loop, form, get(queue));
      auto three = start(loop, form, get(queue));
      run_once(loop);
      queue.put_nowait(1);
      queue.put_nowait(2);
      one.cancel();
      run_iterations(loop, 3);
      EXPECT_TRUE(one.cancelled());
      EXPECT_THAT((std::vector<int>{two.result(), three.result()}), UnorderedElementsAre(1, 2));
      // With nobody behind, it stays in.
      auto four = start(loop, form, get(queue));
      run_once(loop);
      queue.put_nowait(3);
      four.cancel();
      run_once(loop);
      EXPECT_TRUE(four.cancelled());
      EXPECT_EQ(queue.get_nowait(), 3);
    });
  });
}

// asyncio: test_queues.py::QueuePutTests::test_put_cancel_drop
// asyncio: test_queues.py::QueuePutTests::test_put_cancelled_race
// asyncio: test_queues.py::QueuePutTests::test_cancelled_puts_not_being_held_in_self_putters
FIBER_TEST(LoopQueueTest, ACancelledPutPutsNothingIn) {
  in_each_form([](Form form) {
    Queue<int> queue(1);
    with_idle_loop([&](EventLoop& loop) {
      queue.put_nowait(1);
      auto two = start(loop, form, put(queue, 2));
      auto three = start(loop, form, put(queue, 3));
      run_once(loop);
      two.cancel();
      run_once(loop);
      EXPECT_TRUE(two.cancelled());
      EXPECT_EQ(queue.get_nowait(), 1);
      run_once(loop);
      EXPECT_TRUE(three.done());
      EXPECT_EQ(queue.get_nowait(), 3);
      EXPECT_TRUE(queue.empty());
    });
  });
}

// asyncio: test_queues.py::QueuePutTests::test_cancelled_put_silence_value_error_exception
// asyncio: claims_queues::a_cancelled_putter_swallows_no_slot
FIBER_TEST(LoopQueueTest, APutThatIsWokenAndCancelledLeavesThePlaceToTheNext) {
  in_each_form([](Form form) {
    Queue<int> queue(1);
    with_idle_loop([&](EventLoop& loop) {
      queue.put_nowait(1);
      auto two = start(loop, form, put(queue, 2));
      auto three = start(loop, form, put(queue, 3));
      run_once(loop);
      EXPECT_EQ(queue.get_nowait(), 1);
      two.cancel();
      run_iterations(loop, 2);
      EXPECT_TRUE(two.cancelled());
      EXPECT_TRUE(three.done());
      EXPECT_EQ(queue.get_nowait(), 3);
    });
  });
}

// asyncio: test_queues.py::QueueGetTests::test_why_are_getters_waiting
// asyncio: test_queues.py::QueuePutTests::test_why_are_putters_waiting
FIBER_TEST(LoopQueueTest, NobodyIsForgottenBetweenProducersAndConsumers) {
  WEFT_NOT_ALLOCATION_SWEPT("nobody else does the part of a task that fails");
  in_each_form([](Form form) {
    for (const int maxsize : {1, 2, 3}) {
      Queue<int> queue(maxsize);
      std::vector<int> got;
      with_loop([&](EventLoop& loop) {
        std::vector<Task<void>> tasks;
        for (int p = 0; p < 3; ++p) {
          tasks.push_back(start(loop, form, [&queue, p]() -> Coro<void> {
            for (int i = 0; i < 5; ++i) co_await queue.put(10 * p + i);
          }));
        }
        for (int c = 0; c < 5; ++c) {
          tasks.push_back(start(loop, form, [&queue, &got]() -> Coro<void> {
            for (int i = 0; i < 3; ++i) {
              const int item = co_await queue.get();
              got.push_back(item);
            }
          }));
        }
        for (const auto& task : tasks) await(task);
      });
      EXPECT_EQ(got.size(), 15U);
      EXPECT_EQ(std::accumulate(got.begin(), got.end(), 0), 180);
      EXPECT_TRUE(queue.empty());
    }
  });
}

FIBER_TEST(LoopQueueTest, TasksOfFibersProduceAndConsume) {
  WEFT_NOT_ALLOCATION_SWEPT("nobody else puts in what its callback does not");
  with_loop([](EventLoop& loop) {
    Queue<int> queue(loop, 1);
    loop.call_later(1s, [&queue] { queue.put_nowait(1); });
    EXPECT_EQ(await(queue.get()), 1);
    EXPECT_FALSE(fibers::move_on_after(1s, [&] { await(queue.get()); }));
    await(queue.put(2));
    EXPECT_FALSE(fibers::move_on_after(1s, [&] { await(queue.put(3)); }));
    EXPECT_EQ(await(queue.get()), 2);
    EXPECT_TRUE(queue.empty());
  });
}

FIBER_TEST(LoopQueueTest, BelongsToTheLoopOfItsFirstWait) {
  WEFT_NOT_ALLOCATION_SWEPT("it looks at its errors");
  Queue<int> queue;
  with_idle_loop([&](EventLoop& loop) {
    with_idle_loop([&](EventLoop& other) {
      auto waits = start(loop, Form::kCoro, get(queue));
      run_once(loop);
      auto refused = start(other, Form::kCoro, get(queue));
      run_once(other);
      EXPECT_THAT(thrown<fibers::UsageError>([&] { refused.result(); }),
                  HasSubstr("this Queue is bound to a different event loop"));
      queue.put_nowait(1);
      run_once(loop);
      EXPECT_TRUE(waits.done());
    });
  });
}

}  // namespace
}  // namespace weft::loop
