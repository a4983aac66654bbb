// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/core/scheduler.h"

#include <utility>

#include "fibers/core/current_scheduler.h"
#include "fibers/core/greenlet_block.h"
#include "fibers/core/host_call.h"
#include "fibers/core/nursery_access.h"
#include "fibers/core/schedule_source.h"
#include "fibers/sys/lasting.h"

namespace weft::fibers::detail {

constinit thread_local Scheduler* tls_scheduler = nullptr;

// In a row.
static constexpr int kMostFailedPolls = 100;

[[gnu::cold]] Scheduler::Scheduler(const RunOptions& options)
    : exceptions_(thread_exception_state()),
      turns_(
          options.clock != nullptr || options.schedule_source != nullptr || options.schedule_seed,
          !options.in_order && options.schedule_source == nullptr && !options.schedule_seed),
      time_(options.clock),
      seeded_(options.schedule_seed ? seeded_source(*options.schedule_seed) : nullptr),
      source_(options.schedule_source != nullptr ? options.schedule_source : seeded_.get()),
      stacks_(thread_stack_pool()),
      stack_size_(options.stack_size) {
  if (source_ != nullptr) stacks_.put_in_order();
  checks_captures = options.check_captures;
  describe_own_stack(own_);
}

// NOLINTNEXTLINE(modernize-use-equals-default): under TSan it is not.
[[gnu::cold]] Scheduler::~Scheduler() {
#ifdef WEFT_TSAN
  destroy_tsan_fiber(dead_tsan_fiber_);
#endif
}

void Scheduler::loop() {
  poller_.wakeup().awake();
  while (living_ > 0) {
    try {
      if (const auto wait = poller_.before_wait()) {
        const std::size_t events = poller_.look(wait->timeout, &*wait);
        poller_.after_wait(*wait, events);
      }
      failed_polls_ = 0;
    } catch (...) {
      poll_failed();
    }
    run_ready_tasks();
  }
}

// The clock or the system has failed the run. Everybody is cancelled, and may still end in order.
[[gnu::cold]] void Scheduler::poll_failed() {
  crash(std::current_exception());
  // Or else nobody can go on, nor ever will.
  WEFT_ASSERT(!ready_.empty() || ++failed_polls_ < kMostFailedPolls);
}

[[gnu::cold]] void Scheduler::request_interrupt() noexcept {
  interrupt_.request();
  poller_.wakeup().wake();
}

void Scheduler::call_host() noexcept {
  host_.at_leisure = false;
  if (host_call.run == this && host_call.call()) return;
  poller_.wakeup().wake();
}

WEFT_SWITCHES void Scheduler::run_ready_tasks(std::int32_t hand_overs) {
  if (ready_.empty()) return;
  if (watchers_.steps()) [[unlikely]]
    watchers_.instruments()->tell_scheduled();
  turns_.begin(hand_overs, ready_);
  if (source_ != nullptr || watchers_.steps()) [[unlikely]]
    return run_stepping(static_cast<std::uint32_t>(hand_overs) + 1);
  switch_to_task(own_, *ready_.pop());
  turns_.end(ready_);
  if (watchers_.steps()) [[unlikely]]
    watchers_.instruments()->end_step();  // An instrument has come meanwhile.
}

// Each task comes back here when it suspends: there is no budget for handing over.
[[gnu::cold]] WEFT_SWITCHES void Scheduler::run_stepping(std::uint32_t tasks) {
  for (; tasks > 0 && !ready_.empty(); --tasks) {
    if (Instruments* told = watchers_.instruments()) told->tell_scheduled();
    TaskBlock& task = source_ != nullptr ? take_chosen(tasks) : *ready_.pop();
    if (Instruments* told = watchers_.instruments()) told->begin_step(task);
    turns_.stop_hand_overs();
    switch_to_task(own_, task);
    if (Instruments* told = watchers_.instruments()) told->end_step();
    if (source_ != nullptr && !source_->fair()) return;
  }
  turns_.end(ready_);
}

void Scheduler::tell_stepper(TaskBlock& task) {
  if (watchers_.steps()) watchers_.instruments()->task_told(task);
  task.told_to_stepper = true;
  task.stepper->task_ready(*task.stepper, task);
}

[[gnu::cold]] void Scheduler::crash(std::exception_ptr error) {
  if (crash_error == nullptr) crash_error = std::move(error);
  if (system_nursery == nullptr) return;
  // Without an allocation: lack of memory may be what it has crashed of.
  static const sys::NeverDestroyed cause(
      [] { return CancelReason{.source = "explicit", .reason = "the run crashed"}; });
  mark_cancelled(ScopeAccess::status(system_nursery->cancel_scope()), unowned(*cause));
}

// All waits are taken back, as if they were cancelled, so that nobody finds a waiter that will not
// come. Then the scopes, from the leaves to the root, whose own status belongs to no scope.
[[gnu::cold]] void Scheduler::give_up() {
  link_.give_up();
  host_.at_leisure = false;
  poller_.entries()->close();
  static const sys::NeverDestroyed reason([] { return CancelReason{.source = "abandoned"}; });
  for (TaskBlock* task : all_tasks()) {
    if (const AbortThunk abort = std::exchange(task->abort, nullptr))
      abort(task->abort_context, RaiseCancelAccess::make(unowned(*reason)));
  }
  CancelStatus* status = &root_status_;
  for (;;) {
    while (status->first_child != nullptr) status = status->first_child;
    if (status == &root_status_) return;
    CancelStatus* const parent = status->parent;
    ScopeAccess::take_out(ScopeAccess::of(*status));
    status = parent;
  }
}

}  // namespace weft::fibers::detail
