// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The part of a future that does not depend on its type. Not for use outside weft.

#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <new>
#include <optional>
#include <source_location>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

#include "weft/fibers/lowlevel.h"
#include "weft/loop/detail/handle_node.h"

namespace weft::loop {
class EventLoop;
}

namespace weft::loop::detail {

class FutureCore;

// A fiber in FutureCore::wait(). Lies on its stack.
struct FutureWaiter {
  explicit FutureWaiter(FutureCore& future) noexcept : core(future) {}
  FutureWaiter(const FutureWaiter&) = delete;
  FutureWaiter& operator=(const FutureWaiter&) = delete;
  // Also when the wait is refused before it begins.
  inline ~FutureWaiter();

  FutureCore& core;
  fibers::Task* task = nullptr;
  FutureWaiter* next = nullptr;
  FutureWaiter* prev = nullptr;
  bool linked = false;
  std::optional<fibers::RaiseCancel> cancelled = std::nullopt;  // What has cancelled the wait.
};

// Memory of the loop's pool, in classes of 64 bytes; large blocks go to the heap. Each block in use
// keeps the loop's core alive.
void* allocate_block(LoopCore& core, std::size_t size);
void free_block(LoopCore& core, void* block, std::size_t size) noexcept;

// A future's state machine: pending, then finished or cancelled, once. Those who wait for it are
// woken and its callbacks scheduled at that moment, each in the order in which they came.
class FutureCore {
 public:
  enum class State : std::uint8_t { kPending, kCancelled, kFinished };

  FutureCore(LoopCore& loop, std::source_location site) noexcept : loop_(&loop), site_(site) {}
  FutureCore(const FutureCore&) = delete;
  FutureCore& operator=(const FutureCore&) = delete;

  void retain() noexcept { ++refs_; }
  void release() noexcept {
    if (--refs_ == 0) dispose();
  }
  bool is_shared() const { return refs_ > 1; }

  State state() const { return state_; }
  bool done() const { return state_ != State::kPending; }
  LoopCore& loop() const { return *loop_; }
  EventLoop& event_loop() const;
  std::source_location site() const { return site_; }

  // Asks for the future to end as cancelled; for a plain one that is done at once. False if it was
  // done already. Virtual for what only passes the wish on, and ends later.
  virtual bool cancel(std::string message);
  void set_exception(std::exception_ptr error);
  // Throws UsageError on another thread than the loop's. A library's own thread that ends a future
  // would else corrupt the loop's lists, and be found out by chance.
  void require_own_thread() const;
  // The same, and throws InvalidStateError unless pending.
  void require_pending() const;
  // The value has been put in place.
  void finish();
  // Around putting a value in place by code of the user, which may wait, throw or come back here.
  // begin_value() throws as require_pending() does, also when another value is on its way. Until
  // finish() or drop_value() nobody else ends the future; a cancel() meanwhile answers true, and
  // takes effect if there is no value in the end.
  void begin_value();
  void drop_value() noexcept;
  // Throws InvalidStateError while pending, CancelledError, or the exception; else there is a
  // value.
  void require_value() {
    if (state_ != State::kFinished || exception_ != nullptr) throw_what_there_is();
  }
  // The exception or null; throws as require_value() does otherwise.
  std::exception_ptr exception();

  // Takes over the node's one reference and adds one to return.
  HandleNode* add_callback(HandleNode* node);
  std::size_t remove_callback(HandleNode* node);
  void unlink_callback(HandleNode* node) noexcept;

  // Returns when it is done. When the waiting task is cancelled, cancels the future, once, and if
  // it ends cancelled throws fibers::Cancelled, or CancelledError in a callback; else waits on.
  // Inline, so that between the caller and the switch there is one frame only: the processor
  // guesses the returns of all others wrongly (tools/docs/adr/0008).
  [[gnu::always_inline]] inline void wait() {
    if (done()) return;
    FutureWaiter waiter(*this);
    begin_wait(waiter);
    fibers::detail::wait_rescheduled(&abort_wait, &waiter, {"a future", -1, this});
    if (waiter.cancelled) [[unlikely]]
      raise_cancellation(*waiter.cancelled);
  }

 protected:
  virtual ~FutureCore() = default;
  // Destroys this and frees its block.
  virtual void destroy() noexcept = 0;

 private:
  friend struct FutureWaiter;
  void begin_wait(FutureWaiter& waiter);
  static fibers::Abort abort_wait(void* waiter, const fibers::RaiseCancel& raise);
  void link(FutureWaiter& waiter) noexcept;
  void unlink(FutureWaiter& waiter) noexcept;
  void dispose() noexcept;
  void complete(State state);
  void wake_waiters() noexcept;
  void schedule_callbacks();
  void drop_callbacks() noexcept;
  void cancel_for_waiter() noexcept;
  void raise_cancellation(const fibers::RaiseCancel& cancelled) const;
  void report_unretrieved() noexcept;
  [[noreturn]] void throw_what_there_is();

  LoopCore* loop_;
  std::source_location site_;
  std::uint32_t refs_ = 1;
  State state_ = State::kPending;
  bool unretrieved_ = false;    // Ended in an exception that nobody has asked for.
  bool value_coming_ = false;   // Between begin_value() and its end.
  bool cancel_missed_ = false;  // Cancelled in between.
  std::exception_ptr exception_;
  std::string* cancel_message_ = nullptr;  // Owned; null for none.
  HandleNode* first_callback_ = nullptr;
  HandleNode* last_callback_ = nullptr;
  FutureWaiter* first_waiter_ = nullptr;
  FutureWaiter* last_waiter_ = nullptr;
};

FutureWaiter::~FutureWaiter() {
  if (linked) core.unlink(*this);
}

template <class T>
class FutureBox : public FutureCore {
 public:
  using FutureCore::FutureCore;
  using Stored = std::conditional_t<std::is_void_v<T>, std::monostate, T>;
  std::optional<Stored> value;

  // Makes the value and finishes. The caller holds a reference.
  template <class... V>
  void set_value(V&&... args) {
    if constexpr (std::is_trivially_constructible_v<Stored, V...>) {
      require_pending();
      value.emplace(std::forward<V>(args)...);
      finish();
    } else if constexpr (std::is_move_constructible_v<Stored>) {
      // Built outside: somebody else may end the future while a constructor waits.
      require_pending();
      Stored built(std::forward<V>(args)...);
      put(std::move(built));
    } else {
      put(std::forward<V>(args)...);
    }
  }

 private:
  template <class... V>
  void put(V&&... args) {
    begin_value();
    try {
      value.emplace(std::forward<V>(args)...);
    } catch (...) {
      drop_value();
      throw;
    }
    finish();
  }
  void destroy() noexcept override {
    LoopCore& core = loop();
    this->~FutureBox();
    free_block(core, this, sizeof(FutureBox));
  }
};

template <class T>
FutureBox<T>* make_future_box(LoopCore& core, std::source_location site) {
  static_assert(alignof(FutureBox<T>) <= 64, "over-aligned values do not fit the pool");
  return ::new (allocate_block(core, sizeof(FutureBox<T>))) FutureBox<T>(core, site);
}

}  // namespace weft::loop::detail
