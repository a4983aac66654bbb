// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/concurrent_future.h"

#include <utility>

#include "weft/fibers/errors.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/log.h"
#include "weft/loop/errors.h"

namespace weft::loop::detail {

// One by one: a long list would be destroyed recursively.
ConcurrentFutureCore::~ConcurrentFutureCore() {
  while (first_callback_ != nullptr) first_callback_ = std::move(first_callback_->next);
}

// --- Its end. ---

bool ConcurrentFutureCore::cancel() {
  std::unique_ptr<ConcurrentCallback> callbacks;
  {
    const std::lock_guard lock(mutex_);
    if (cancelled()) return true;
    if (state() != State::kPending || value_coming_) return false;
    state_.store(State::kCancelled, std::memory_order_release);
    callbacks = std::move(first_callback_);
  }
  drop_code();
  conclude(std::move(callbacks));
  return true;
}

bool ConcurrentFutureCore::set_running_or_notify_cancel() {
  const std::lock_guard lock(mutex_);
  switch (state()) {
    case State::kCancelled:
      state_.store(State::kNotified, std::memory_order_release);
      return false;
    case State::kPending:
      state_.store(State::kRunning, std::memory_order_release);
      return true;
    default:
      throw fibers::UsageError(
          "Future in unexpected state: set_running_or_notify_cancel() is called once, by whoever "
          "will end the future");
  }
}

void ConcurrentFutureCore::require_unended(const std::lock_guard<std::mutex>&) const {
  if (done()) throw InvalidStateError("the future is done already; ask done() before ending it");
  if (value_coming_) throw InvalidStateError("somebody else is ending the future at this moment");
}

void ConcurrentFutureCore::set_exception(std::exception_ptr error) {
  if (error == nullptr) {
    throw fibers::UsageError("set_exception() needs an exception; set_result() ends without one");
  }
  begin_value();
  end(State::kFinished, std::move(error));
}

void ConcurrentFutureCore::begin_value() {
  const std::lock_guard lock(mutex_);
  require_unended(lock);
  value_coming_ = true;
}

void ConcurrentFutureCore::finish() {
  end(State::kFinished, nullptr);
}

void ConcurrentFutureCore::drop_value() noexcept {
  const std::lock_guard lock(mutex_);
  value_coming_ = false;
}

void ConcurrentFutureCore::end(State state, std::exception_ptr error) noexcept {
  std::unique_ptr<ConcurrentCallback> callbacks;
  {
    const std::lock_guard lock(mutex_);
    value_coming_ = false;
    exception_ = std::move(error);
    state_.store(state, std::memory_order_release);
    callbacks = std::move(first_callback_);
  }
  conclude(std::move(callbacks));
}

// The caller holds a reference, though whoever waits may drop the last one of its own now.
void ConcurrentFutureCore::conclude(std::unique_ptr<ConcurrentCallback> callbacks) noexcept {
  done_.set();
  while (callbacks != nullptr) {
    call_back(*callbacks);
    callbacks = std::move(callbacks->next);
  }
}

void ConcurrentFutureCore::call_back(ConcurrentCallback& callback) noexcept {
  try {
    callback.call(*this);
  } catch (...) {
    fibers::detail::log_quietly(fibers::LogLevel::kError, [] {
      return "exception calling a callback of a ConcurrentFuture: " +
             fibers::describe_exception(std::current_exception());
    });
  }
}

void ConcurrentFutureCore::add_callback(std::unique_ptr<ConcurrentCallback> callback) {
  {
    const std::lock_guard lock(mutex_);
    if (!done()) {
      std::unique_ptr<ConcurrentCallback>& place = *last_callback_;
      place = std::move(callback);
      last_callback_ = &place->next;
      return;
    }
  }
  call_back(*callback);
}

// --- Asking it. ---

void ConcurrentFutureCore::wait(fibers::Duration timeout) {
  if (done()) return;
  // Others may drop it meanwhile.
  struct Kept {
    ConcurrentFutureCore& future;
    explicit Kept(ConcurrentFutureCore& f) noexcept : future(f) { future.retain(); }
    Kept(const Kept&) = delete;
    Kept& operator=(const Kept&) = delete;
    ~Kept() { future.release(); }
  } const kept(*this);
  if (!done_.wait_for(timeout)) throw TimeoutError();
}

void ConcurrentFutureCore::require_value(fibers::Duration timeout) {
  if (std::exception_ptr error = exception(timeout)) std::rethrow_exception(std::move(error));
}

std::exception_ptr ConcurrentFutureCore::exception(fibers::Duration timeout) {
  wait(timeout);
  if (cancelled()) throw CancelledError();
  return exception_;
}

void ConcurrentFutureCore::throw_empty() {
  throw fibers::UsageError("this ConcurrentFuture is empty; make one with create()");
}

// --- A job. ---

// The code goes before anybody hears that the job is done, with all that it refers to.
void ConcurrentFutureCore::run_job() noexcept {
  if (!set_running_or_notify_cancel()) return;
  begin_value();
  std::exception_ptr error;
  try {
    call_code();
  } catch (...) {
    error = std::current_exception();
  }
  drop_code();
  end(State::kFinished, std::move(error));
}

}  // namespace weft::loop::detail
