// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Queues between tasks of one loop.
//
//   Queue<Job> jobs(100);
//   co_await jobs.put(job);                     // a producer; waits while 100 are in
//
//   for (;;) {                                  // a worker, until shutdown()
//     Job job = co_await jobs.get();
//     co_await perform(job);
//     jobs.task_done();
//   }
//
//   co_await jobs.join();                       // everything put has been done
//   jobs.shutdown();                            // the workers' get() throws QueueShutDown
//
// (asyncio.Queue, with the shutdown() of Python 3.13.)

#pragma once

#include <cstddef>
#include <functional>
#include <stdexcept>
#include <utility>

#include "weft/loop/coro.h"
#include "weft/loop/detail/queue_core.h"
#include "weft/loop/detail/queue_items.h"

namespace weft::loop {

class EventLoop;

// get_nowait() of a queue without items.
class QueueEmpty : public std::runtime_error {
 public:
  QueueEmpty() : std::runtime_error("the queue is empty") {}
};

// put_nowait() to a queue that has maxsize items.
class QueueFull : public std::runtime_error {
 public:
  QueueFull() : std::runtime_error("the queue is full") {}
};

// The queue has been shut down: it takes nothing, and gives nothing once it is empty.
class QueueShutDown : public std::runtime_error {
 public:
  QueueShutDown() : std::runtime_error("the queue has been shut down") {}
};

// What all queues are. T may be move-only; its move and the comparison of a PriorityQueue do not
// wait. Fair: who asked first is woken first. Bound to the loop of the first call that has to wait,
// as a Lock is. A resource: neither copied nor moved.
template <class T, class Items>
class BasicQueue {
 public:
  // At most `maxsize` items; no limit if it is 0 or less.
  explicit BasicQueue(std::ptrdiff_t maxsize = 0, Items items = Items())
      : core_(maxsize), items_(std::move(items)) {}
  // Bound from the beginning: for tasks of fibers, which have no running loop.
  explicit BasicQueue(EventLoop& loop, std::ptrdiff_t maxsize = 0, Items items = Items())
      : core_(loop, maxsize), items_(std::move(items)) {}
  BasicQueue(const BasicQueue&) = delete;
  BasicQueue& operator=(const BasicQueue&) = delete;

  std::size_t qsize() const { return core_.qsize(); }
  std::ptrdiff_t maxsize() const { return core_.maxsize(); }
  bool empty() const { return core_.empty(); }
  // Never without a limit.
  bool full() const { return core_.full(); }

  // Puts an item in, once there is room. Throws QueueShutDown.
  //
  // Blocks: whoever awaits it, while the queue is full.
  // Cancel: before any effect; a free place it was woken for goes to the next in the line.
  // Threads: the loop's own only.
  Coro<void> put(T item) {
    if (full()) co_await core_.wait_for_slot();
    put_nowait(std::move(item));
  }
  // Throws QueueFull instead of waiting.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the loop's own only.
  void put_nowait(T item) {
    core_.require_slot();
    items_.push(std::move(item));
    core_.added();
  }

  // Takes an item out, once there is one. Throws QueueShutDown.
  //
  // Blocks: whoever awaits it, while the queue is empty.
  // Cancel: before any effect; an item it was woken for goes to the next in the line.
  // Threads: the loop's own only.
  Coro<T> get() {
    if (empty()) co_await core_.wait_for_item();
    co_return get_nowait();
  }
  // Throws QueueEmpty instead of waiting.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the loop's own only.
  T get_nowait() {
    core_.require_item();
    T item = items_.pop();
    core_.removed();
    return item;
  }

  // An item that somebody has got is done. Throws UsageError if that is one more than were put in.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the loop's own only.
  void task_done() { core_.task_done(); }
  // Waits until every item that was put in is done.
  //
  // Blocks: whoever awaits it, while one is not.
  // Cancel: at once.
  // Threads: the loop's own only.
  Coro<void> join() { return core_.join(); }

  // From now on put() throws QueueShutDown, and get() once the queue is empty; who waits in them
  // hears of it. Immediate: the items are dropped, and count as done.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the loop's own only.
  void shutdown(bool immediate = false) {
    core_.shutdown(immediate);
    if (immediate) items_.clear();
  }

 private:
  friend struct detail::SyncAccess;
  detail::QueueCore core_;
  Items items_;
};

// First in, first out.
template <class T>
class Queue : public BasicQueue<T, detail::FifoItems<T>> {
 public:
  using BasicQueue<T, detail::FifoItems<T>>::BasicQueue;
};

// Last in, first out.
template <class T>
class LifoQueue : public BasicQueue<T, detail::LifoItems<T>> {
 public:
  using BasicQueue<T, detail::LifoItems<T>>::BasicQueue;
};

// The least first; equal ones in any order.
template <class T, class Less = std::less<T>>
class PriorityQueue : public BasicQueue<T, detail::PriorityItems<T, Less>> {
  using Base = BasicQueue<T, detail::PriorityItems<T, Less>>;

 public:
  explicit PriorityQueue(std::ptrdiff_t maxsize = 0, Less less = {})
      : Base(maxsize, detail::PriorityItems<T, Less>(std::move(less))) {}
  explicit PriorityQueue(EventLoop& loop, std::ptrdiff_t maxsize = 0, Less less = {})
      : Base(loop, maxsize, detail::PriorityItems<T, Less>(std::move(less))) {}
};

}  // namespace weft::loop
