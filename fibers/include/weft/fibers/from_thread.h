// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The way back into the run for what to_thread::run_sync calls, and into any run for other threads.
//
//   to_thread::run_sync([&] {
//     for (const Row& row : rows_from_a_blocking_driver()) {
//       from_thread::check_cancelled();
//       from_thread::run([&] { channel.send(row); });        // waits for room
//     }
//   });
//
// The calls are made by the very task that waits for the thread: they see its scopes and its
// cancellation, and a copy of the thread's context variables. Only if nobody waits for the thread
// in earnest, since its call may be abandoned or a token was given, they are made beside all tasks
// of the program. (Trio: from_thread.)

#pragma once

#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <semaphore>
#include <type_traits>
#include <utility>

#include "weft/fibers/outcome.h"
#include "weft/fibers/token.h"

namespace weft::fibers::detail {
struct TaskLocals;
}

namespace weft::fibers::from_thread {

struct FromThreadOptions {
  // Which run. Nothing: that of the task that waits for this thread; other threads have to say.
  std::optional<Token> token = std::nullopt;
};

namespace detail {

// A call for the run to make, while the thread that wants it waits.
class Call {
 public:
  // Made by the thread, whose context variables it takes along.
  explicit Call(bool may_wait);
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
  virtual ~Call();

  bool may_wait() const { return may_wait_; }
  // Makes it, in a callback of the scheduler and with the thread's context variables, and lets the
  // thread go on. Returns what was thrown, or null.
  std::exception_ptr make();
  // The same, by a task, which lends itself to the thread's context variables.
  std::exception_ptr make_in_context();
  // Does not make it: the thread gets `error`.
  void refuse(std::exception_ptr error);
  void wait() { done_.acquire(); }

 private:
  virtual std::exception_ptr run() noexcept = 0;
  virtual void fail(std::exception_ptr error) = 0;

  const bool may_wait_;
  fibers::detail::TaskLocals* context_;
  std::binary_semaphore done_{0};
};

template <class Fn, class R>
class TypedCall final : public Call {
 public:
  template <class F>
  TypedCall(F&& fn, bool may_wait) : Call(may_wait), fn_(std::forward<F>(fn)) {}
  R result() { return outcome_->unwrap(); }

 private:
  std::exception_ptr run() noexcept override {
    fibers::detail::capture_in(outcome_, fn_);
    return outcome_->error();
  }
  void fail(std::exception_ptr error) override {
    outcome_.emplace(Outcome<R>::error(std::move(error)));
  }

  Fn fn_;
  std::optional<Outcome<R>> outcome_;
};

void make_call(const std::shared_ptr<Call>& call, const FromThreadOptions& options);

template <class F>
auto call_run(F&& fn, bool may_wait, const FromThreadOptions& options)
    -> std::invoke_result_t<std::decay_t<F>&> {
  using Fn = std::decay_t<F>;
  using R = std::invoke_result_t<Fn&>;
  static_assert(!std::is_reference_v<R>, "return a value or a pointer to another thread");
  const auto call = std::make_shared<TypedCall<Fn, R>>(std::forward<F>(fn), may_wait);
  make_call(call, options);
  return call->result();
}

}  // namespace detail

// Calls `fn` in a task of the run and returns what it returns, or throws what it throws: also the
// Cancelled that its waits raise. That task is the one that waits for this thread; with
// ThreadOptions::abandon_on_cancel or a token, a system task, which is cancelled when the main task
// ends. Throws UsageError inside a run, and in a thread without a host if no token is given;
// RunFinishedError if the run is over.
//
// Blocks: the thread, until `fn` has returned.
// Cancel: as its task is; check_cancelled() asks without a call.
// Threads: outside runs only.
template <class F>
auto run(F&& fn, const FromThreadOptions& options = {}) {
  return detail::call_run(std::forward<F>(fn), true, options);
}

// The same for an `fn` that does not wait; if it tries, it gets UsageError. With
// ThreadOptions::abandon_on_cancel or a token it is called outside all tasks.
//
// Blocks: the thread, until `fn` has returned.
// Cancel: not a checkpoint.
// Threads: outside runs only.
template <class F>
auto run_sync(F&& fn, const FromThreadOptions& options = {}) {
  return detail::call_run(std::forward<F>(fn), false, options);
}

// Throws Cancelled if the task that waits for this thread has been cancelled since. Let it pass:
// out of the thread's function it comes out of to_thread::run_sync, where the scope catches it.
// Throws UsageError in a thread without a host.
//
// Blocks: no.
// Cancel: at once.
// Threads: those of to_thread only.
void check_cancelled();

}  // namespace weft::fibers::from_thread
