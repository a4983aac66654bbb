// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The loop's timers: a heap of four branches. A cancelled timer leaves it at once, so there is
// never anything dead in it to be compacted.

#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "weft/fibers/clock.h"
#include "weft/loop/detail/handle_node.h"

namespace weft::loop::detail {

// Exact order: by time, then by the order of insertion. The keys lie in the heap's own array: a
// comparison touches no node.
class TimerHeap {
 public:
  bool empty() const { return heap_.empty(); }
  std::size_t size() const { return heap_.size(); }
  // kForever when empty.
  fibers::Instant next() const { return heap_.empty() ? fibers::kForever : heap_[0].when; }
  HandleNode* top() const { return heap_[0].node; }
  // By node->timer.when.
  void insert(HandleNode* node);
  void remove(HandleNode* node) noexcept;

 private:
  struct Entry {
    fibers::Instant when;
    std::uint64_t order;
    HandleNode* node;
    bool before(const Entry& other) const {
      return when != other.when ? when < other.when : order < other.order;
    }
  };
  void place(std::size_t index, const Entry& entry) noexcept {
    heap_[index] = entry;
    entry.node->timer.index = index;
  }
  void sift_up(std::size_t hole, const Entry& entry) noexcept;
  void sift_down(std::size_t hole, const Entry& entry) noexcept;

  std::vector<Entry> heap_;
  std::uint64_t inserted_ = 0;
};

}  // namespace weft::loop::detail
