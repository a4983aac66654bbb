// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// `for (T& item : channel)`, for everything that has a next().

#pragma once

#include <cstddef>
#include <iterator>
#include <optional>
#include <utility>

#include "weft/fibers/detail/requirements.h"

namespace weft::fibers::detail {

// Holds the item that the loop's body works on.
template <class T, class Channel>
class ItemIterator {
 public:
  using value_type = T;
  using difference_type = std::ptrdiff_t;

  explicit ItemIterator(Channel& channel) : channel_(&channel), item_(channel.next()) {}
  T& operator*() { return *item_; }
  T* operator->() { return &*item_; }
  ItemIterator& operator++() {
    // The old item goes first: it must not live on while the next is waited for.
    item_.reset();
    std::optional<T> next = channel_->next();
    if (next) item_.emplace(std::move(*next));
    return *this;
  }
  void operator++(int) { ++*this; }
  bool operator==(std::default_sentinel_t) const { return !item_.has_value(); }

 private:
  Channel* channel_;
  std::optional<T> item_;
};

}  // namespace weft::fibers::detail
