// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/run.h"

#include <mutex>
#include <utility>

#include "fibers/core/current_scheduler.h"
#include "fibers/core/nursery_access.h"
#include "fibers/core/overflow.h"
#include "fibers/core/run_life.h"
#include "fibers/core/text.h"
#include "fibers/sys/lasting.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/lone_error.h"

namespace weft::fibers {

namespace detail {

namespace {

std::exception_ptr as_crash(const std::exception_ptr& cause) {
  try {
    try {
      std::rethrow_exception(cause);
    } catch (...) {
      std::throw_with_nested(InternalError(
          concat({"a system task, a call from outside the run, or the run itself, failed: ",
                  describe_exception(cause)})));
    }
  } catch (...) {
    return std::current_exception();
  }
}

}  // namespace

RunLife::RunLife(const std::function<void()>& main, const RunOptions& options)
    : main_(main),
      instruments_(options.instruments),
      scheduler_(options),
      interrupts_(std::in_place, scheduler_, options.handle_interrupt) {}

RunLife::~RunLife() {
  if (tls_scheduler == &scheduler_) tls_scheduler = nullptr;
}

void RunLife::keep_for_ever(std::unique_ptr<RunLife> life) noexcept {
  if (tls_scheduler == &life->scheduler_) tls_scheduler = nullptr;
  life->interrupts_.reset();
  life->scheduler_.let_go();
  static std::mutex mutex;
  static RunLife* kept = nullptr;  // Reachable, for those who look for leaks.
  const std::lock_guard lock(mutex);
  life->next_kept_.reset(std::exchange(kept, nullptr));
  kept = life.release();
}

void RunLife::begin() {
  tls_scheduler = &scheduler_;
  try {
    for (const InstrumentRef& instrument : instruments_) instrument.add_to(scheduler_);
    tell(kBeforeRun, &Instrument::before_run);
    start_root_task();
  } catch (...) {
    main_error_ = std::current_exception();
    end_interrupts();
    rethrow();
  }
}

void RunLife::end() {
  scheduler_.poller().finish_entries();
  tell(kAfterRun, &Instrument::after_run);
  end_interrupts();
}

// In this order: only when SIGINT has its default action again can no interrupt arrive any more.
void RunLife::end_interrupts() {
  tls_scheduler = nullptr;
  interrupts_.reset();
  scheduler_.interrupt().accept_request();
}

// An interrupt that no wait of main has met is never dropped for the error that main ended with: a
// supervisor that restarts on std::exception would not hear of it. (Trio raises KeyboardInterrupt
// with the error as its context.)
void RunLife::rethrow() {
  std::exception_ptr error = std::move(main_error_);
  if (scheduler_.crash_error != nullptr) error = as_crash(scheduler_.crash_error);
  if (auto interrupt = scheduler_.interrupt().take()) {
    error = with_interrupt(interrupt->interrupt, std::move(error),
                           "interrupted while the run was ending with an error");
  }
  if (error != nullptr) std::rethrow_exception(std::move(error));
}

void RunLife::tell(Hook hook, void (Instrument::*method)()) {
  if (auto* instruments = scheduler_.watchers().instruments()) instruments->call(hook, method);
}

void RunLife::start_root_task() {
  const auto root = [this] { run_root(); };
  using Root = std::remove_const_t<decltype(root)>;
  const std::source_location site = std::source_location::current();
  auto* task = scheduler_.create_task(kClosureType<Root>, {.name = "root"}, site);
  ::new (task->closure) Root(root);
  scheduler_.start_root(*task);
}

void RunLife::run_root() {
  try {
    open_nursery([this](Nursery& system) {
      scheduler_.system_nursery = &system;
      open_nursery([this](Nursery& main) { start_main(main); });
      // If main was cancelled, what it made of that is in main_error_, and nothing was swallowed.
      ScopeAccess::status(system.cancel_scope()).delivered = false;
      scheduler_.system_nursery = nullptr;
      static const sys::NeverDestroyed cause([] { return CancelReason{.source = "shutdown"}; });
      mark_cancelled(ScopeAccess::status(system.cancel_scope()), unowned(*cause));
    });
  } catch (...) {
    scheduler_.system_nursery = nullptr;
    scheduler_.crash(std::current_exception());
  }
}

void RunLife::start_main(Nursery& nursery) {
  nursery.start_soon([this] { run_main(); }, {.name = "main"});
  scheduler_.interrupt().main_task = NurseryAccess::first_child(nursery);
}

void RunLife::run_main() {
  try {
    main_();
  } catch (...) {
    main_error_ = std::current_exception();
  }
  // An interrupt that comes from here on comes out of run().
  scheduler_.interrupt().main_task = nullptr;
}

void run_erased(const std::function<void()>& main, const RunOptions& options) {
  refuse_second_run();
  install_overflow_handler();
  RunLife run(main, options);
  run.begin();
  run.scheduler().loop();
  run.end();
  run.rethrow();
}

void refuse_second_run() {
  if (tls_scheduler == nullptr) return;
  WEFT_REQUIRE(!tls_scheduler->host().exists,
               "this thread has a guest run that is not over, and can have one run at a time; "
               "wait for its done_callback, or use another thread");
  WEFT_REQUIRE(false,
               "run() or start_guest_run() was called inside a run; call the function directly, "
               "start a task, or use another thread");
}

// The root task has no nursery above it.
void Scheduler::start_root(TaskBlock& task) {
  root_task = &task;
  root_status_.entered_by = &task;
  link_task(task, root_status_);
  watchers_.task_spawned(task);
  make_ready(task);
}

}  // namespace detail

void trim_stacks() {
  detail::thread_stack_pool().trim(0);
}
}  // namespace weft::fibers
