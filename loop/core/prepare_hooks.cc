// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "loop/core/prepare_hooks.h"

#include <algorithm>
#include <cstddef>
#include <exception>
#include <utility>

#include "loop/core/node_life.h"
#include "weft/fibers/no_suspend.h"

namespace weft::loop::detail {

void PrepareHooks::add(HandleNode* node) {
  node->kind = NodeKind::kPrepare;
  node->prepare.wake_at = fibers::kForever;
  try {
    hooks_.push_back(node);
  } catch (...) {
    release_node(node);
    throw;
  }
  unasked_ = true;
}

void PrepareHooks::remove(HandleNode* node) {
  const auto found = std::find(hooks_.begin(), hooks_.end(), node);
  if (found == hooks_.end()) return;
  if (asking_) {
    *found = nullptr;
  } else {
    hooks_.erase(found);
  }
  release_node(node);
}

// A callable's destructor may cancel other hooks: meanwhile none leaves the vector.
void PrepareHooks::remove_all() noexcept {
  const bool asking = std::exchange(asking_, true);
  for (std::size_t i = 0; i < hooks_.size(); ++i) {
    HandleNode* const node = std::exchange(hooks_[i], nullptr);
    if (node == nullptr) continue;
    node->cancelled = true;
    // The callable of the one that is being asked goes after that.
    if (!node->running()) LoopCore::drop_callable(node);
    release_node(node);
  }
  asking_ = asking;
  if (!asking) hooks_.clear();
}

// Hooks may add and remove hooks; those added now are asked the next time.
void PrepareHooks::ask() {
  asking_ = true;
  // Also when an exception handler has thrown.
  struct Asked {
    PrepareHooks& hooks;
    ~Asked() {
      hooks.asking_ = false;
      std::erase(hooks.hooks_, nullptr);
    }
  } const asked{*this};
  const std::size_t count = hooks_.size();
  for (std::size_t i = 0; i < count; ++i) {
    if (hooks_[i] != nullptr) ask(hooks_[i]);
  }
}

void PrepareHooks::ask(HandleNode* node) {
  ++node->refs;
  node->phase = NodePhase::kRunning;
  std::exception_ptr error;
  {
    const fibers::NoSuspend guard("a prepare hook of the event loop");
    try {
      node->ops->invoke(*node);
    } catch (...) {
      node->prepare.wake_at = fibers::kForever;
      error = core_.reports().try_to_report({.message = text("Exception in a prepare hook"),
                                             .exception = std::current_exception(),
                                             .source = node->site});
    }
  }
  node->phase = NodePhase::kIdle;
  if (node->cancelled) {
    LoopCore::drop_callable(node);
  } else {
    wake_at_ = std::min(wake_at_, node->prepare.wake_at);
  }
  release_node(node);
  if (error != nullptr) std::rethrow_exception(error);
}

}  // namespace weft::loop::detail
