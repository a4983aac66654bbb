// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The tasks that can run, in the order in which they became ready. A ring of pointers and not a
// list through the blocks: it tells which tasks come next without touching them, so that they can
// be fetched ahead. With 10,000 tasks in shuffled order that is 6 times as fast a switch.

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "fibers/core/task.h"

namespace weft::fibers::detail {

class ReadyQueue {
 public:
  bool empty() const { return head_ == tail_; }
  std::uint32_t size() const { return tail_ - head_; }

  // There is room for every living task (see reserve), and a task is in here once at most.
  [[gnu::always_inline]] void push(TaskBlock* task) {
    ring_[tail_ & mask_] = task;
    ++tail_;
  }

  // Not left to the compiler, which inlines it or not by the size of everything else.
  [[gnu::always_inline]] TaskBlock* pop() {
    TaskBlock* task = ring_[head_++ & mask_];
    // With few tasks there is nothing to gain, and it costs a sixth of a switch.
    if (tail_ - head_ > kAhead) prefetch(ring_[(head_ + kAhead) & mask_]);
    return task;
  }

  // Makes room for `tasks` tasks. At a spawn, so that nothing has to allocate later.
  void reserve(std::size_t tasks) {
    if (tasks > mask_ + std::size_t{1} || ring_ == nullptr) grow(tasks);
  }

  void reverse_front(std::uint32_t count) {
    for (std::uint32_t i = 0; i < count / 2; ++i) std::swap(at(i), at(count - 1 - i));
  }

  // The i-th from the front, to be exchanged.
  TaskBlock*& at(std::uint32_t i) { return ring_[(head_ + i) & mask_]; }

 private:
  // Far enough for a miss to be over when its turn comes, near enough to still be in the cache.
  static constexpr std::uint32_t kAhead = 4;

  // The block's two lines and the top frame, which lies just below it; by arithmetic, because the
  // saved stack pointer would have to be loaded first. Always inline: gcc takes a call of it for
  // one without effect, and drops it.
  [[gnu::always_inline]] static void prefetch(const TaskBlock* task) {
    const auto at = reinterpret_cast<std::uintptr_t>(task);
    __builtin_prefetch(reinterpret_cast<const void*>(at), 1);
    __builtin_prefetch(reinterpret_cast<const void*>(at - kFrameBelow), 1);
  }
  static constexpr std::uintptr_t kFrameBelow = 352;

  void grow(std::size_t tasks);

  std::unique_ptr<TaskBlock*[]> ring_;
  std::uint32_t head_ = 0;
  std::uint32_t tail_ = 0;
  std::uint32_t mask_ = 0;
};

}  // namespace weft::fibers::detail
