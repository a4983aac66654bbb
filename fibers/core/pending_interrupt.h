// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// An interrupt of the main task that no wait of it has met yet: a Ctrl-C, or a deadlock.

#pragma once

#include <atomic>
#include <exception>
#include <memory>
#include <utility>

#include "fibers/core/cancel_status.h"
#include "fibers/core/task.h"

namespace weft::fibers {
class CancelScope;
}

namespace weft::fibers::detail {

// `error`, or a group of both if it has no KeyboardInterrupt in it. Null: the interrupt alone.
std::exception_ptr with_interrupt(std::exception_ptr interrupt, std::exception_ptr error,
                                  const char* message);

// Cancels it for a Ctrl-C.
void cancel_by_interrupt(CancelScope& scope);

class PendingInterrupt {
 public:
  using Reason = std::shared_ptr<const CancelReason>;

  // --- Any thread, and the signal handler. ---
  // Asks for a KeyboardInterrupt. The caller wakes the run.
  void request() noexcept { requested_.store(true); }

  // --- The run's thread. ---
  bool requested() const { return requested_.load(); }
  // Makes what was requested the pending interrupt, and offers it to the present wait of the main
  // task.
  void accept_request();
  bool is_pending() const { return reason_ != nullptr; }
  void set(Reason reason) { reason_ = std::move(reason); }
  // True if the next cancellation point of `task` has to raise it. Held back, as a cancellation is,
  // while the task unwinds: a destructor must not throw.
  bool is_due(const TaskBlock& task) const {
    return reason_ != nullptr && &task == main_task && !reason_->interrupt_taken &&
           task.uncaught(*task.scheduler) == 0;
  }
  // Takes it if it is due for `task`; else null.
  Reason take(const TaskBlock& task) {
    return is_due(task) ? std::exchange(reason_, nullptr) : nullptr;
  }
  // Takes it in any case; null if there is none, or somebody has raised it already.
  Reason take() {
    Reason reason = std::exchange(reason_, nullptr);
    return reason != nullptr && !reason->interrupt_taken ? reason : nullptr;
  }
  // A wait could not be aborted. If `reason` is an interrupt that nobody has kept, it stays
  // pending.
  void give_back(Reason reason) {
    if (reason->interrupt != nullptr && !reason->interrupt_taken) reason_ = std::move(reason);
  }

  // Null before it starts and after it has ended.
  TaskBlock* main_task = nullptr;

  // The next request cancels this instead; null once it has.
  CancelScope* cancels_first = nullptr;

 private:
  Reason reason_;
  std::atomic<bool> requested_{false};
};

}  // namespace weft::fibers::detail
