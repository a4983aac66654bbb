// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The part of a ConcurrentFuture that does not depend on its type. Not for use outside weft.

#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <utility>

#include "weft/fibers/clock.h"
#include "weft/fibers/thread_event.h"

namespace weft::loop::detail {

class ConcurrentFutureCore;

// What is called when the future is done, on the thread that ends it.
struct ConcurrentCallback {
  ConcurrentCallback() = default;
  ConcurrentCallback(const ConcurrentCallback&) = delete;
  ConcurrentCallback& operator=(const ConcurrentCallback&) = delete;
  virtual ~ConcurrentCallback() = default;
  virtual void call(ConcurrentFutureCore& future) = 0;

  std::unique_ptr<ConcurrentCallback> next;
};

// The state machine of a future that any thread may ask, end and cancel: pending, perhaps running,
// then cancelled or finished, once. Counted.
class ConcurrentFutureCore {
 public:
  enum class State : std::uint8_t { kPending, kRunning, kCancelled, kNotified, kFinished };

  ConcurrentFutureCore() = default;
  ConcurrentFutureCore(const ConcurrentFutureCore&) = delete;
  ConcurrentFutureCore& operator=(const ConcurrentFutureCore&) = delete;

  void retain() noexcept { refs_.fetch_add(1, std::memory_order_relaxed); }
  void release() noexcept {
    if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }
  bool is_shared() const { return refs_.load(std::memory_order_acquire) > 1; }

  State state() const { return state_.load(std::memory_order_acquire); }
  bool running() const { return state() == State::kRunning; }
  bool cancelled() const { return state() == State::kCancelled || state() == State::kNotified; }
  bool done() const { return state() >= State::kCancelled; }

  // Ends what has not begun. False if it is too late for that.
  bool cancel();
  // For whoever is about to work for it: false if it is cancelled, else it is running.
  bool set_running_or_notify_cancel();
  void set_exception(std::exception_ptr error);
  // Around putting a value in place: nobody else ends the future meanwhile.
  void begin_value();
  void finish();
  void drop_value() noexcept;
  // Waits until it is done. Throws TimeoutError if that takes longer.
  void wait(fibers::Duration timeout);
  // The same, then throws CancelledError or the exception; else there is a value.
  void require_value(fibers::Duration timeout);
  // The same; returns the exception or null.
  std::exception_ptr exception(fibers::Duration timeout);
  // Calls it at once if the future is done.
  void add_callback(std::unique_ptr<ConcurrentCallback> callback);

  // Of an executor's job: calls its code, unless it has been cancelled, and ends with what comes.
  void run_job() noexcept;

  [[noreturn]] static void throw_empty();

 protected:
  virtual ~ConcurrentFutureCore();
  // The code of a job puts its value in place; it goes when the job is done or cancelled.
  virtual void call_code() {}
  virtual void drop_code() noexcept {}

 private:
  void require_unended(const std::lock_guard<std::mutex>&) const;
  void end(State state, std::exception_ptr error) noexcept;
  void conclude(std::unique_ptr<ConcurrentCallback> callbacks) noexcept;
  void call_back(ConcurrentCallback& callback) noexcept;

  std::atomic<std::uint32_t> refs_{1};
  std::atomic<State> state_{State::kPending};  // Written with the mutex.
  fibers::ThreadEvent done_;
  std::mutex mutex_;
  // Guarded by the mutex.
  bool value_coming_ = false;  // Between begin_value() and its end.
  std::unique_ptr<ConcurrentCallback> first_callback_;
  std::unique_ptr<ConcurrentCallback>* last_callback_ = &first_callback_;
  // Written before the state says that there is one.
  std::exception_ptr exception_;
};

}  // namespace weft::loop::detail
