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
struct ExceptionContext;
}  // namespace weft::loop

namespace weft::loop::detail {

class FutureCore;
class FiberTaskCore;
class TaskCore;
struct TaskNode;

// A fiber in FutureCore::wait(). Lies on its stack.
struct FutureWaiter {
  enum class Place : std::uint8_t { kNowhere, kListed, kStepped };

  explicit FutureWaiter(FutureCore& future) noexcept : core(future) {}
  FutureWaiter(const FutureWaiter&) = delete;
  FutureWaiter& operator=(const FutureWaiter&) = delete;
  // Also when the wait is refused before it begins.
  ~FutureWaiter() {
    if (place != Place::kNowhere) leave();
  }
  void leave() noexcept;

  FutureCore& core;
  fibers::Task* task = nullptr;
  FutureWaiter* next = nullptr;
  FutureWaiter* prev = nullptr;
  FiberTaskCore* stepped = nullptr;  // Of kStepped: it waits as a callback of the future.
  Place place = Place::kNowhere;
  bool needs_care = false;                                      // The end of the wait does.
  std::optional<fibers::RaiseCancel> cancelled = std::nullopt;  // What has cancelled the wait.
};

// Memory of the loop's pool, in classes of 64 bytes; large blocks go to the heap. Each block in use
// keeps the loop's core alive.
void require_open(const LoopCore& core);  // Throws UsageError if it is closed, or another thread's.
void* allocate_block(LoopCore& core, std::size_t size);
void free_block(LoopCore& core, void* block, std::size_t size) noexcept;

struct IsTask {};
inline constexpr IsTask kIsTask;

// A future's state machine: pending, then finished or cancelled, once. Those who wait for it are
// woken and its callbacks scheduled at that moment, each in the order in which they came.
class FutureCore {
 public:
  enum class State : std::uint8_t { kPending, kCancelled, kFinished };

  FutureCore(LoopCore& loop, std::source_location site) noexcept : loop_(&loop), site_(site) {}
  // A task's: only its code ends it.
  FutureCore(LoopCore& loop, std::source_location site, IsTask) noexcept
      : loop_(&loop), site_(site), is_task_(true) {}
  FutureCore(const FutureCore&) = delete;
  FutureCore& operator=(const FutureCore&) = delete;

  void retain() noexcept {
    if (++refs_ == 1) [[unlikely]]
      first_reference();
  }
  void release() noexcept {
    if (--refs_ == 0) last_reference_gone();
  }
  bool is_shared() const { return refs_ > 1; }
  std::uint32_t references() const { return refs_; }

  State state() const { return state_; }
  bool done() const { return state_ != State::kPending; }
  LoopCore& loop() const { return *loop_; }
  EventLoop& event_loop() const;
  std::source_location site() const { return site_; }

  // Asks for the future to end as cancelled; for a plain one that is done at once. False if it was
  // done already. `payload` is what will be thrown at whoever asks: null for a CancelledError
  // without a message. Virtual for what only passes the wish on, and ends later.
  virtual bool cancel(std::exception_ptr payload);
  // A payload: null for no message, or if there is no memory for it.
  static std::exception_ptr cancelled_error(std::string message) noexcept;
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
  // The exception that it has ended with, or the payload of its cancellation, or null. Throws
  // nothing, and does not count as asking for it.
  const std::exception_ptr& stored_exception() const { return exception_; }
  // Whether it has ended in an exception that nobody has asked for; forgetting that.
  bool unretrieved() const { return unretrieved_; }
  void forget_unretrieved() { unretrieved_ = false; }
  // Null unless it is a task's.
  virtual TaskCore* task() noexcept { return nullptr; }

  // Takes over the node's one reference and adds one to return.
  HandleNode* add_callback(HandleNode* node);
  std::size_t remove_callback(HandleNode* node);
  void unlink_callback(HandleNode* node) noexcept;
  // The callbacks that wait for its end, in their order; null after the last.
  HandleNode* first_callback() const { return first_callback_; }
  // The fibers that wait for it, other than as callbacks.
  const FutureWaiter* first_waiter() const { return first_waiter_; }

  // Returns when it is done. When the waiting task is cancelled, cancels the future, once, and if
  // it ends cancelled throws fibers::Cancelled, or CancelledError in a callback; else waits on.
  // Inline, so that between the caller and the switch there is one frame only: the processor
  // guesses the returns of all others wrongly (tools/docs/adr/0008).
  [[gnu::always_inline]] inline void wait() {
    if (done()) return;
    FutureWaiter waiter(*this);
    begin_wait(waiter);
    fibers::detail::wait_rescheduled(&abort_wait, &waiter, {"a future", -1, this});
    if (waiter.needs_care) [[unlikely]]
      end_wait(waiter);
  }

 protected:
  virtual ~FutureCore() = default;
  // Destroys this and frees its block.
  virtual void destroy() noexcept = 0;
  // Nobody refers to it any more.
  virtual void before_destroy() noexcept {}
  // One that is a part of another language's object lives as long as that does. It overrides these
  // two, so that all references together hold the object, and ends by report_lost(),
  // drop_callbacks() and destroy(), as last_reference_gone() does.
  virtual void first_reference() noexcept {}
  virtual void last_reference_gone() noexcept;
  // Reports an exception that nobody has asked for, if there is one.
  void report_lost() noexcept {
    if (std::exchange(unretrieved_, false)) report_unretrieved();
  }
  // Those that wait for its end will not be called.
  void drop_callbacks() noexcept;
  // What a report says of it, and where it goes: to the loop's exception handler.
  virtual void describe(ExceptionContext& context) const noexcept;
  virtual void report(const ExceptionContext& context);
  // Ends it. Throws UsageError if it has callbacks and the loop is closed: it has ended all the
  // same.
  void complete(State state);
  void complete_with(State state, std::exception_ptr error);

 private:
  friend struct FutureWaiter;
  friend class TaskCore;
  friend class FiberTaskCore;
  // With a reference on the task's future.
  void add_waiting_task(TaskNode* node) noexcept;
  void link_callback(HandleNode* node) noexcept;
  void begin_wait(FutureWaiter& waiter);
  static fibers::Abort abort_wait(void* waiter, const fibers::RaiseCancel& raise);
  void link(FutureWaiter& waiter) noexcept;
  void unlink(FutureWaiter& waiter) noexcept;
  void wake_waiters() noexcept;
  void schedule_callbacks();
  void cancel_for_waiter() noexcept;
  // The same; true if the wait ends with the cancellation that `raise` stands for.
  bool cancel_for_waiter(const fibers::Task& task, const fibers::RaiseCancel& raise);
  void end_wait(FutureWaiter& waiter) const;
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
  bool is_task_ = false;
  std::exception_ptr exception_;  // Or the payload of a cancellation.
  HandleNode* first_callback_ = nullptr;
  HandleNode* last_callback_ = nullptr;
  FutureWaiter* first_waiter_ = nullptr;
  FutureWaiter* last_waiter_ = nullptr;
};

// Holds a future while the code that it runs goes on.
class FutureKeeper {
 public:
  explicit FutureKeeper(FutureCore& future) noexcept : future_(future) { future.retain(); }
  // Takes over a reference.
  FutureKeeper(FutureCore& future, std::nullptr_t) noexcept : future_(future) {}
  FutureKeeper(const FutureKeeper&) = delete;
  FutureKeeper& operator=(const FutureKeeper&) = delete;
  ~FutureKeeper() { future_.release(); }

 private:
  FutureCore& future_;
};

}  // namespace weft::loop::detail
