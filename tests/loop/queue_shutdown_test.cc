// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Queues: join, task_done and shutdown.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "tests/loop/sync_testing.h"
#include "weft/fibers/errors.h"
#include "weft/loop/queue.h"

namespace weft::loop {
namespace {

using ::testing::HasSubstr;
using namespace testing;  // NOLINT: the helpers of the folder.

template <class Q>
auto get(Q& queue) {
  return [&queue] { return queue.get(); };
}
template <class Q, class T>
auto put(Q& queue, T item) {
  return [&queue, item] { return queue.put(item); };
}

// --- join and task_done. ---

template <class Q>
void join_waits_for_task_done(Form form) {
  Q queue;
  int sum = 0;
  with_loop([&](EventLoop& loop) {
    for (int i = 0; i < 100; ++i) queue.put_nowait(i);
    std::vector<Task<void>> workers;
    for (int i = 0; i < 2; ++i) {
      workers.push_back(start(loop, form, [&queue, &sum]() -> Coro<void> {
        for (;;) {
          int item = 0;
          try {
            item = co_await queue.get();
          } catch (const QueueShutDown&) {
            break;
          }
          co_await sleep(1ms);
          sum += item;
          queue.task_done();
        }
      }));
    }
    await(start(loop, form, [&queue] { return queue.join(); }));
    EXPECT_EQ(sum, 4950);
    queue.shutdown();
    for (const auto& worker : workers) await(worker);
  });
}

// asyncio: test_queues.py::QueueJoinTests::test_task_done
// asyncio: test_queues.py::LifoQueueJoinTests::test_task_done
// asyncio: test_queues.py::PriorityQueueJoinTests::test_task_done
FIBER_TEST(LoopQueueShutdownTest, JoinWaitsUntilAllIsDone) {
  WEFT_NOT_ALLOCATION_SWEPT("nobody else does the work of a worker that fails");
  WEFT_NOT_SWEPT("its queue counts on every worker");
  in_each_form([](Form form) {
    join_waits_for_task_done<Queue<int>>(form);
    join_waits_for_task_done<LifoQueue<int>>(form);
    join_waits_for_task_done<PriorityQueue<int>>(form);
  });
}

// asyncio: claims_queues::join_ends_at_zero
FIBER_TEST(LoopQueueShutdownTest, EveryJoinEndsWhenTheCountComesToZero) {
  in_each_form([](Form form) {
    Queue<int> queue;
    with_idle_loop([&](EventLoop& loop) {
      const auto join = [&queue] { return queue.join(); };
      queue.put_nowait(1);
      auto one = start(loop, form, join);
      auto two = start(loop, form, join);
      run_once(loop);
      EXPECT_EQ(queue.get_nowait(), 1);
      run_once(loop);
      EXPECT_FALSE(one.done());
      queue.task_done();
      queue.put_nowait(2);  // Not what they have waited for.
      run_once(loop);
      EXPECT_TRUE(one.done());
      EXPECT_TRUE(two.done());
      auto three = start(loop, form, join);
      run_once(loop);
      EXPECT_FALSE(three.done());
      queue.task_done();
      run_once(loop);
      EXPECT_TRUE(three.done());
    });
  });
}

// asyncio: test_queues.py::QueueJoinTests::test_task_done_underflow
// asyncio: test_queues.py::QueueJoinTests::test_join_empty_queue
// asyncio: claims_queues::an_extra_task_done_is_refused
FIBER_TEST(LoopQueueShutdownTest, NothingIsDoneMoreOftenThanItWasPutIn) {
  Queue<int> queue;
  await(queue.join());
  await(queue.join());
  EXPECT_THAT(thrown<fibers::UsageError>([&] { queue.task_done(); }),
              HasSubstr("task_done() called too many times"));
  queue.put_nowait(1);
  queue.task_done();
  EXPECT_THROW(queue.task_done(), fibers::UsageError);
}

// --- shutdown. ---

template <class Q>
void expect_shut_down(Q& queue) {
  EXPECT_THROW(await(queue.put(0)), QueueShutDown);
  EXPECT_THROW(queue.put_nowait(0), QueueShutDown);
  EXPECT_THROW(await(queue.get()), QueueShutDown);
  EXPECT_THROW(queue.get_nowait(), QueueShutDown);
}

// asyncio: test_queues.py::QueueShutdownTests::test_shutdown_empty
FIBER_TEST(LoopQueueShutdownTest, ShutDownEndsEveryGet) {
  in_each_form([](Form form) {
    Queue<int> queue;
    with_idle_loop([&](EventLoop& loop) {
      auto one = start(loop, form, get(queue));
      auto two = start(loop, form, get(queue));
      run_once(loop);
      queue.shutdown();
      await(queue.join());
      run_once(loop);
      EXPECT_THROW(one.result(), QueueShutDown);
      EXPECT_THROW(two.result(), QueueShutDown);
      expect_shut_down(queue);
    });
  });
}

// asyncio: test_queues.py::QueueShutdownTests::test_shutdown_nonempty
// asyncio: claims_queues::shutdown_lets_getters_drain
FIBER_TEST(LoopQueueShutdownTest, ShutDownEndsEveryPutAndLeavesWhatIsIn) {
  in_each_form([](Form form) {
    Queue<int> queue(1);
    with_idle_loop([&](EventLoop& loop) {
      queue.put_nowait(1);
      auto joins = start(loop, form, [&queue] { return queue.join(); });
      auto puts = start(loop, form, put(queue, 2));
      run_once(loop);
      queue.shutdown();
      EXPECT_EQ(queue.qsize(), 1U);
      run_once(loop);
      EXPECT_THROW(puts.result(), QueueShutDown);
      EXPECT_THROW(await(queue.put(0)), QueueShutDown);
      EXPECT_THROW(queue.put_nowait(0), QueueShutDown);
      auto gets = start(loop, form, get(queue));
      run_once(loop);
      EXPECT_EQ(gets.result(), 1);
      EXPECT_FALSE(joins.done());
      expect_shut_down(queue);
      queue.task_done();
      run_once(loop);
      EXPECT_TRUE(joins.done());
      EXPECT_THROW(queue.task_done(), fibers::UsageError);
    });
  });
}

template <class Q>
void shut_down_at_once(Form form) {
  Q queue;
  with_idle_loop([&](EventLoop& loop) {
    queue.put_nowait(1);
    queue.put_nowait(2);
    auto joins = start(loop, form, [&queue] { return queue.join(); });
    run_once(loop);
    queue.get_nowait();  // And not done yet.
    queue.shutdown(true);
    EXPECT_EQ(queue.qsize(), 0U);
    run_once(loop);
    EXPECT_FALSE(joins.done());
    expect_shut_down(queue);
    queue.task_done();
    EXPECT_THROW(queue.task_done(), fibers::UsageError);
    run_once(loop);
    EXPECT_TRUE(joins.done());
  });
}

// asyncio: test_queues.py::QueueShutdownTests::test_shutdown_immediate
// asyncio: test_queues.py::QueueShutdownTests::test_shutdown_immediate_with_unfinished
// asyncio: test_queues.py::LifoQueueShutdownTests::test_shutdown_immediate_with_unfinished
// asyncio: test_queues.py::PriorityQueueShutdownTests::test_shutdown_immediate_with_unfinished
// asyncio: claims_queues::immediate_shutdown_drops_items
// asyncio: claims_queues::shutdown_releases_join
FIBER_TEST(LoopQueueShutdownTest, ShutDownAtOnceDropsWhatIsInAsDone) {
  in_each_form([](Form form) {
    shut_down_at_once<Queue<int>>(form);
    shut_down_at_once<LifoQueue<int>>(form);
    shut_down_at_once<PriorityQueue<int>>(form);
  });
  Queue<std::shared_ptr<int>> queue;
  auto item = std::make_shared<int>(1);
  queue.put_nowait(item);
  queue.shutdown(true);
  EXPECT_EQ(item.use_count(), 1);
  await(queue.join());
}

}  // namespace
}  // namespace weft::loop
