// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Where a memory channel keeps its items. Not for use outside weft: see memory_channel.h.

#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "weft/fibers/detail/requirements.h"

namespace weft::fibers::detail {

// Items in order, each in a place of its own. An item is moved in before its place is linked, and
// out after it has been unlinked: a constructor that waits or comes back meets a whole list. The
// places stay where they are and are used again, so that a channel in steady use allocates nothing.
template <class T>
class ItemList {
 public:
  struct Place {
    std::optional<T> item;
    Place* next = nullptr;
  };

  bool empty() const { return first_ == nullptr; }
  // An empty place, which belongs to the caller until it is linked or given back.
  Place* take_place() {
    if (free_ == nullptr) grow();
    return std::exchange(free_, free_->next);
  }
  void give_back(Place* place) { place->next = std::exchange(free_, place); }
  void link(Place* place) {
    place->next = nullptr;
    (first_ == nullptr ? first_ : last_->next) = place;
    last_ = place;
  }
  // There is one.
  Place* unlink_first() { return std::exchange(first_, first_->next); }

 private:
  void grow() {
    const std::size_t count = blocks_.empty() ? 4 : allocated_;
    blocks_.reserve(blocks_.size() + 1);
    Place* const block = blocks_.emplace_back(std::make_unique<Place[]>(count)).get();
    allocated_ += count;
    for (std::size_t i = count; i > 0; --i) give_back(&block[i - 1]);
  }

  Place* first_ = nullptr;
  Place* last_ = nullptr;  // Only while there is a first one.
  Place* free_ = nullptr;
  std::size_t allocated_ = 0;
  std::vector<std::unique_ptr<Place[]>> blocks_;
};

}  // namespace weft::fibers::detail
