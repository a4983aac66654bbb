// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Where queues keep their items: in their order, as a stack, by priority. Not for use outside weft.

#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

#include "weft/fibers/detail/requirements.h"

namespace weft::loop::detail {

// push() that throws has changed nothing; pop() neither, if the item's move has thrown. Destructors
// of items may come back, and meet a whole queue.

// A ring, which grows and never shrinks: a queue in steady use allocates nothing.
template <class T>
class FifoItems {
 public:
  void push(T&& item) {
    if (count_ == ring_.size()) grow();
    ring_[(first_ + count_) % ring_.size()].emplace(std::move(item));
    ++count_;
  }
  T pop() {
    std::optional<T>& place = ring_[first_];
    T item = std::move(*place);
    place.reset();
    first_ = (first_ + 1) % ring_.size();
    --count_;
    return item;
  }
  void clear() noexcept {
    std::vector<std::optional<T>> dropped;
    ring_.swap(dropped);
    first_ = count_ = 0;
  }

 private:
  void grow() {
    std::vector<std::optional<T>> larger(std::max<std::size_t>(4, 2 * count_));
    for (std::size_t i = 0; i < count_; ++i) {
      larger[i].emplace(std::move_if_noexcept(*ring_[(first_ + i) % ring_.size()]));
    }
    ring_.swap(larger);
    first_ = 0;
  }

  std::vector<std::optional<T>> ring_;  // Its size is a power of two.
  std::size_t first_ = 0;
  std::size_t count_ = 0;
};

template <class T>
class LifoItems {
 public:
  void push(T&& item) { items_.push_back(std::move(item)); }
  T pop() {
    T item = std::move(items_.back());
    items_.pop_back();
    return item;
  }
  void clear() noexcept {
    std::vector<T> dropped;
    items_.swap(dropped);
  }

 private:
  std::vector<T> items_;
};

// A heap, the least on top. All comparisons come before the first move, so that one that throws
// leaves it whole.
template <class T, class Less>
class PriorityItems {
 public:
  explicit PriorityItems(Less less) : less_(std::move(less)) {}

  void push(T&& item) {
    std::size_t place = items_.size();
    while (place > 0 && less_(item, items_[parent(place)])) place = parent(place);
    items_.push_back(std::move(item));
    for (std::size_t i = items_.size() - 1; i > place; i = parent(i)) {
      std::swap(items_[i], items_[parent(i)]);
    }
  }
  // The last one goes to the place on the path of the lesser children where it fits, and those
  // above it go one up.
  T pop() {
    std::size_t place = place_of_last();
    T item = std::move(items_.back());
    items_.pop_back();
    if (items_.empty()) return item;
    for (;; place = parent(place)) {
      std::swap(item, items_[place]);
      if (place == 0) return item;
    }
  }
  void clear() noexcept {
    std::vector<T> dropped;
    items_.swap(dropped);
  }

 private:
  static std::size_t parent(std::size_t i) { return (i - 1) / 2; }
  std::size_t place_of_last() const {
    const std::size_t last = items_.size() - 1;
    std::size_t place = 0;
    for (std::size_t child = 1; child < last; child = 2 * place + 1) {
      if (child + 1 < last && less_(items_[child + 1], items_[child])) ++child;
      if (!less_(items_[child], items_[last])) break;
      place = child;
    }
    return place;
  }

  [[no_unique_address]] Less less_;
  std::vector<T> items_;
};

}  // namespace weft::loop::detail
