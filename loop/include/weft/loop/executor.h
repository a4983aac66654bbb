// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Executors: what calls functions in other threads. thread_pool_executor.h has one; to plug in
// another, derive from Executor:
//
//   class OnMyPool final : public Executor {
//     void execute(Job job) override { pool_.post(std::move(job)); }       // calls it: job()
//     void shut_down(const ShutdownOptions& options) override { ... }
//   };
//   loop.set_default_executor(std::make_shared<OnMyPool>());
//
// (Python: concurrent.futures.Executor. There is no map: fibers' gather, or a loop, does it.)

#pragma once

#include <functional>
#include <optional>
#include <type_traits>
#include <utility>

#include "weft/fibers/detail/misuse.h"
#include "weft/loop/concurrent_future.h"

namespace weft::loop {

namespace detail {

// A function and the future of what it returns.
template <class T, class Fn>
class JobBox final : public ConcurrentBox<T> {
 public:
  template <class F>
  JobBox(std::in_place_t, F&& fn) : fn_(std::in_place, std::forward<F>(fn)) {}

 private:
  void call_code() override {
    if constexpr (std::is_void_v<T>) {
      std::invoke(*fn_);
      this->value.emplace();
    } else {
      this->value.emplace(std::invoke(*fn_));
    }
  }
  void drop_code() noexcept override { fn_.reset(); }

  std::optional<Fn> fn_;
};

template <class Fn>
using JobResult = std::invoke_result_t<std::decay_t<Fn>&>;

// With one reference.
template <class F>
ConcurrentBox<JobResult<F>>* make_job(F&& fn) {
  static_assert(!std::is_reference_v<JobResult<F>>, WEFT_RETURNS_NO_REFERENCE);
  return new JobBox<JobResult<F>, std::decay_t<F>>(std::in_place, std::forward<F>(fn));
}

}  // namespace detail

struct ShutdownOptions {
  // Waits until all jobs have ended, and blocks nobody but the task that calls, if a task does.
  bool wait = true;
  // Cancels the jobs that have not begun; else they are still done.
  bool cancel_futures = false;
};

// A resource.
class Executor {
 public:
  // Something to call, once, on any thread: `job()`. It throws nothing. One that is destroyed
  // instead cancels its future. Moves; small enough to be kept in any queue.
  class Job {
   public:
    Job(Job&& other) noexcept : future_(std::exchange(other.future_, nullptr)) {}
    Job& operator=(Job&& other) noexcept {
      std::swap(future_, other.future_);
      return *this;
    }
    ~Job() {
      if (future_ != nullptr) drop();
    }
    void operator()() noexcept;

   private:
    friend class Executor;
    // Takes over one reference.
    explicit Job(detail::ConcurrentFutureCore* future) noexcept : future_(future) {}
    void drop() noexcept;

    detail::ConcurrentFutureCore* future_;
  };

  Executor() = default;
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;
  virtual ~Executor() = default;

  // Has `fn` called in another thread, with none of the caller's context variables; it may be
  // move-only. What it throws is thrown by the future. Throws UsageError after shutdown().
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: any.
  template <class F>
  ConcurrentFuture<detail::JobResult<F>> submit(F&& fn) {
    auto future = ConcurrentFutureAccess::wrap(detail::make_job(std::forward<F>(fn)));
    submit_job(ConcurrentFutureAccess::box(future));
    return future;
  }
  // Takes no more jobs. May be called again, with other options.
  //
  // Blocks: as ShutdownOptions::wait says.
  // Cancel: in a task at once; the executor stays shut down.
  // Threads: any; with `wait`, none of the executor's own.
  void shutdown(const ShutdownOptions& options = {}) { shut_down(options); }

  // --- For weft's own files. ---
  void submit_job(detail::ConcurrentFutureCore& job);

 private:
  // Has the job called soon. May be called on any thread. Throws UsageError after shut_down().
  virtual void execute(Job job) = 0;
  virtual void shut_down(const ShutdownOptions& options) = 0;
};

}  // namespace weft::loop
