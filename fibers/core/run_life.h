// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The life of a run, apart from who turns its scheduler: run() at one go, a guest's host tick by
// tick.

#pragma once

#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "fibers/core/interrupt.h"
#include "fibers/core/scheduler.h"
#include "weft/fibers/run.h"

namespace weft::fibers::detail {

// Throws UsageError if this thread has a run.
void refuse_second_run();

// The root task holds the system nursery, which holds the main nursery, in which the main task is
// the only one: system tasks are there before it begins and outlive it.
class RunLife {
 public:
  // Both outlive this.
  RunLife(const std::function<void()>& main, const RunOptions& options);
  RunLife(const RunLife&) = delete;
  RunLife& operator=(const RunLife&) = delete;
  ~RunLife();

  // Makes it the run of this thread; the root task is ready then. Throws UsageError if its stack
  // cannot be had.
  void begin();
  // When no task is left. From here on the thread has no run.
  void end();
  // What the run has come to: throws a crash of the run itself, else what main threw; beside it, in
  // a group, an interrupt that has come too late for main.
  void rethrow();
  Scheduler& scheduler() { return scheduler_; }
  // Instead of destroying a run whose scheduler has been given up: its tasks are never unwound, and
  // what they waited for, or have entered, may still refer to it. Any thread.
  static void keep_for_ever(std::unique_ptr<RunLife> life) noexcept;

 private:
  void tell(Hook hook, void (Instrument::*method)());
  void start_root_task();
  void run_root();
  void start_main(Nursery& nursery);
  void run_main();
  void end_interrupts();

  const std::function<void()>& main_;
  const std::vector<InstrumentRef>& instruments_;
  Scheduler scheduler_;
  std::optional<InterruptHandler> interrupts_;
  std::unique_ptr<RunLife> next_kept_;
  std::exception_ptr main_error_;
};

}  // namespace weft::fibers::detail
