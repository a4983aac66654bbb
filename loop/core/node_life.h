// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The life of a node: taken from the loop's pool, made ready, called, given back.

#pragma once

#include <new>
#include <source_location>
#include <utility>

#include "loop/core/loop_core.h"

namespace weft::loop::detail {

inline HandleNode* LoopCore::new_node(std::source_location site) {
  void* block = pool_.take(sizeof(CallbackNode));
  ++refs_;
  return ::new (block) CallbackNode(*this, site);
}

[[gnu::always_inline]] inline void LoopCore::recycle(HandleNode* node) noexcept {
  drop_callable(node);
  if (node->context != nullptr) fibers::detail::release_locals(node->context);
  pool_.give(node, sizeof(CallbackNode));
  release();
}

inline void LoopCore::drop_callable(HandleNode* node) noexcept {
  if (const NodeOps* ops = std::exchange(node->ops, nullptr); ops != nullptr) {
    if (ops->destroy != nullptr) ops->destroy(*node);
  }
}

inline void LoopCore::push_ready(HandleNode* node) noexcept {
  node->phase = NodePhase::kQueued;
  ready_.push(node);
  if (sleeper_ != nullptr) wake();
}

inline void LoopCore::returned(HandleNode* node) noexcept {
  if (node->kind == NodeKind::kSignal) {
    signals_.returned(node);
  } else if (node->kind == NodeKind::kOwned && node->owned.again) {
    node->owned.again = false;
    if (closed_) return;
    ++node->refs;
    push_ready(node);
  }
}

}  // namespace weft::loop::detail
