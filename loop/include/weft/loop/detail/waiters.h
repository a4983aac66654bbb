// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What the synchronisation primitives are made of. Not for use outside weft.

#pragma once

#include <cstddef>
#include <exception>
#include <utility>

#include "weft/loop/future.h"

namespace weft::loop::detail {

// A future that does not end when it is cancelled: it remembers that, and whoever has waited for it
// throws the cancellation afterwards. It is what Condition.wait() takes its lock back with.
class LastingFuture final : public FutureBox<void> {
 public:
  using FutureBox<void>::FutureBox;
  bool cancel(std::exception_ptr payload) override;
  // For whoever has waited: what to throw, or null if nobody has cancelled the future. In a
  // cancelled scope of fibers that is its Cancelled.
  std::exception_ptr take_cancellation();

 private:
  void destroy() noexcept override;
  bool asked_ = false;
  std::exception_ptr payload_;  // Of the last cancellation.
};

// The loop that a primitive belongs to: that of the first call that had to wait, for good.
// (asyncio: mixins._LoopBoundMixin.)
class LoopBinding {
 public:
  LoopBinding() = default;
  explicit LoopBinding(EventLoop& loop);
  // Futures of that loop. `what` names the primitive for the error: UsageError, if another loop is
  // running, or if none is and this is the first call.
  Future<void> create_future(const char* what);
  // The second refers to the first one's state.
  std::pair<Future<void>, LastingFuture*> create_lasting_future(const char* what);

 private:
  LoopCore& bind(const char* what);
  Future<void> token_;  // Of the loop; keeps its core. Empty: not bound.
};

class Waiter;

// Those who wait for a primitive, in the order in which they came. One that has been woken leaves
// the line, but is counted until its task runs. One that has been cancelled stays in the line until
// its task runs.
class Waiters {
 public:
  Waiters() = default;
  Waiters(const Waiters&) = delete;
  Waiters& operator=(const Waiters&) = delete;

  std::size_t size() const { return linked_ + woken_; }
  // Whether everybody has been cancelled, also if there is nobody.
  bool all_cancelled() const;
  // Wakes the first who waits. False if there is nobody.
  bool wake_next() noexcept;
  // Makes sure that somebody comes, who then sees to the others: the first in the line has been
  // woken, now or before, or has been cancelled.
  void wake_first() noexcept;
  // Throws UsageError on another thread than the loop's, if anybody waits.
  void require_own_thread() const;
  // Calls `fn` with the future of each who has not been woken, in their order.
  template <class F>
  void for_each(F&& fn) const;

 private:
  friend class Waiter;
  void wake(Waiter& waiter) noexcept;
  Waiter* first_ = nullptr;  // Of those who have not been woken.
  Waiter* last_ = nullptr;
  std::size_t linked_ = 0;
  std::size_t woken_ = 0;
};

// One of them. Lies in the frame of its coroutine, and leaves with it whatever happens.
class Waiter {
 public:
  Waiter(Waiters& waiters, Future<void> future) noexcept;
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;
  ~Waiter() { leave(); }

  const Future<void>& future() const { return future_; }
  // Also if its task has been cancelled since.
  bool woken() const { return woken_; }
  void leave() noexcept;

 private:
  friend class Waiters;
  void unlink() noexcept;
  Waiters& waiters_;
  Future<void> future_;
  Waiter* next_ = nullptr;
  Waiter* prev_ = nullptr;
  bool linked_ = true;
  bool woken_ = false;
  bool left_ = false;
};

template <class F>
void Waiters::for_each(F&& fn) const {
  for (const Waiter* waiter = first_; waiter != nullptr; waiter = waiter->next_) {
    fn(waiter->future());
  }
}

// What is inside of a primitive, for bindings to other languages, whose objects show it.
struct SyncAccess {
  template <class P>
  static const Waiters& waiters(const P& primitive) {
    return primitive.waiters_;
  }
  template <class P>
  static void bind(P& primitive, EventLoop& loop) {
    primitive.binding_ = LoopBinding(loop);
  }
  template <class S>
  static auto value(const S& semaphore) {
    return semaphore.value_;
  }
  template <class B>
  static auto count(const B& barrier) {
    return barrier.count_;
  }
  template <class B>
  static const char* state_name(const B& barrier) {
    static constexpr const char* kNames[] = {"filling", "draining", "resetting", "broken"};
    return kNames[static_cast<int>(barrier.state_)];
  }
  template <class Q>
  static auto& core(Q& queue) {
    return queue.core_;
  }
};

}  // namespace weft::loop::detail
