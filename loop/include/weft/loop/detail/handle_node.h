// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What a scheduled callback is made of. Not for use outside weft.

#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <new>
#include <source_location>
#include <type_traits>
#include <utility>

#include "weft/fibers/clock.h"
#include "weft/fibers/context_var.h"
#include "weft/fibers/detail/misuse.h"

namespace weft::loop::detail {

class LoopCore;
class FutureCore;
class LoopObject;
class Runner;
struct FdWatcher;
struct SignalEntry;
struct HandleNode;

// What a node holds besides, by its kind.
struct TimerPart {
  fibers::Instant when;
  std::size_t index;  // In the timer heap; kNotInHeap outside.
};
struct FuturePart {
  FutureCore* core;  // Holds a reference on it only while queued or running.
  HandleNode* prev;  // In the future's list.
};
struct FdPart {
  FdWatcher* watcher;  // Null once removed.
};
struct SignalPart {
  SignalEntry* entry;  // Null once removed.
};
struct OwnedPart {
  LoopObject* owner;
  bool again;  // Another turn is wanted, after the one that is going on.
};
struct PreparePart {
  fibers::Instant wake_at;  // What the hook returned last.
};

// Whom a callback of a future stands for, in call graphs: `future` goes on when the callback runs.
struct AwaitedFor {
  FutureCore* future = nullptr;
  bool part = false;   // Of something that tasks wait for: it is not shown itself.
  bool added = false;  // By future_add_to_awaited_by().
};

struct NodeOps {
  void (*invoke)(HandleNode&);
  // Null if there is nothing to destroy.
  void (*destroy)(HandleNode&) noexcept;
  // What the callable's `awaited_for() const noexcept` says; null if it has none.
  AwaitedFor (*awaited_for)(HandleNode&) noexcept;
};

// Who else knows the node, besides the queue of ready ones.
enum class NodeKind : std::uint8_t {
  kSoon,
  kTask,
  kTimer,
  kFd,
  kSignal,
  kFuture,
  kPrepare,
  kOwned,  // See loop_object.h.
};

// Running: from the call to its return. Blocked is a part of that: the callable waits.
enum class NodePhase : std::uint8_t { kIdle, kQueued, kRunning, kBlocked };

// The bookkeeping of a callback: one cache line. Counted: each Handle and whoever has the node
// scheduled or registered holds one.
struct HandleNode {
  static constexpr std::size_t kNotInHeap = ~std::size_t{0};

  union {
    HandleNode* next;    // Idle or queued: in the ready queue, in a future's list.
    Runner* blocked_on;  // Blocked: whose stack its callable waits on.
  };
  LoopCore* core;                       // Kept alive by each node in use.
  const NodeOps* ops;                   // Null once the callable is gone.
  fibers::detail::TaskLocals* context;  // The variables it runs with, counted; mostly null.
  std::source_location site;
  std::uint32_t refs;
  NodeKind kind;
  NodePhase phase;
  bool cancelled;
  union {
    TimerPart timer;
    FuturePart future;
    FdPart fd;
    SignalPart signal;
    PreparePart prepare;
    OwnedPart owned;
  };

  // A callback of its own, not scheduled, with one reference, and with the variables of whoever
  // makes it. Leaves the link to whoever queues it, and the union to whoever sets `kind`.
  HandleNode(LoopCore& loop, std::source_location where) noexcept
      : core(&loop),
        ops(nullptr),
        context(fibers::detail::context_in_use() ? fibers::detail::share_locals_here() : nullptr),
        site(where),
        refs(1),
        kind(NodeKind::kSoon),
        phase(NodePhase::kIdle),
        cancelled(false) {}

