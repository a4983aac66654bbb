// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Starting, stopping and closing the loop.

#include <utility>

#include "loop/src/loop_core.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/lowlevel.h"

namespace weft::loop::detail {

LoopCore::LoopCore(EventLoop& facade, fibers::Nursery& nursery)
    : facade_(&facade), nursery_(nursery), inbox_(std::make_shared<Inbox>(*this)) {}

LoopCore::~LoopCore() = default;

void LoopCore::lose_facade() {
  facade_ = nullptr;
  if (mode_ == Mode::kStopped) {
    close();
  } else {
    // Nothing of it runs any more: callbacks may refer to the EventLoop, and to what went with it.
    forget_everything();
    cancel_blocked();
    stop();  // end_drive() does the rest.
  }
  release();
}

// The calling task only waits: callbacks run on runners, so that it can return although some of
// them are blocked.
void LoopCore::drive(Mode mode, fibers::TaskStatus<void>* status) {
  require_own_thread();
  if (closed_) throw fibers::UsageError("Event loop is closed; make a new one to run");
  if (mode_ != Mode::kStopped) {
    throw fibers::UsageError("This event loop is already running; wait_stopped() first");
  }
  if (status != nullptr) {
    // A start() that has been cancelled keeps the task, and waits for its end.
    fibers::checkpoint_if_cancelled();
    status->started();
  }
  driver_ = &fibers::current_task();
  mode_ = mode;
  context_ = fibers::copy_context();
  try {
    hand_over();
  } catch (...) {
    mode_ = Mode::kStopped;
    throw;
  }
  if (mode == Mode::kRunning) {
    has_run_ = true;
    fds_.resume_all();
  }
  retain();
  const std::exception_ptr error = wait_for_end();
  release();
  if (error != nullptr) std::rethrow_exception(error);
}

// Cancellation does not end the loop. What the run has for its main task alone does: Ctrl-C, or
// that nothing can happen any more. The shield is for these: a wait is aborted once, and not for a
// cancellation that changes nothing.
std::exception_ptr LoopCore::wait_for_end() {
  std::exception_ptr interrupt;
  fibers::CancelScope shield({.shield = true});
  shield.run([&] {
    fibers::wait_task_rescheduled(
        [&](const fibers::RaiseCancel& raise) {
          interrupt = raise.as_exception();
          stop();
          return fibers::Abort::kFailed;
        },
        {"the end of the loop", -1, this});
  });
  std::exception_ptr error = std::exchange(driver_error_, nullptr);
  return error != nullptr ? error : interrupt;
}

void LoopCore::end_drive(std::exception_ptr error) {
  mode_ = Mode::kStopped;
  stopping_ = false;
  batch_open_ = false;
  active_ = nullptr;
  driver_error_ = std::move(error);
  fibers::reschedule(*std::exchange(driver_, nullptr));
  synchronizers_.wake_all();
  stop_waiters_.wake_all();
  if (facade_ == nullptr) send_home();
}

void LoopCore::stop() {
  stopping_ = true;
  if (sleeper_ != nullptr) wake();
}

void LoopCore::close() {
  if (closed_) return;
  require_own_thread();
  if (mode_ != Mode::kStopped) {
    throw fibers::UsageError(
        "Cannot close a running event loop; stop() it and wait_stopped() first");
  }
  forget_everything();
  send_home();
}

void LoopCore::send_home() {
  cancel_blocked();
  while (Runner* runner = idle_.first()) {
    idle_.remove(*runner);
    fibers::reschedule(runner->task());
  }
  synchronizers_.wake_all();
  stop_waiters_.wake_all();
}

bool LoopCore::synchronize() {
  if (closed_ || (has_run_ && mode_ == Mode::kStopped)) {
    fibers::checkpoint();
    return false;
  }
  WaitList::Entry entry;
  bool reached = false;
  // Also takes the marker out when the wait is cancelled or the loop stops.
  struct Marker {
    Handle handle;
    ~Marker() { handle.cancel(); }
  };
  const Marker marker{facade_->call_soon([&] {
    reached = true;
    synchronizers_.wake(entry);
  })};
  synchronizers_.wait(entry, "synchronize with the loop");
  return reached;
}

void LoopCore::wait_stopped() {
  fibers::checkpoint();
  while (!closed_ && (mode_ == Mode::kRunning || !has_run_)) {
    WaitList::Entry entry;
    stop_waiters_.wait(entry, "the end of the loop");
  }
}

LoopStatistics LoopCore::statistics() const {
  return {.iterations = iterations_,
          .callbacks_run = callbacks_run_,
          .callbacks_blocked = callbacks_blocked_,
          .ready = ready_.size(),
          .timers = timers_.size(),
          .readers = fds_.count(fibers::FdDirection::kRead),
          .writers = fds_.count(fibers::FdDirection::kWrite),
          .blocked = blocked_.size(),
          .runners_idle = idle_.size()};
}

}  // namespace weft::loop::detail
