// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/run.h"

#include <utility>

#include "fibers/core/interrupt.h"
#include "fibers/core/nursery_access.h"
#include "fibers/core/overflow.h"
#include "fibers/core/scheduler.h"
#include "fibers/core/task_locals.h"
#include "weft/fibers/exception_group.h"

namespace weft::fibers {

using detail::Scheduler;

namespace {

// The life of a run. The root task holds the system nursery, which holds the main nursery, in which
// the main task is the only one: system tasks are there before it begins and outlive it.
class Run {
 public:
  Run(const std::function<void()>& main, const RunOptions& options)
      : main_(main),
        instruments_(options.instruments),
        scheduler_(options),
        interrupts_(scheduler_, options.handle_interrupt) {}

  void execute() {
    detail::tls_scheduler = &scheduler_;
    struct Leave {
      ~Leave() { detail::tls_scheduler = nullptr; }
    } leave;
    for (const InstrumentRef& instrument : instruments_) scheduler_.add_instrument(instrument);
    tell(detail::kBeforeRun, &Instrument::before_run);
    start_root_task();
    scheduler_.loop();
    scheduler_.finish_entries();
    tell(detail::kAfterRun, &Instrument::after_run);
  }

  // What the run has come to: a crash of the run itself, else what main threw.
  void rethrow() {
    if (scheduler_.crash_error != nullptr) throw_crash(scheduler_.crash_error);
    if (main_error_ != nullptr) std::rethrow_exception(std::move(main_error_));
    if (auto interrupt = scheduler_.take_interrupt()) std::rethrow_exception(interrupt->interrupt);
  }

 private:
  void tell(detail::Hook hook, void (Instrument::*method)()) {
    if (auto* instruments = scheduler_.instruments()) instruments->call(hook, method);
  }

  void start_root_task() {
    const auto root = [this] { run_root(); };
    using Root = std::remove_const_t<decltype(root)>;
    const std::source_location site = std::source_location::current();
    auto* task = scheduler_.create_task(detail::kClosureType<Root>, {.name = "root"}, site);
    ::new (task->closure) Root(root);
    scheduler_.start_root(*task);
  }

  void run_root() {
    try {
      open_nursery([this](Nursery& system) {
        scheduler_.system_nursery = &system;
        open_nursery([this](Nursery& main) { start_main(main); });
        // If main was cancelled, what it made of that is in main_error_, and nothing was swallowed.
        ScopeAccess::status(system.cancel_scope()).delivered = false;
        scheduler_.system_nursery = nullptr;
        auto cause = std::make_shared<CancelReason>();
        cause->source = "shutdown";
        detail::mark_cancelled(ScopeAccess::status(system.cancel_scope()), std::move(cause));
      });
    } catch (...) {
      scheduler_.system_nursery = nullptr;
      scheduler_.crash(std::current_exception());
    }
  }

  void start_main(Nursery& nursery) {
    nursery.start_soon([this] { run_main(); }, {.name = "main"});
    scheduler_.main_task = NurseryAccess::first_child(nursery);
  }

  void run_main() {
    try {
      main_();
    } catch (...) {
      main_error_ = std::current_exception();
    }
    // An interrupt that comes from here on comes out of run().
    scheduler_.main_task = nullptr;
  }

  [[noreturn]] static void throw_crash(const std::exception_ptr& cause) {
    try {
      std::rethrow_exception(cause);
    } catch (...) {
      std::throw_with_nested(InternalError(
          "a system task, or a call from outside the run, failed: " + describe_exception(cause)));
    }
  }

  const std::function<void()>& main_;
  const std::vector<InstrumentRef>& instruments_;
  Scheduler scheduler_;
  detail::InterruptHandler interrupts_;
  std::exception_ptr main_error_;
};

}  // namespace

namespace detail {

void run_erased(const std::function<void()>& main, const RunOptions& options) {
  WEFT_REQUIRE(tls_scheduler == nullptr,
               "run() was called inside a run; call the function directly, or use another thread");
  install_overflow_handler();
  Run run(main, options);
  run.execute();
  run.rethrow();
}

// The root task has no nursery above it.
void Scheduler::start_root(TaskBlock& task) {
  root_task = &task;
  root_status_.entered_by = &task;
  link_task(task, root_status_);
  if (instruments_ != nullptr) tell_task(kTaskSpawned, &Instrument::task_spawned, task);
  make_ready(task);
}

// What was accepted runs, and what those calls submit. What these submit in turn is refused, or a
// call that submits itself again would keep the run for ever.
void Scheduler::finish_entries() {
  run_entries();
  entries_->close();
  run_last_entries();
  deliver_interrupt();
}

}  // namespace detail

RunStatistics current_statistics() {
  return detail::current_scheduler().statistics();
}
StackStatistics stack_statistics() {
  return detail::thread_stack_pool().statistics();
}
void trim_stacks() {
  detail::thread_stack_pool().trim(0);
}
Instant current_time() {
  return detail::current_scheduler().now();
}
Clock& current_clock() {
  return detail::current_scheduler().clock();
}
Instant RunClock::now() {
  return current_time();
}

}  // namespace weft::fibers
