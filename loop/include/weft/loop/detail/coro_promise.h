// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What a coroutine keeps, and who resumes it. Not for use outside weft.

#pragma once

#include "weft/fibers/detail/requirements.h"  // Before <coroutine> complains.

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>
#include <variant>

#include "weft/fibers/detail/sanitizers.h"
#include "weft/loop/detail/future_core.h"

// Going from one coroutine to the next is a jump where the compiler makes it one: clang does so
// always, gcc from -O2 on, and with -O1 or a sanitizer not, which no macro tells. Elsewhere it
// would be a call, and use up the stack: there the driver does it. Both kinds may meet in one
// program; who compiles with gcc and -O2 may define this to save the detour.
#if defined(__clang__) && !defined(WEFT_COROUTINES_TAIL_CALL)
#define WEFT_COROUTINES_TAIL_CALL
#endif

namespace weft::loop::detail {

class CoroAccess;
class ForeignWait;
class TaskCore;

// Memory for coroutine frames, kept by the thread for the next one.
void* allocate_frame(std::size_t size);
void free_frame(void* frame, std::size_t size) noexcept;
void report_never_awaited(const std::source_location& where) noexcept;

// Resumes a coroutine and those that it awaits, one inside the other, until the innermost waits.
class CoroDriver {
 public:
  enum class Stop : std::uint8_t { kEnded, kAwaits, kYields, kElsewhere };

  CoroDriver() = default;
  // Of a task's code.
  explicit CoroDriver(TaskCore& task) noexcept : task_(&task) {}

  // `error`: thrown at the point where the innermost waits; null to go on.
  Stop resume(std::exception_ptr error);
  // Who waits, between two calls of resume(); before the first, who is to begin.
  std::coroutine_handle<> innermost() const { return next_; }
  // What the innermost waits for, after kAwaits.
  FutureCore& awaited() const { return *awaited_; }
  // The same after kElsewhere: an awaitable that is not the loop's.
  ForeignWait& elsewhere() const { return *elsewhere_; }

  // --- For the coroutines. ---
  void begin(std::coroutine_handle<> first) noexcept { next_ = first; }
  // Goes on with `next` in the place of whoever suspends: what await_suspend() returns.
  std::coroutine_handle<> transfer(std::coroutine_handle<> next) noexcept {
#ifdef WEFT_COROUTINES_TAIL_CALL
    return next;
#else
    next_ = next;
    transferred_ = true;
    return std::noop_coroutine();
#endif
  }
  void wait_for(FutureCore& future, std::coroutine_handle<> waits) noexcept {
    stop_ = Stop::kAwaits;
    awaited_ = &future;
    next_ = waits;
  }
  void yield(std::coroutine_handle<> waits) noexcept {
    stop_ = Stop::kYields;
    next_ = waits;
  }
  void wait_elsewhere(ForeignWait& wait, std::coroutine_handle<> waits) noexcept {
    stop_ = Stop::kElsewhere;
    elsewhere_ = &wait;
    next_ = waits;
  }
  void end() noexcept {
    stop_ = Stop::kEnded;
  }
  // Where the innermost goes on: throws what it is to throw.
  void throw_error() {
    if (error_ != nullptr) [[unlikely]]
      std::rethrow_exception(std::exchange(error_, nullptr));
  }
  // A wait elsewhere is about to begin: throws a cancellation of the task that has not been thrown.
  void throw_cancellation();
  // What the end of that wait is to whoever runs the coroutine, if it says that it was cancelled;
  // null if nobody has cancelled it.
  void set_cancellation(std::exception_ptr error) noexcept {
    cancellation_ = std::move(error);
  }
  // In a handler: it has ended in what was thrown. Throws that, or what it stands for.
  [[noreturn]] void rethrow_from_elsewhere();

 private:
  std::coroutine_handle<> next_;  // The innermost.
  bool transferred_ = false;
  TaskCore* task_ = nullptr;
  FutureCore* awaited_ = nullptr;
  ForeignWait* elsewhere_ = nullptr;
  std::exception_ptr error_;
  std::exception_ptr cancellation_;
  Stop stop_ = Stop::kEnded;
};

class PromiseBase {
 public:
  explicit PromiseBase(std::source_location where) noexcept : where_(where) {}
  PromiseBase(const PromiseBase&) = delete;
  PromiseBase& operator=(const PromiseBase&) = delete;

  // NOLINTNEXTLINE(misc-new-delete-overloads): the one with a size is its match.
  static void* operator new(std::size_t size) { return allocate_frame(size); }
  static void operator delete(void* frame, std::size_t size) noexcept { free_frame(frame, size); }

  std::suspend_always initial_suspend() const noexcept { return {}; }
  // An awaitable that is not the loop's is adapted; see foreign_awaiter.h.
  template <class A>
  auto await_transform(A&& awaitable);
  // Goes on with whoever awaits this one.
  struct Final {
    bool await_ready() const noexcept { return false; }
    template <class P>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<P> ended) const noexcept {
      PromiseBase& promise = ended.promise();
      if (promise.awaiter_ != nullptr) return promise.driver_->transfer(promise.awaiter_);
      promise.driver_->end();
      return std::noop_coroutine();
    }
    void await_resume() const noexcept {}
  };
  Final final_suspend() const noexcept { return {}; }
  void unhandled_exception() noexcept { error_ = std::current_exception(); }

  CoroDriver& driver() const { return *driver_; }
  bool started() const { return driver_ != nullptr; }
  void start(CoroDriver& driver, std::coroutine_handle<> awaiter = nullptr) noexcept {
    driver_ = &driver;
    awaiter_ = awaiter;
  }
  std::exception_ptr take_error() noexcept { return std::exchange(error_, nullptr); }
  const std::source_location& where() const { return where_; }
  // Who awaits this one; null if nobody does.
  std::coroutine_handle<> awaiter() const { return awaiter_; }
  // That of a coroutine whose type is not known. Promises begin with this base, and are aligned as
  // it is or by one word more: check_promise() sees to it.
  static const PromiseBase& of(std::coroutine_handle<> coroutine) noexcept {
    return std::coroutine_handle<PromiseBase>::from_address(coroutine.address()).promise();
  }
  template <class P>
  static constexpr void check_promise() {
    static_assert(alignof(P) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__,
                  "over-aligned values do not fit the frame of a coroutine");
    static_assert(!std::is_polymorphic_v<P>, "a vtable would come before the base");
  }

 protected:
  void rethrow() {
    if (error_ != nullptr) std::rethrow_exception(std::exchange(error_, nullptr));
  }

 private:
  friend class CoroAccess;
  CoroDriver* driver_ = nullptr;  // From its start.
  std::coroutine_handle<> awaiter_;
  std::exception_ptr error_;
  std::source_location where_;
};

template <class T>
class Promise : public PromiseBase {
 public:
  using PromiseBase::PromiseBase;
  template <class V>
  requires std::is_constructible_v<T, V&&>
  void return_value(V&& value) { value_.emplace(std::forward<V>(value)); }
  // The value, moved out, or what it has thrown.
  T take() {
    rethrow();
    return std::move(*value_);
  }

 private:
  std::optional<T> value_;
};

template <>
class Promise<void> : public PromiseBase {
 public:
  using PromiseBase::PromiseBase;
  void return_void() const noexcept {}
  void take() { rethrow(); }
};

}  // namespace weft::loop::detail
