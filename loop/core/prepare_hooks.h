// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What is asked before the loop waits: EventLoop::add_prepare.

#pragma once

#include <vector>

#include "weft/fibers/clock.h"
#include "weft/loop/detail/handle_node.h"

namespace weft::loop::detail {

class PrepareHooks {
 public:
  explicit PrepareHooks(LoopCore& core) : core_(core) {}
  PrepareHooks(const PrepareHooks&) = delete;
  PrepareHooks& operator=(const PrepareHooks&) = delete;

  bool empty() const { return hooks_.empty(); }
  // Takes over one reference, also when it throws std::bad_alloc.
  void add(HandleNode* node);
  void remove(HandleNode* node);
  void remove_all() noexcept;

  // An iteration begins.
  void begin() {
    wake_at_ = fibers::kForever;
    unasked_ = false;
  }
  void ask();
  // When at the latest they want to be asked again.
  fibers::Instant wake_at() const { return wake_at_; }
  // One has been added since they were asked.
  bool unasked() const { return unasked_; }

 private:
  void ask(HandleNode* node);

  LoopCore& core_;
  std::vector<HandleNode*> hooks_;  // Null where one was removed while they are asked.
  fibers::Instant wake_at_ = fibers::kForever;
  bool asking_ = false;
  bool unasked_ = false;
};

}  // namespace weft::loop::detail
