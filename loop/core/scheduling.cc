// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// How callbacks get into the loop, and out of it before they have run.

#include <new>
#include <utility>

#include "loop/core/node_life.h"
#include "weft/fibers/errors.h"

namespace weft::loop::detail {

[[gnu::cold]] void LoopCore::refuse(HandleNode* node) {
  release_node(node);
  throw_closed();
}

[[gnu::cold]] void LoopCore::throw_closed() {
  throw fibers::UsageError("Event loop is closed; nothing can be scheduled on it any more");
}

[[gnu::always_inline]] inline HandleNode* LoopCore::take_node(std::source_location site) {
  if (!on_own_thread()) [[unlikely]]
    require_own_thread();
  require_open();
  take_inbox();
  return new_node(site);
}

void LoopCore::require_own_thread() const {
  if (on_own_thread()) return;
  throw fibers::UsageError(
      "Non-thread-safe operation: this event loop belongs to another thread; use "
      "call_soon_threadsafe");
}

void LoopCore::add_timer(HandleNode* node, fibers::Instant when) {
  require_open_for(node);
  node->kind = NodeKind::kTimer;
  node->timer.when = when;
  try {
    timers_.insert(node);
  } catch (...) {
    release_node(node);
    throw;
  }
  if (timers_.top() == node) retime_sleep();
}

void LoopCore::add_prepare(HandleNode* node) {
  require_open_for(node);
  hooks_.add(node);
  if (sleeper_ != nullptr) wake();
}

// What is queued stays in the queue, empty, until its turn comes.
void LoopCore::cancel(HandleNode* node) {
  if (node->blocked()) node->blocked_on->cancel();
  if (node->cancelled || node->kind == NodeKind::kOwned) return;
  const bool registered = node->ops != nullptr && node->phase == NodePhase::kIdle;
  node->cancelled = true;
  ++node->refs;  // The callable may hold the handle that this was called on.
  switch (node->kind) {
    case NodeKind::kTimer:
      if (node->timer.index == HandleNode::kNotInHeap) break;
      {
        const bool was_next = timers_.top() == node;
        timers_.remove(node);
        if (was_next) retime_sleep();
      }
      release_node(node);
      break;
    case NodeKind::kFuture:
      if (!registered) break;
      node->future.core->unlink_callback(node);
      release_node(node);
      break;
    case NodeKind::kFd:
      if (node->fd.watcher != nullptr)
        fds_.remove(node->fd.watcher->fd, node->fd.watcher->direction);
      break;
    case NodeKind::kSignal:
      if (node->signal.entry != nullptr) signals_.remove(*node->signal.entry);
      break;
    case NodeKind::kPrepare:
      hooks_.remove(node);
      break;
    case NodeKind::kSoon:
    case NodeKind::kTask:   // Has no handle.
    case NodeKind::kOwned:  // Its owner's.
      break;
  }
  if (!node->running()) drop_callable(node);
  release_node(node);
}

void LoopCore::forget_everything() noexcept {
  closed_ = true;
  inbox_->close();
  fds_.remove_all();
  signals_.remove_all();
  while (!timers_.empty()) {
    HandleNode* node = timers_.top();
    timers_.remove(node);
    node->cancelled = true;
    finish_node(node);
  }
  while (!ready_.empty()) {
    HandleNode* node = ready_.pop();
    node->phase = NodePhase::kIdle;
    node->cancelled = true;
    finish_node(node);
  }
  batch_ = 0;
  open_objects_.close_all();
  hooks_.remove_all();
  if (LoopPart* const executors = attachments_.executors.get()) executors->loop_closed();
}

// --- What the headers call. ---

HandleNode* take_node(LoopCore& core, std::source_location site) {
  return core.take_node(site);
}

void recycle_node(HandleNode* node) noexcept {
  if (node->kind == NodeKind::kOwned) [[unlikely]]
    return node->ops->destroy(*node);
  node->core->recycle(node);
}

HandleNode* schedule_soon(HandleNode* node) {
  node->core->require_open_for(node);
  ++node->refs;
  node->core->push_ready(node);
  return node;
}

HandleNode* schedule_at(HandleNode* node, fibers::Instant when) {
  node->core->add_timer(node, when);
  ++node->refs;
  return node;
}

void cancel_node(HandleNode* node) {
  node->core->cancel(node);
}

void require_open(const LoopCore& core) {
  core.require_own_thread();
  core.require_open();
}

std::unique_ptr<LoopPart>& executors_of(LoopCore& core) {
  return core.attachments().executors;
}

void* allocate_block(LoopCore& core, std::size_t size) {
  void* block = core.pool().take(size);
  core.retain();
  return block;
}

void free_block(LoopCore& core, void* block, std::size_t size) noexcept {
  core.pool().give(block, size);
  core.release();
}

}  // namespace weft::loop::detail

namespace weft::loop {

void Handle::cancel() {
  detail::cancel_node(&node());
}

}  // namespace weft::loop
