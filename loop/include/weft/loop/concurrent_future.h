// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Futures for threads: what Executor::submit and run_coroutine_threadsafe return.
//
//   ConcurrentFuture<int> answer = run_coroutine_threadsafe(ask(question), loop);
//   use(answer.result(1s));            // blocks this thread; TimeoutError
//
// A Future belongs to its loop's thread. A ConcurrentFuture is any thread's; wrap_future makes a
// Future of it. (Python: concurrent.futures.Future.)

#pragma once

#include <concepts>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include "weft/fibers/clock.h"
#include "weft/fibers/detail/misuse.h"
#include "weft/loop/detail/concurrent_future_core.h"

namespace weft::loop {

struct ConcurrentFutureAccess;

namespace detail {

template <class T>
class ConcurrentBox : public ConcurrentFutureCore {
 public:
  using Stored = std::conditional_t<std::is_void_v<T>, std::monostate, T>;
  std::optional<Stored> value;

  template <class... V>
  void set_value(V&&... args) {
    begin_value();
    try {
      value.emplace(std::forward<V>(args)...);
    } catch (...) {
      drop_value();
      throw;
    }
    finish();
  }
  // The value, of a future that has one.
  T take() {
    if constexpr (!std::is_void_v<T>) {
      if constexpr (std::is_copy_constructible_v<T>) {
        if (is_shared()) return *value;
      }
      return std::move(*value);
    }
  }
};

template <class Fn, class T>
struct ConcurrentFunction final : ConcurrentCallback {
  explicit ConcurrentFunction(Fn given) : fn(std::move(given)) {}
  void call(ConcurrentFutureCore& future) override;
  Fn fn;
};

}  // namespace detail

// A value: copies name the same future; all of its methods may be called on any thread, each copy
// by one at a time. Empty when default-constructed.
template <class T>
class ConcurrentFuture {
  static_assert(!std::is_reference_v<T>, WEFT_RETURNS_NO_REFERENCE);

 public:
  ConcurrentFuture() = default;
  // A pending one, for whoever calls set_running_or_notify_cancel(), and ends it.
  static ConcurrentFuture create() { return ConcurrentFuture(new detail::ConcurrentBox<T>); }
  ConcurrentFuture(const ConcurrentFuture& other) noexcept : box_(other.box_) {
    if (box_ != nullptr) box_->retain();
  }
  ConcurrentFuture(ConcurrentFuture&& other) noexcept : box_(std::exchange(other.box_, nullptr)) {}
  ConcurrentFuture& operator=(ConcurrentFuture other) noexcept {
    std::swap(box_, other.box_);
    return *this;
  }
  ~ConcurrentFuture() {
    if (box_ != nullptr) box_->release();
  }
  explicit operator bool() const { return box_ != nullptr; }
  friend bool operator==(const ConcurrentFuture& a, const ConcurrentFuture& b) = default;

  // Waits until it is done, and gives the result, or throws its exception, or CancelledError.
  // Throws TimeoutError if it is not done within `timeout`. In a task the task alone is suspended,
  // and time is the run's; elsewhere the thread is blocked. On the thread of the loop that is to
  // end the future, outside of tasks, that is for ever.
  //
  // Blocks: until it is done; in a task it suspends that alone.
  // Cancel: in a task at once; the future stays as it is.
  // Threads: any.
  decltype(auto) result(fibers::Duration timeout = fibers::Duration::max()) const& {
    box().require_value(timeout);
    if constexpr (!std::is_void_v<T>) return static_cast<const T&>(*box().value);
  }
  // The same for a future that is not needed any more: moves the value out if it cannot be copied,
  // or nobody else has the future.
  //
  // Blocks: until it is done; in a task it suspends that alone.
  // Cancel: in a task at once; the future stays as it is.
  // Threads: any.
  T result(fibers::Duration timeout = fibers::Duration::max()) && {
    box().require_value(timeout);
    return box().take();
  }
  // The exception, or null if it has a result.
  //
  // Blocks: until it is done; in a task it suspends that alone.
  // Cancel: in a task at once; the future stays as it is.
  // Threads: any.
  std::exception_ptr exception(fibers::Duration timeout = fibers::Duration::max()) const {
    return box().exception(timeout);
  }

  // Cancels what has not begun, whose function is destroyed at once. False if it runs or is done.
  // Of a coroutine, which never counts as running: cancels its task, too.
  bool cancel() { return box().cancel(); }
  bool cancelled() const { return box().cancelled(); }
  bool running() const { return box().running(); }
  bool done() const { return box().done(); }

  // Calls `fn(ConcurrentFuture<T>)`, or `fn()`, on the thread that ends the future, or here and now
  // if it is done. What it throws is logged.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: any.
  template <class F>
  void add_done_callback(F&& fn) const {
    using Callback = detail::ConcurrentFunction<std::decay_t<F>, T>;
    box().add_callback(std::make_unique<Callback>(std::forward<F>(fn)));
  }

  // --- For executors and tests. ---

  // False if it is cancelled: then do not begin. Else it is running, and cannot be cancelled.
  bool set_running_or_notify_cancel() { return box().set_running_or_notify_cancel(); }
  // They throw InvalidStateError if it is done.
  template <class... V>
  void set_result(V&&... value) {
    const ConcurrentFuture kept(*this);  // Whoever waits may drop the last of their own.
    box().set_value(std::forward<V>(value)...);
  }
  void set_exception(std::exception_ptr error) {
    const ConcurrentFuture kept(*this);
    box().set_exception(std::move(error));
  }

 private:
  friend struct ConcurrentFutureAccess;
  explicit ConcurrentFuture(detail::ConcurrentBox<T>* box) noexcept : box_(box) {}
  detail::ConcurrentBox<T>& box() const {
    if (box_ == nullptr) detail::ConcurrentFutureCore::throw_empty();
    return *box_;
  }

  detail::ConcurrentBox<T>* box_ = nullptr;
};

// For weft's own files.
struct ConcurrentFutureAccess {
  // Takes over one reference.
  template <class T>
  static ConcurrentFuture<T> wrap(detail::ConcurrentBox<T>* box) noexcept {
    return ConcurrentFuture<T>(box);
  }
  template <class T>
  static detail::ConcurrentBox<T>& box(const ConcurrentFuture<T>& future) {
    return future.box();
  }
};

namespace detail {
template <class Fn, class T>
void ConcurrentFunction<Fn, T>::call(ConcurrentFutureCore& future) {
  if constexpr (std::invocable<Fn&, ConcurrentFuture<T>>) {
    future.retain();
    std::invoke(fn, ConcurrentFutureAccess::wrap(static_cast<ConcurrentBox<T>*>(&future)));
  } else {
    std::invoke(fn);
  }
}
}  // namespace detail

}  // namespace weft::loop
