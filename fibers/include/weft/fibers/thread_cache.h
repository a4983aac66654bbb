// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The worker threads behind to_thread, for who wants to start one directly. One cache for the whole
// process: it knows nothing of runs, and limits nothing.
//
//   start_thread_soon([] { return compute(); },
//                     [token](Outcome<int> result) {
//                       token.run_sync_soon([result]() mutable { use(result.unwrap()); });
//                     });
//
// (Trio: lowlevel.start_thread_soon.)

#pragma once

#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "weft/fibers/outcome.h"

namespace weft::fibers {

inline constexpr std::chrono::seconds kThreadIdleTimeout{10};

namespace detail {

// Something to do in a thread. Destroyed by the thread, after deliver().
class ThreadWork {
 public:
  ThreadWork() = default;
  ThreadWork(const ThreadWork&) = delete;
  ThreadWork& operator=(const ThreadWork&) = delete;
  virtual ~ThreadWork() = default;
  virtual void run() noexcept = 0;
  // Called when the thread counts as idle again, so that work started in consequence finds it.
  virtual void deliver() noexcept = 0;
};

void start_thread(std::unique_ptr<ThreadWork> work, std::string name);
// For tests: how long threads that become idle from now on wait for work before they end.
void set_thread_idle_timeout(std::chrono::nanoseconds timeout);
void report_failed_delivery(const std::exception_ptr& error);

template <class Fn, class Deliver>
class CachedThreadCall final : public ThreadWork {
  using R = std::invoke_result_t<Fn&>;

 public:
  template <class F, class D>
  CachedThreadCall(F&& fn, D&& deliver)
      : fn_(std::forward<F>(fn)), deliver_(std::forward<D>(deliver)) {}
  void run() noexcept override { capture_in(outcome_, fn_); }
  void deliver() noexcept override {
    try {
      std::invoke(deliver_, std::move(*outcome_));
    } catch (...) {
      report_failed_delivery(std::current_exception());
    }
  }

 private:
  Fn fn_;
  Deliver deliver_;
  std::optional<Outcome<R>> outcome_;
};

}  // namespace detail

// Calls `fn()` in the thread that became idle last, or in a new one, and then, in the same thread,
// `deliver(Outcome<R>)` with what it returned or threw. The thread counts as idle before `deliver`
// is called, and ends when it has been idle for kThreadIdleTimeout. What `deliver` throws is logged
// as an error. `name` is for debuggers; at most 15 bytes of it are shown. Throws std::system_error
// if there is no thread and none can be started.
//
// Blocks: no.
// Cancel: not a checkpoint.
// Threads: any.
template <class Fn, class Deliver>
void start_thread_soon(Fn&& fn, Deliver&& deliver, std::string name = {}) {
  using Call = detail::CachedThreadCall<std::decay_t<Fn>, std::decay_t<Deliver>>;
  std::unique_ptr<detail::ThreadWork> work =
      std::make_unique<Call>(std::forward<Fn>(fn), std::forward<Deliver>(deliver));
  detail::start_thread(std::move(work), std::move(name));
}

}  // namespace weft::fibers
