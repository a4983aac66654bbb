// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A way into a run that is suspended: in a greenlet (greenlet.h) that the thread has left. Nothing
// in such a run moves, but the thread may still work on it from outside, as the host of a guest run
// may between two ticks: arm an FdWatch, start a task, cancel a scope, ask for its time.

#pragma once

#include <functional>
#include <type_traits>
#include <utility>

#include "weft/fibers/detail/requirements.h"

namespace weft::fibers {

namespace detail {

class Scheduler;
struct TaskLocals;

// While it lives the thread is in that run, but in none of its tasks.
class EnteredRun {
 public:
  // Nothing changes if the thread is in that run already.
  explicit EnteredRun(Scheduler& run);
  EnteredRun(const EnteredRun&) = delete;
  EnteredRun& operator=(const EnteredRun&) = delete;
  ~EnteredRun();

 private:
  Scheduler& run_;
  Scheduler* const before_;
  void* running_ = nullptr;
  TaskLocals** locals_ = nullptr;
};

}  // namespace detail

// Names a run. A value; good as long as the run lasts.
class RunRef {
 public:
  // Calls `fn` in that run, outside its tasks: in_trio_run() is true there, in_trio_task() is not,
  // and a wait is a UsageError. Context variables are those of the caller. Calls `fn` directly if
  // the thread is in that run already, task or not.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the run's own only.
  template <class F>
  std::invoke_result_t<F> call(F&& fn) const {
    const detail::EnteredRun entered(*run_);
    return std::invoke(std::forward<F>(fn));
  }
  friend bool operator==(const RunRef&, const RunRef&) = default;

 private:
  friend RunRef current_run();
  explicit RunRef(detail::Scheduler& run) : run_(&run) {}
  detail::Scheduler* run_;
};

// The run that the caller is in. Throws UsageError outside a run.
//
// Blocks: no.
// Cancel: not a checkpoint.
// Threads: the run's own only.
RunRef current_run();

}  // namespace weft::fibers
