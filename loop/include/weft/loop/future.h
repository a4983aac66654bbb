// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Futures: results that callbacks deliver. Make one with EventLoop::create_future.
//
//   Future<int> answer = loop.create_future<int>();
//   ask(question, [answer](int value) mutable { answer.set_result(value); });   // a callback API
//   int value = await(answer);                       // any fiber: suspends itself, not the loop
//
// A future is pending, then done: with a value, with an exception, or cancelled. Its callbacks are
// always scheduled, never called in place; fibers that await it are made ready at once.
// (asyncio.Future.)

#pragma once

#include <cstddef>
#include <exception>
#include <functional>
#include <source_location>
#include <string>
#include <type_traits>
#include <utility>

#include "weft/loop/detail/future_box.h"
#include "weft/loop/errors.h"
#include "weft/loop/handle.h"

namespace weft::loop {

// Any future, whatever its type. A value: copies are the same future. Used on the loop's own thread
// only, also to copy; what other threads finish goes through EventLoop::call_soon_threadsafe. To
// end one from another thread is refused: UsageError.
// May outlive the loop. All but operator bool, assignment and destruction throw UsageError when
// empty.
class FutureBase {
 public:
  FutureBase() = default;
  FutureBase(const FutureBase& other) noexcept : core_(other.core_) {
    if (core_ != nullptr) core_->retain();
  }
  FutureBase(FutureBase&& other) noexcept : core_(std::exchange(other.core_, nullptr)) {}
  FutureBase& operator=(FutureBase other) noexcept {
    std::swap(core_, other.core_);
    return *this;
  }
  ~FutureBase() {
    if (core_ != nullptr) core_->release();
  }
  explicit operator bool() const { return core_ != nullptr; }
  friend bool operator==(const FutureBase& a, const FutureBase& b) { return a.core_ == b.core_; }

  bool done() const { return core().done(); }
  bool cancelled() const { return core().state() == detail::FutureCore::State::kCancelled; }
  // The exception it ended with; null if it has a value. Throws InvalidStateError while pending and
  // CancelledError if cancelled. An exception that nobody asks for, here, by result() or by
  // await(), is reported to the exception handler when the last copy of the future goes.
  std::exception_ptr exception() const { return core().exception(); }

  // Ends it with an exception. Throws InvalidStateError if it is done.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the loop's own only.
  void set_exception(std::exception_ptr error) { core().set_exception(std::move(error)); }
  template <class E>
  requires(!std::is_same_v<std::decay_t<E>, std::exception_ptr>) void set_exception(E&& error) {
    core().set_exception(std::make_exception_ptr(std::forward<E>(error)));
  }
  // Ends it as cancelled. False, and nothing happens, if it is done.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the loop's own only.
  bool cancel(std::string message = {}) {
    core().require_own_thread();
    return core().cancel(detail::FutureCore::cancelled_error(std::move(message)));
  }

  // Schedules `fn(future)`, or `fn()` if it takes nothing, by call_soon as soon as the future is
  // done, or now if it is. The handle cancels or removes it.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the loop's own only.
  template <class F>
  Handle add_done_callback(F&& fn, std::source_location site = std::source_location::current()) {
    return add_callback<FutureBase>(std::forward<F>(fn), site);
  }
  // Takes a callback off again. How many were: 0 if it is scheduled already. (asyncio compares
  // callables; C++ cannot, so this compares handles.)
  std::size_t remove_done_callback(const Handle& callback) {
    return core().remove_callback(HandleAccess::node(callback));
  }

  // Throws UsageError if the loop is gone.
  EventLoop& get_loop() const { return core().event_loop(); }
  // Where it was created.
  std::source_location source() const { return core().site(); }

 protected:
  friend struct FutureAccess;
  // Takes over one reference.
  explicit FutureBase(detail::FutureCore* core) noexcept : core_(core) {}
  detail::FutureCore& core() const {
    if (core_ == nullptr) throw_empty();
    return *core_;
  }
  [[noreturn]] static void throw_empty();

  template <class Self>
  struct CallWithFuture {
    template <class F>
    static void call(F& fn, detail::HandleNode& node) {
      if constexpr (std::is_invocable_v<F&>) {
        static_cast<void>(std::invoke(fn));
      } else {
        node.future.core->retain();
        static_cast<void>(std::invoke(fn, Self(node.future.core)));
      }
    }
  };
  template <class Self, class F>
  Handle add_callback(F&& fn, std::source_location site) {
    const FutureBase kept(*this);  // A constructor of `fn` may wait, as in set_result().
    detail::FutureCore& c = kept.core();
    detail::HandleNode* node =
        detail::make_node<CallWithFuture<Self>>(c.loop(), std::forward<F>(fn), site);
    return HandleAccess::wrap(c.add_callback(node));
  }

