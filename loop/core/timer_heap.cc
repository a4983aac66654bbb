// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "loop/core/timer_heap.h"

#include <algorithm>

namespace weft::loop::detail {

namespace {
constexpr std::size_t kBranches = 4;
}

void TimerHeap::insert(HandleNode* node) {
  const Entry entry{node->timer.when, inserted_++, node};
  heap_.push_back(entry);
  sift_up(heap_.size() - 1, entry);
}

void TimerHeap::remove(HandleNode* node) noexcept {
  const std::size_t hole = node->timer.index;
  node->timer.index = HandleNode::kNotInHeap;
  const Entry last = heap_.back();
  heap_.pop_back();
  if (last.node == node) return;
  if (hole > 0 && last.before(heap_[(hole - 1) / kBranches])) {
    sift_up(hole, last);
  } else {
    sift_down(hole, last);
  }
}

void TimerHeap::sift_up(std::size_t hole, const Entry& entry) noexcept {
  while (hole > 0) {
    const std::size_t parent = (hole - 1) / kBranches;
    if (!entry.before(heap_[parent])) break;
    place(hole, heap_[parent]);
    hole = parent;
  }
  place(hole, entry);
}

void TimerHeap::sift_down(std::size_t hole, const Entry& entry) noexcept {
  for (;;) {
    const std::size_t first = hole * kBranches + 1;
    if (first >= heap_.size()) break;
    std::size_t least = first;
    const std::size_t end = std::min(first + kBranches, heap_.size());
    for (std::size_t child = first + 1; child < end; ++child) {
      if (heap_[child].before(heap_[least])) least = child;
    }
    if (!heap_[least].before(entry)) break;
    place(hole, heap_[least]);
    hole = least;
  }
  place(hole, entry);
}

}  // namespace weft::loop::detail
