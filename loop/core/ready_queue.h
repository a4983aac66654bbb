// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// First in, first out, without memory of its own: the nodes carry the links.

#pragma once

#include <cstddef>

#include "weft/loop/detail/handle_node.h"

namespace weft::loop::detail {

class ReadyQueue {
 public:
  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }
  void push(HandleNode* node) noexcept {
    node->next = nullptr;
    *tail_ = node;
    tail_ = &node->next;
    ++size_;
  }
  // Neither when empty.
  HandleNode* front() const { return head_; }
  HandleNode* pop() noexcept {
    HandleNode* node = head_;
    head_ = node->next;
    if (head_ == nullptr) tail_ = &head_;
    --size_;
    return node;
  }

 private:
  HandleNode* head_ = nullptr;
  HandleNode** tail_ = &head_;
  std::size_t size_ = 0;
};

}  // namespace weft::loop::detail