  detail::FutureCore* core_ = nullptr;
};

// T may be void, or move-only.
template <class T>
class Future : public FutureBase {
 public:
  Future() = default;

  // The value, which stays in the future. Throws the exception it ended with, InvalidStateError
  // while pending, CancelledError if cancelled.
  decltype(auto) result() const {
    core().require_value();
    if constexpr (!std::is_void_v<T>) return static_cast<const T&>(*box().value);
  }
  // Moves the value out. Once only, and for one reader only.
  T take_result() {
    core().require_value();
    if constexpr (!std::is_void_v<T>) return std::move(*box().value);
  }

  // Ends it with a value, made of the arguments. Throws InvalidStateError if it is done, also if
  // somebody else ends it while the value's constructor waits; what a constructor throws comes out,
  // and the future stays pending. cancel() while the value is being moved in (or built, if it
  // cannot be moved) answers true, and takes effect only if that throws.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the loop's own only.
  template <class... V>
  void set_result(V&&... value) {
    if constexpr (std::is_void_v<T>) {
      static_assert(sizeof...(V) == 0, "a Future<void> has no value");
      core().require_pending();
      core().finish();
    } else if constexpr (std::is_trivially_constructible_v<T, V...>) {
      core();
      box().set_value(std::forward<V>(value)...);
    } else {
      core();
      const Future kept(*this);  // A constructor may wait, and this be assigned to meanwhile.
      kept.box().set_value(std::forward<V>(value)...);
    }
  }

  // In a coroutine: as await(), but that it suspends the coroutine. Include coro.h.
  auto operator co_await() const;

  // FutureBase::add_done_callback, with a Future<T> for the callback.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the loop's own only.
  template <class F>
  Handle add_done_callback(F&& fn, std::source_location site = std::source_location::current()) {
    return add_callback<Future>(std::forward<F>(fn), site);
  }

 private:
  friend class FutureBase;
  friend struct FutureAccess;
  using FutureBase::FutureBase;
  explicit Future(detail::FutureCore* core) noexcept : FutureBase(core) {}
  detail::FutureBox<T>& box() const { return static_cast<detail::FutureBox<T>&>(*core_); }
};

// For weft's own files.
struct FutureAccess {
  template <class T>
  static Future<T> wrap(detail::FutureBox<T>* box) {
    return Future<T>(box);
  }
  static detail::FutureCore& core(const FutureBase& future) { return future.core(); }
  static FutureBase share(detail::FutureCore& core) noexcept {
    core.retain();
    return FutureBase(&core);
  }
  static detail::TaskCore& task(const FutureBase& future) { return *future.core().task(); }
};

namespace detail {
// The value, moved if nobody else can want it, or the exception of a future that is done.
template <class T>
T take_outcome(Future<T> future) {
  if constexpr (std::is_void_v<T>) {
    future.result();
  } else if constexpr (std::is_copy_constructible_v<T>) {
    if (FutureAccess::core(future).is_shared()) return future.result();
    return future.take_result();
  } else {
    return future.take_result();
  }
}
}  // namespace detail

// Suspends the calling fiber until the future is done; leaves its outcome where it is. Any fiber of
// the run may call it: a blocking callback, or a task that has nothing to do with the loop.
//
// Blocks: unless the future is done.
// Cancel: cancels the future, once, and goes on waiting for its end; if that end is cancelled,
//         throws fibers::Cancelled, and in a callback that was cancelled, once, CancelledError.
//         (asyncio: what cancelling a task does to what it awaits.) While the loop does not run,
//         at once.
// Threads: the loop's own only.
void wait(const FutureBase& future);

// The same, and returns the value or throws the exception, CancelledError if somebody else
// cancelled the future. Copies the value; moves it if it cannot be copied or this is the last copy
// of the future.
//
// Blocks: unless the future is done.
// Cancel: as wait().
// Threads: the loop's own only.
template <class T>
[[gnu::always_inline]] inline T await(Future<T> future) {
  FutureAccess::core(future).wait();
  return detail::take_outcome(std::move(future));
}

}  // namespace weft::loop
