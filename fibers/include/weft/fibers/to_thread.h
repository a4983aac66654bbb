// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Calls that block the thread, made elsewhere: file systems, getaddrinfo, long computations.
//
//   std::string text = to_thread::run_sync([&] { return read_file(path); });
//
// The task waits, all others go on; from_thread leads back. Threads are kept for ten seconds to be
// used again. (Trio: to_thread.)

#pragma once

#include <concepts>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "weft/fibers/capacity_limiter.h"
#include "weft/fibers/detail/misuse.h"
#include "weft/fibers/outcome.h"

namespace weft::fibers::to_thread {

struct ThreadOptions {
  // For debuggers; at most 15 bytes of it are shown.
  std::string thread_name = {};
  // What cancellation does. False: nothing, until the call has returned, so `fn` may use the
  // caller's variables. True: the task goes on at once; the thread finishes alone and its result is
  // discarded, so `fn` must own everything that it uses.
  bool abandon_on_cancel = false;
  // Whose token the call holds; null: the run's own limiter of 40. An abandoned call keeps its
  // token until its thread is really done, or the run has ended.
  CapacityLimiter* limiter = nullptr;
};

namespace detail {

// A call for a worker thread to make.
class ThreadJob {
 public:
  ThreadJob() = default;
  ThreadJob(const ThreadJob&) = delete;
  ThreadJob& operator=(const ThreadJob&) = delete;
  virtual ~ThreadJob() = default;
  virtual void run() noexcept = 0;
  // What it threw; null if it did not.
  virtual std::exception_ptr error() const noexcept = 0;
};

template <class Fn, class R>
class TypedJob final : public ThreadJob {
 public:
  explicit TypedJob(Fn&& fn) : fn_(std::move(fn)) {}
  explicit TypedJob(const Fn& fn) : fn_(fn) {}
  void run() noexcept override { fibers::detail::capture_in(outcome_, fn_); }
  std::exception_ptr error() const noexcept override { return outcome_->error(); }
  R result() { return outcome_->unwrap(); }

 private:
  Fn fn_;
  std::optional<Outcome<R>> outcome_;
};

void run_job(const std::shared_ptr<ThreadJob>& job, const ThreadOptions& options);

}  // namespace detail

// Calls `fn` in a worker thread and returns what it returns, or throws what it throws. Inside `fn`
// nothing of the run may be used, except Tokens and from_thread. Throws std::system_error if no
// thread can be started.
//
// Blocks: yes, always a checkpoint; also while the limiter has no token.
// Cancel: before the call starts; later as ThreadOptions::abandon_on_cancel says.
// Threads: the run's own only.
template <class F>
auto run_sync(F&& fn, const ThreadOptions& options = {}) -> std::invoke_result_t<std::decay_t<F>&> {
  using Fn = std::decay_t<F>;
  using R = std::invoke_result_t<Fn&>;
  static_assert(!std::is_reference_v<R>, WEFT_RETURNS_NO_REFERENCE);
  const auto job = std::make_shared<detail::TypedJob<Fn, R>>(std::forward<F>(fn));
  detail::run_job(job, options);
  return job->result();
}
template <class F, class... Given>
requires(!std::invocable<std::decay_t<F>&> ||
         fibers::detail::kGivesArgument<ThreadOptions, Given...>) auto run_sync(F&&, Given&&...) {
  static_assert(fibers::detail::kMisused<F>, WEFT_TAKES_NO_ARGUMENTS);
}

// The limiter of this run for calls that name none: 40 tokens, which may be changed.
//
// Blocks: no.
// Cancel: not a checkpoint.
// Threads: the run's own only.
CapacityLimiter& current_default_thread_limiter();

}  // namespace weft::fibers::to_thread