  bool queued() const { return phase == NodePhase::kQueued; }
  bool running() const { return phase >= NodePhase::kRunning; }
  bool blocked() const { return phase == NodePhase::kBlocked; }
};
static_assert(sizeof(HandleNode) == 64);

// One with its callable, from the loop's pool.
struct CallbackNode : HandleNode {
  static constexpr std::size_t kInline = 64;
  using HandleNode::HandleNode;
  alignas(16) unsigned char storage[kInline];
};

// A node with one reference, the caller's. Throws UsageError when the loop is closed or belongs to
// another thread.
HandleNode* take_node(LoopCore& core, std::source_location site);
// Destroys the callable, if it is still there, and gives the node back.
void recycle_node(HandleNode* node) noexcept;
inline void release_node(HandleNode* node) noexcept {
  if (--node->refs == 0) recycle_node(node);
}
// Each takes over the caller's reference and adds one to return. Throws UsageError when the loop is
// closed: the constructor of the callable may have waited since take_node().
HandleNode* schedule_soon(HandleNode* node);
HandleNode* schedule_at(HandleNode* node, fibers::Instant when);
void cancel_node(HandleNode* node);

// How the stored callable is called.
struct CallPlain {
  template <class F>
  static void call(F& fn, HandleNode&) {
    static_cast<void>(std::invoke(fn));
  }
};
struct CallPrepare {
  template <class F>
  static void call(F& fn, HandleNode& node) {
    if constexpr (std::is_void_v<std::invoke_result_t<F&>>) {
      std::invoke(fn);
      node.prepare.wake_at = fibers::kForever;
    } else {
      node.prepare.wake_at = std::invoke(fn);
    }
  }
};

template <class F, class Call>
struct NodeCallable {
  static constexpr bool kFits = sizeof(F) <= CallbackNode::kInline && alignof(F) <= 16;

  static F& get(HandleNode& node) noexcept {
    auto* const storage = static_cast<CallbackNode&>(node).storage;
    if constexpr (kFits) {
      return *std::launder(reinterpret_cast<F*>(storage));
    } else {
      return **std::launder(reinterpret_cast<F**>(storage));
    }
  }
  static void invoke(HandleNode& node) { Call::call(get(node), node); }
  static void destroy(HandleNode& node) noexcept {
    if constexpr (kFits) {
      get(node).~F();
    } else {
      delete &get(node);
    }
  }
  static AwaitedFor awaited_for(HandleNode& node) noexcept {
    if constexpr (requires(const F& fn) { fn.awaited_for(); }) {
      return get(node).awaited_for();
    } else {
      return {};
    }
  }
  static constexpr bool kStandsForFuture = requires(const F& fn) { fn.awaited_for(); };
  static constexpr NodeOps kOps{&invoke,
                                kFits&& std::is_trivially_destructible_v<F> ? nullptr : &destroy,
                                kStandsForFuture ? &awaited_for : nullptr};
};

// Puts the callable into a fresh node; on failure gives the node back.
template <class Call, class F>
void emplace_callable(HandleNode* node, F&& fn) {
  using Fn = std::decay_t<F>;
  using Callable = NodeCallable<Fn, Call>;
  auto* const storage = static_cast<CallbackNode*>(node)->storage;
  if constexpr (Callable::kFits && std::is_nothrow_constructible_v<Fn, F>) {
    ::new (static_cast<void*>(storage)) Fn(std::forward<F>(fn));
  } else {
    try {
      if constexpr (Callable::kFits) {
        ::new (static_cast<void*>(storage)) Fn(std::forward<F>(fn));
      } else {
        ::new (static_cast<void*>(storage)) Fn*(new Fn(std::forward<F>(fn)));
      }
    } catch (...) {
      release_node(node);
      throw;
    }
  }
  node->ops = &Callable::kOps;
}

template <class Call = CallPlain, class F>
HandleNode* make_node(LoopCore& core, F&& fn, std::source_location site) {
  if constexpr (std::is_same_v<Call, CallPlain>) {
    static_assert(std::invocable<std::decay_t<F>&>, WEFT_TAKES_NO_ARGUMENTS);
  }
  HandleNode* node = take_node(core, site);
  emplace_callable<Call>(node, std::forward<F>(fn));
  return node;
}

}  // namespace weft::loop::detail
