// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Handles: what scheduling a callback returns, to cancel it by.

#pragma once

#include <source_location>
#include <utility>

#include "weft/fibers/clock.h"
#include "weft/fibers/context_var.h"
#include "weft/loop/detail/empty.h"
#include "weft/loop/detail/handle_node.h"

namespace weft::loop {

class EventLoop;

// A value: copies name the same callback. May be dropped at once (the callback runs all the same)
// and may outlive the loop. Not thread-safe, not even to copy: what other threads get is a
// ThreadsafeHandle. (asyncio.Handle.)
class Handle {
 public:
  // An empty handle: all but assignment, destruction, comparison and operator bool throw
  // UsageError.
  Handle() = default;
  Handle(const Handle& other) noexcept : node_(other.node_) {
    if (node_ != nullptr) ++node_->refs;
  }
  Handle(Handle&& other) noexcept : node_(std::exchange(other.node_, nullptr)) {}
  Handle& operator=(Handle other) noexcept {
    std::swap(node_, other.node_);
    return *this;
  }
  ~Handle() {
    if (node_ != nullptr) detail::release_node(node_);
  }
  explicit operator bool() const { return node_ != nullptr; }
  friend bool operator==(const Handle& a, const Handle& b) { return a.node_ == b.node_; }

  // A callback that has not started never will, and is destroyed at once. One that is blocked has
  // the scope cancelled that it runs in: its wait throws fibers::Cancelled, which ends there; if it
  // awaits a future, CancelledError, once. One that is calling this itself goes on. One that has
  // run stays as it is. For the handle of a reader or writer: removes it too. Harmless when
  // repeated.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the loop's own only.
  void cancel();
  // Whether cancel() was called, or the callback was replaced or removed.
  bool cancelled() const { return node().cancelled; }
  // A copy of the context that the callback runs in: the variables of whoever handed it in, and
  // what the callback itself has set in calls that are over.
  fibers::Context get_context() const {
    return fibers::ContextAccess::make(fibers::detail::share_locals(node().context));
  }
  // Where the callback was handed in.
  std::source_location source() const { return node().site; }

 protected:
  friend struct HandleAccess;
  // Takes over one reference.
  explicit Handle(detail::HandleNode* node) : node_(node) {}
  detail::HandleNode& node() const {
    if (node_ == nullptr) detail::throw_empty("Handle", "it names no callback");
    return *node_;
  }
  detail::HandleNode* node_ = nullptr;
};

// (asyncio.TimerHandle.)
class TimerHandle : public Handle {
 public:
  TimerHandle() = default;
  // The loop time at which the callback is due.
  fibers::Instant when() const { return node().timer.when; }

 private:
  friend struct HandleAccess;
  using Handle::Handle;
};

// What EventLoop::add_prepare returns; cancel() takes the hook off.
class PrepareHandle : public Handle {
 public:
  PrepareHandle() = default;

 private:
  friend struct HandleAccess;
  using Handle::Handle;
};

namespace detail {
struct ThreadsafeCall;
void retain_call(ThreadsafeCall* call) noexcept;
void release_call(ThreadsafeCall* call) noexcept;
}  // namespace detail

// What call_soon_threadsafe returns: a Handle for all threads. An empty one is as an empty Handle.
class ThreadsafeHandle {
 public:
  ThreadsafeHandle() = default;
  ThreadsafeHandle(const ThreadsafeHandle& other) noexcept : call_(other.call_) {
    if (call_ != nullptr) detail::retain_call(call_);
  }
  ThreadsafeHandle(ThreadsafeHandle&& other) noexcept
      : call_(std::exchange(other.call_, nullptr)) {}
  ThreadsafeHandle& operator=(ThreadsafeHandle other) noexcept {
    std::swap(call_, other.call_);
    return *this;
  }
  ~ThreadsafeHandle() {
    if (call_ != nullptr) detail::release_call(call_);
  }
  explicit operator bool() const { return call_ != nullptr; }

  // A callback that has not started never will. One that is blocked is cancelled, soon if this is
  // another thread; one that runs without blocking goes on.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: any, but no signal handlers.
  void cancel();
  // Whether cancel() was called before the callback had ended.
  bool cancelled() const;

 private:
  friend struct HandleAccess;
  explicit ThreadsafeHandle(detail::ThreadsafeCall* call) : call_(call) {}
  detail::ThreadsafeCall* call() const {
    if (call_ == nullptr) detail::throw_empty("ThreadsafeHandle", "it names no callback");
    return call_;
  }
  detail::ThreadsafeCall* call_ = nullptr;
};

// For the loop's own files.
struct HandleAccess {
  template <class H = Handle>
  static H wrap(detail::HandleNode* node) {
    return H(node);
  }
  static ThreadsafeHandle wrap(detail::ThreadsafeCall* call) { return ThreadsafeHandle(call); }
  static detail::HandleNode* node(const Handle& handle) { return handle.node_; }
};

}  // namespace weft::loop
