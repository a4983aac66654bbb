// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/timeout.h"

#include <string>
#include <utility>

#include "weft/fibers/cancelled.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/exception_group.h"
#include "weft/loop/errors.h"
#include "weft/loop/event_loop.h"

namespace weft::loop {

namespace detail {

void TimeoutCore::enter(fibers::CancelScope* scope) {
  if (state_ != State::kCreated) {
    throw fibers::UsageError("Timeout has already been entered; make another one by timeout()");
  }
  task_ = current_task();
  if (!task_) {
    throw fibers::UsageError(
        "Timeout should be used inside a task; make one by create_task, or use fibers::fail_after");
  }
  scope_ = scope;
  cancelling_ = task_.cancelling();
  arm();
  state_ = State::kEntered;
}

const char* TimeoutCore::state_name() const {
  static constexpr const char* kNames[] = {"created", "active", "expiring", "expired", "finished"};
  return kNames[static_cast<int>(state_)];
}

void TimeoutCore::reschedule(fibers::Instant when) {
  if (state_ == State::kCreated) throw fibers::UsageError("Timeout has not been entered; run() it");
  if (state_ != State::kEntered) {
    throw fibers::UsageError(std::string("Cannot change state of ") + state_name() +
                             " Timeout; reschedule it before its time is up");
  }
  when_ = when;
  arm();
}

void TimeoutCore::disarm() noexcept {
  if (Handle handle = std::exchange(handle_, {})) handle.cancel();
}

void TimeoutCore::arm() {
  disarm();
  if (when_ == fibers::kForever) return;
  EventLoop& loop = task_.get_loop();
  if (when_ <= loop.time()) {
    handle_ = loop.call_soon([this] { expire(); });
  } else {
    handle_ = loop.call_at(when_, [this] { expire(); });
  }
}

void TimeoutCore::expire() {
  state_ = State::kExpiring;
  handle_ = {};
  if (scope_ != nullptr && FutureAccess::task(task_).elsewhere()) {
    std::exchange(scope_, nullptr)->cancel("the time of the timeout is up");
  } else {
    cancelled_task_ = true;
    task_.cancel();
  }
}

void TimeoutCore::leave(const std::exception_ptr& error) {
  disarm();
  scope_ = nullptr;
  const TaskBase task = std::exchange(task_, {});
  if (state_ == State::kEntered) state_ = State::kExited;
  if (state_ != State::kExpiring) return;
  state_ = State::kExpired;
  if (cancelled_task_) {
    // Others want the task to be cancelled, too.
    TaskBase(task).uncancel();
  }
  if (task.cancelling() > cancelling_ || error == nullptr) return;
  const bool by_fibers = fibers::holds<fibers::Cancelled>(error);
  if (!by_fibers && !fibers::holds<CancelledError>(error)) return;
  if (by_fibers && cancelled_task_ && !TaskCore::take_cancellation_here()) return;
  throw TimeoutError();
}

}  // namespace detail

fibers::Instant Timeout::when() const {
  return core()->when();
}
void Timeout::reschedule(fibers::Instant when) {
  core()->reschedule(when);
}
bool Timeout::expired() const {
  return core()->expired();
}

Timeout timeout(fibers::Duration delay) {
  return timeout_at(fibers::later(get_running_loop().time(), delay));
}

Timeout timeout_at(fibers::Instant when) {
  return Timeout(std::make_shared<detail::TimeoutCore>(when));
}

}  // namespace weft::loop
