// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What the two sides of a portal share. Not for use outside weft: see portal.h.

#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <new>
#include <optional>
#include <utility>

#include "weft/fibers/errors.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/outcome.h"
#include "weft/fibers/token.h"

namespace weft::shim {

enum class CancelResult : std::uint8_t;

namespace detail {

// The life of a wait. All but the counts is touched on the run's thread only.
//
//   kStarted --await--> kParked --call--> kFinished
//      |                   '--cancel--> kCancelling --call--> kFinished
//      |                                     '--gives up--> kAbandoned
//      '--call--> kCompletedEarly --await--> (at once)
enum class PortalState : std::uint8_t {
  kStarted,
  kParked,
  kCancelling,  // The last one in which a call counts.
  kCompletedEarly,
  kAbandoned,
  kFinished,
};

// Calls a task's cancel function, which lies in a frame below the wait.
using CallCancel = CancelResult (*)(void* cancel);

class PortalCore {
 public:
  // First checkpoint_if_cancelled().
  PortalCore();
  PortalCore(const PortalCore&) = delete;
  PortalCore& operator=(const PortalCore&) = delete;

  // From blocks that the thread keeps, where they fit: a wait then asks the heap for nothing.
  // NOLINTNEXTLINE(misc-new-delete-overloads): the one with a size is its match.
  static void* operator new(std::size_t size);
  static void operator delete(void* cell, std::size_t size) noexcept;
  static void* operator new(std::size_t size, std::align_val_t alignment) {
    return ::operator new(size, alignment);
  }
  static void operator delete(void* cell, std::size_t, std::align_val_t alignment) noexcept {
    ::operator delete(cell, alignment);
  }

  // --- The task's side. ---
  void abandon() noexcept { state_ = PortalState::kAbandoned; }
  // Returns when there is an outcome to take; else throws. Inline, as FutureCore::wait() is: after
  // the switch the processor mispredicts the return of every frame.
  template <class Cancel>
  [[gnu::always_inline]] inline void await(Cancel& cancel) {
    if (state_ == PortalState::kCompletedEarly && !settling_) {
      // The value is there and must not be lost; but others are to have their turn.
      fibers::cancel_shielded_checkpoint();
    } else {
      if (state_ == PortalState::kStarted) state_ = PortalState::kParked;
      parked_ = true;
      const CallCancel call = [](void* fn) { return (*static_cast<Cancel*>(fn))(); };
      fibers::wait_task_rescheduled(
          [&](const fibers::RaiseCancel& raise) { return abort(raise, call, &cancel); },
          {"a callback", -1, this});
    }
    if (cancel_acknowledged_ || error_ != nullptr) [[unlikely]]
      raise();
  }
  void release();

  // --- The library's side. ---
  // True if this call is the one that counts: its outcome is to be stored, then settle() called.
  // In between the task waits on, whatever happens: storing it may wait.
  bool accept();
  void settle();
  // Ends the wait without an outcome.
  void settle_with_error(std::exception_ptr error);
  // With what storing the outcome has thrown. Throws the Cancelled in it on: it is the caller's.
  void settle_with_raised(const std::exception_ptr& error);
  void acknowledge_cancel(std::exception_ptr otherwise);
  void end_with_raised(const std::exception_ptr& error);
  void add_holder() { holders_.fetch_add(1, std::memory_order_relaxed); }
  void drop_holder();
  // Lets the run call `fn`; not if the run is over.
  template <class F>
  void post(F&& fn) const {
    try {
      target_.token.run_sync_soon(std::forward<F>(fn));
    } catch (const fibers::RunFinishedError&) {
      count_late();
    }
  }

 protected:
  virtual ~PortalCore() = default;

 private:
  fibers::Abort abort(const fibers::RaiseCancel& raise, CallCancel call_cancel, void* cancel);
  // The task waits, or is about to, and nobody has called yet.
  bool is_open() const { return state_ <= PortalState::kCancelling; }
  [[noreturn]] void raise() const;
  void settle_cancelled(std::exception_ptr otherwise);
  void check_thread() const;
  // The library lost its last copy.
  void dropped();
  bool tell_dropped();
  static void count_late();

  PortalState state_ = PortalState::kStarted;
  bool parked_ = false;  // The task waits, and whoever ends that clears it.
  bool cancel_acknowledged_ = false;
  bool settling_ = false;                     // Between accept() and settle().
  const void* const thread_;                  // Identifies the run's thread.
  std::exception_ptr error_;                  // Instead of an outcome.
  std::optional<fibers::RaiseCancel> raise_;  // Set once the task is cancelled.
  const fibers::detail::CallTarget target_;
  std::atomic<std::uint32_t> holders_{1};  // Completions, and pointers that stand for one.
  std::atomic<std::uint32_t> sides_{2};    // The task; the holders as a whole.
};

template <class R>
class PortalCell final : public PortalCore {
 public:
  // What the value's constructor throws is what the wait ends with. By reference: nothing of the
  // value's may throw outside of the try block.
  void settle_with(fibers::Outcome<R>&& outcome) {
    try {
      outcome_.emplace(std::move(outcome));
    } catch (...) {
      return settle_with_raised(std::current_exception());
    }
    settle();
  }
  R take() { return outcome_->unwrap(); }

 private:
  std::optional<fibers::Outcome<R>> outcome_;
};

// Ends the task's hold on the cell.
struct ReleaseCell {
  void operator()(PortalCore* cell) const { cell->release(); }
};

}  // namespace detail
}  // namespace weft::shim
