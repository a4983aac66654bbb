// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Starting, stopping and closing the loop.

#include <functional>
#include <optional>
#include <utility>

#include "loop/core/kept_loop.h"
#include "loop/core/loop_core.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/no_suspend.h"
#include "weft/fibers/timeouts.h"

namespace weft::loop::detail {

LoopCore::LoopCore(EventLoop& facade, fibers::Nursery& nursery)
    : facade_(&facade), nursery_(nursery) {}

LoopCore::~LoopCore() = default;

// What the exception handler refers to may have gone before the EventLoop: the log is told.
void LoopCore::lose_facade() {
  facade_ = nullptr;
  if (!closed_) find_unclosed();
  if (mode_ == Mode::kStopped) {
    close();
  } else {
    // Nothing of it runs any more: callbacks may refer to the EventLoop, and to what went with it.
    forget_everything();
    living_.cancel_blocked();
    stop();  // end_drive() does the rest.
  }
  // Nobody asks these any more, and they may hold futures, which hold this.
  static_cast<void>(std::exchange(reports_.exception_handler, nullptr));
  static_cast<void>(std::exchange(reports_.default_exception_handler, nullptr));
  static_cast<void>(std::exchange(attachments_.task_factory, nullptr));
  release();
}

// The calling task only waits: callbacks run on runners, so that it can return although some of
// them are blocked.
void LoopCore::drive(Mode mode, fibers::TaskStatus<void>* status) {
  require_own_thread();
  // A start() that has been cancelled keeps the task, and waits for its end.
  if (status != nullptr) fibers::checkpoint_if_cancelled();
  if (closed_ || mode_ != Mode::kStopped) fibers::checkpoint_if_cancelled();
  if (closed_) throw fibers::UsageError("Event loop is closed; make a new one to run");
  if (mode_ != Mode::kStopped) {
    throw fibers::UsageError("This event loop is already running; wait_stopped() first");
  }
  if (status != nullptr) status->started();
  Drive drive{.task = &fibers::current_task()};
  drive_ = &drive;
  mode_ = mode;
  try {
    hand_over();
  } catch (...) {
    mode_ = Mode::kStopped;
    drive_ = nullptr;
    throw;
  }
  if (mode == Mode::kRunning) {
    has_run_ = true;
    entered_ = true;
    fds_.resume_all();
  }
  retain();
  const std::exception_ptr error = wait_for_end(drive);
  release();
  if (error != nullptr) std::rethrow_exception(error);
}

void LoopCore::start(std::source_location site) {
  // Counted by the closure: the EventLoop may be gone before the task begins.
  struct Driver {
    explicit Driver(LoopCore& c) noexcept : core(&c) { core->retain(); }
    Driver(Driver&& other) noexcept : core(std::exchange(other.core, nullptr)) {}
    Driver& operator=(Driver&&) = delete;
    ~Driver() {
      if (core != nullptr) core->release();
    }
    void operator()(fibers::TaskStatus<void>& status) const {
      core->drive(Mode::kRunning, &status);
    }
    LoopCore* core;
  };
  require_own_thread();
  nursery_.start(Driver(*this), {.name = "main_loop"}, site);
}

// Cancellation does not end the loop. What the run has for its main task alone does: Ctrl-C, or
// that nothing can happen any more. The shield is for these: a wait is aborted once, and not for a
// cancellation that changes nothing.
std::exception_ptr LoopCore::wait_for_end(Drive& drive) {
  std::exception_ptr interrupt;
  fibers::CancelScope shield({.shield = true});
  shield.run([&] {
    while (!drive.ended) {
      fibers::wait_task_rescheduled(
          [&](const fibers::RaiseCancel& raise) {
            interrupt = raise.as_exception();
            stop();
            return fibers::Abort::kFailed;
          },
          {"the end of the loop", -1, this});
      drive.woken = false;
      if (!drive.ended) find_runner(drive);
    }
  });
  if (drive.error != nullptr && interrupt != nullptr) {
    return fibers::make_exception_group("an event loop was interrupted and failed",
                                        {std::move(interrupt), std::move(drive.error)});
  }
  return drive.error != nullptr ? drive.error : interrupt;
}

// Wakes the driver, which then looks for a runner itself.
void LoopCore::wake_driver(Drive& drive) noexcept {
  if (!std::exchange(drive.woken, true)) fibers::reschedule(*drive.task);
}

void LoopCore::ask_driver() noexcept {
  if (drive_ != nullptr) wake_driver(*drive_);
}

// In the driver, after ask_driver(). Without memory for a runner the loop stops with that error.
void LoopCore::find_runner(Drive& drive) {
  if (!role_is_free()) return;
  try {
    hand_over();
  } catch (...) {
    drive.woken = true;  // It runs.
    end_drive(std::current_exception());
  }
}

// A runner that was on its way has no memory to begin.
void LoopCore::runner_failed(std::exception_ptr error) {
  runner_on_its_way_ = false;
  if (mode_ != Mode::kStopped) end_drive(std::move(error));
}

void LoopCore::end_drive(std::exception_ptr error) {
  mode_ = Mode::kStopped;
  stopping_ = false;
  batch_open_ = false;
  active_ = nullptr;
  Drive& drive = *std::exchange(drive_, nullptr);
  drive.error = std::move(error);
  drive.ended = true;
  wake_driver(drive);
  synchronizers_.wake_all();
  stop_waiters_.wake_all();
  if (facade_ == nullptr) send_home();
}

void LoopCore::stop() {
  stopping_ = true;
  if (sleeper_ != nullptr) wake();
}

// A handler must not wait: the loop stands between open and closed.
void LoopCore::find_unclosed() noexcept {
  std::optional<fibers::NoSuspend> guard;
  if (debug_ && fibers::in_trio_task()) guard.emplace("a report of what a closed loop leaves open");
  open_objects_.find_unclosed(debug_);
}

void LoopCore::close() {
  if (closed_) return;
  require_own_thread();
  if (mode_ != Mode::kStopped) {
    throw fibers::UsageError(
        "Cannot close a running event loop; stop() it and wait_stopped() first");
  }
  find_unclosed();
  if (closed_) return;  // By the exception handler.
  forget_everything();
  send_home();
}

void LoopCore::send_home() {
  living_.abandon_tasks();
  living_.cancel_blocked();
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
  const KeptLoop kept(*this);
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

void LoopCore::wait_while_stopped() const {
  const std::function<void()>& needed = attachments_.needed_handler;
  if (mode_ != Mode::kStopped || needed == nullptr) return;
  if (fibers::current_effective_deadline() == fibers::kForever) needed();
}

void LoopCore::wait_stopped() {
  const KeptLoop kept(*this);
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
          .blocked = living_.blocked(),
          .runners_idle = idle_.size()};
}

}  // namespace weft::loop::detail
