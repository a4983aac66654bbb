// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/lowlevel.h"

#include <exception>
#include <memory>
#include <new>
#include <string>

#include "fibers/core/current_scheduler.h"
#include "fibers/core/park.h"
#include "fibers/core/returns.h"
#include "fibers/core/task_locals.h"
#include "fibers/core/text.h"
#include "fibers/sys/lasting.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/log.h"
#include "weft/fibers/no_suspend.h"

namespace weft::fibers {

using detail::Scheduler;
using detail::TaskBlock;
using detail::Wake;

namespace {

[[noreturn]] void throw_cancellation(TaskBlock& task, std::shared_ptr<const CancelReason> reason) {
  if (reason->interrupt != nullptr) std::rethrow_exception(reason->interrupt);
  detail::note_delivery(task);
  RaiseCancelAccess::make(std::move(reason))();
}

// After a checkpoint of a task that is cancelled, or while some interrupt is pending.
[[gnu::cold, gnu::noinline]] void throw_if_due(Scheduler& scheduler, TaskBlock& task) {
  if (auto interrupt = scheduler.interrupt().take(task))
    throw_cancellation(task, std::move(interrupt));
  if (detail::cancellation_due(task, task.uncaught(scheduler))) {
    throw_cancellation(task, detail::catching_status(task).reason);
  }
}

// Warns about a wait that unwinding holds against a cancellation, every five seconds.
class HeldBackWarning : private detail::DeadlineNode {
 public:
  explicit HeldBackWarning(TaskBlock& task) : task_(task) {
    fire = [](detail::DeadlineNode& node) { static_cast<HeldBackWarning&>(node).warn(); };
    ++task.scheduler->armed_warnings;
    arm();
  }
  HeldBackWarning(const HeldBackWarning&) = delete;
  HeldBackWarning& operator=(const HeldBackWarning&) = delete;
  ~HeldBackWarning() {
    if (bucket >= 0) task_.scheduler->deadlines().disarm(*this);
    --task_.scheduler->armed_warnings;
  }

 private:
  static constexpr Duration kPatience = std::chrono::seconds(5);

  void arm() {
    Scheduler& scheduler = *task_.scheduler;
    scheduler.deadlines().arm(*this, later(scheduler.now(), kPatience));
  }
  [[gnu::cold]] void warn() {
    if (task_.state != TaskState::kWaiting) return;  // The wait has just ended.
    if (detail::cancellation_held_back(task_, task_.uncaught(*task_.scheduler))) {
      detail::log_quietly(LogLevel::kWarning, [this] {
        const char* const advice =
            "' for over 5 s while unwinding, where it cannot be cancelled; give waits in "
            "destructors a deadline of their own";
        return detail::concat({"task '", task_.name(), "' has been cancelled, but has waited for '",
                               task_.waiting_for(), advice});
      });
    }
    arm();
  }

  TaskBlock& task_;
};

}  // namespace

namespace detail {

// Flat, because each frame between the throw and its handler is walked twice by the unwinder: two
// frames less are a tenth of what it costs to cancel a parked task.
[[gnu::flatten]] void throw_wake(TaskBlock& task) {
  task.wait_slot = nullptr;  // It lies in a frame that ends here.
  if (task.wake == Wake::kError) std::rethrow_exception(std::exchange(task.wake_error, nullptr));
  throw_cancellation(task, std::exchange(task.cancel_reason, nullptr));
}

WEFT_SWITCHES [[gnu::cold]] void suspend_while_unwinding(Scheduler& scheduler, TaskBlock& me) {
  const HeldBackWarning warning(me);
  scheduler.suspend(me);
}

// Without memory for it, a std::bad_alloc: the wait is taken back in any case.
static std::shared_ptr<const CancelReason> refusal(const TaskBlock& me,
                                                   const WaitingFor& waiting_for) noexcept {
  try {
    auto reason = std::make_shared<CancelReason>();
    reason->source = "unknown";
    reason->interrupt = std::make_exception_ptr(UsageError(
        concat({"a task must not wait inside '", me.no_suspend, "', but it called '",
                waiting_for.what, "'; do the waiting outside, or hand the work to another task"})));
    return reason;
  } catch (...) {
    static const sys::NeverDestroyed no_memory([] {
      return CancelReason{.source = "unknown",
                          .interrupt = std::make_exception_ptr(std::bad_alloc())};
    });
    return unowned(*no_memory);
  }
}

// A wait in a place where none may be. The operation is taken back as if it had been cancelled; if
// that is refused, the task has to wait, and whoever refused has got the error.
[[gnu::cold]] static void refuse_wait(TaskBlock& me, const WaitingFor& waiting_for) {
  std::shared_ptr<const CancelReason> reason = refusal(me, waiting_for);
  const std::exception_ptr error = reason->interrupt;
  const AbortThunk abort = std::exchange(me.abort, nullptr);
  if (abort == nullptr ||
      abort(me.abort_context, RaiseCancelAccess::make(std::move(reason))) == Abort::kSucceeded) {
    if (const PresentWait* wait = me.aborting) {
      me.wait_info = wait->info;
      me.wait_slot = wait->slot;
      me.wait_type = wait->type;
    } else {
      me.state = TaskState::kReady;
      me.wait_slot = nullptr;
    }
    std::rethrow_exception(error);
  }
}

void Scheduler::before_suspend(TaskBlock& me, const WaitingFor& waiting_for) {
  if (me.no_suspend != nullptr) refuse_wait(me, waiting_for);
  if (me.park_hook != nullptr) me.park_hook->about_to_park(*me.park_hook);
}

// It must not throw: what it is told of could not be taken back.
static void tell(ScheduleSource* source, Task& task, const char* what) noexcept {
  if (source != nullptr) source->at_cancel_point(task, what);
}

void Scheduler::before_effect(TaskBlock& me) {
  if (me.no_suspend != nullptr) refuse_wait(me, {"checkpoint"});
  tell(source_, me, "checkpoint");
}

void Scheduler::before_cancel_point(TaskBlock& me, const WaitingFor& waiting_for) {
  before_suspend(me, waiting_for);
  tell(source_, me, waiting_for.what);
}

WEFT_SWITCHES WEFT_RETURNS_AFTER_SWITCH void wait_rescheduled(AbortThunk abort, void* context,
                                                              const WaitingFor& waiting_for) {
  park(scheduler_of_task(), abort, context, waiting_for);
}

void set_wait_slot(void* slot, const void* type) {
  TaskBlock& me = *scheduler_of_task().running();
  me.wait_slot = slot;
  me.wait_type = type;
}

void* claim_wait(Task& task, const void* type) {
  TaskBlock& block = require_waiting(task);
  WEFT_REQUIRE(
      block.wait_slot != nullptr && block.wait_type == type,
      "reschedule() with a value of another type than the task's wait_task_rescheduled<T>");
  block.abort = nullptr;
  block.state = TaskState::kReady;  // As good as: its value is on its way.
  return std::exchange(block.wait_slot, nullptr);
}

// Instead of a Cancelled, which is for scopes of another task.
static std::exception_ptr delivery_cancelled() noexcept {
  try {
    throw BrokenResourceError(
        "the task that delivered the value of this wait was cancelled while it moved the value");
  } catch (...) {
    return std::current_exception();
  }
}

void end_claimed_wait(Task& task, std::exception_ptr error) noexcept {
  TaskBlock& block = block_of(task);
  block.scheduler->wake(block);
  if (error == nullptr) return;
  block.wake = Wake::kError;
  block.wake_error = holds<Cancelled>(error) ? delivery_cancelled() : std::move(error);
}

}  // namespace detail

void reschedule(Task& task) {
  TaskBlock& block = detail::require_waiting(task);
  block.scheduler->wake(block);
}

void reschedule(Task& task, std::exception_ptr error) {
  WEFT_REQUIRE(error != nullptr, "reschedule() with a null error; leave it out to return normally");
  TaskBlock& block = detail::require_waiting(task);
  block.scheduler->wake(block);
  block.wake = Wake::kError;
  block.wake_error = std::move(error);
}

namespace {

// The ways of the unusual have bodies of their own, and are jumped to: calls in the usual ones
// would have the compiler look again at what it has just written to the queue.
WEFT_SWITCHES WEFT_RETURNS_AFTER_SWITCH [[gnu::noinline]] void unusual_checkpoint(
    Scheduler& scheduler, TaskBlock& me) {
  if (me.watched()) scheduler.before_cancel_point(me, {"checkpoint"});
  scheduler.requeue(me);
  WEFT_LEAVES();
  scheduler.suspend(me);
  if (detail::may_be_cancelled(scheduler, me)) [[unlikely]]
    throw_if_due(scheduler, me);
}

WEFT_SWITCHES WEFT_RETURNS_AFTER_SWITCH [[gnu::noinline]] void unusual_shielded_checkpoint(
    Scheduler& scheduler, TaskBlock& me) {
  if (me.watched()) scheduler.before_suspend(me, {"checkpoint"});
  scheduler.requeue(me);
  WEFT_LEAVES();
  scheduler.suspend(me);
}

}  // namespace

WEFT_SWITCHES WEFT_RETURNS_AFTER_SWITCH void checkpoint() {
  Scheduler& scheduler = detail::scheduler_of_task();
  TaskBlock& me = *scheduler.running();
  ++me.counts.schedule_points;
  ++me.counts.cancel_points;
  if (me.unusual != 0) [[unlikely]]
    return unusual_checkpoint(scheduler, me);
  scheduler.requeue_unstepped(me);
  WEFT_LEAVES();
  scheduler.suspend(me);
  if (detail::may_be_cancelled(scheduler, me)) [[unlikely]]
    throw_if_due(scheduler, me);
}

[[gnu::always_inline]] static inline void raise_if_cancelled(Scheduler& scheduler, TaskBlock& me) {
  ++me.counts.cancel_points;
  if (me.watched()) [[unlikely]]
    scheduler.before_effect(me);
  if (!detail::may_be_cancelled(scheduler, me)) [[likely]]
    return;
  if (!scheduler.interrupt().is_due(me) && !detail::cancellation_due(me, me.uncaught(scheduler))) {
    return;
  }
  cancel_shielded_checkpoint();
  throw_if_due(scheduler, me);
}

void checkpoint_if_cancelled() {
  Scheduler& scheduler = detail::scheduler_of_task();
  raise_if_cancelled(scheduler, *scheduler.running());
}

detail::CallTarget detail::CallTarget::here() {
  Scheduler& scheduler = scheduler_of_task();
  TaskBlock& me = *scheduler.running();
  raise_if_cancelled(scheduler, me);
  return {&me, Token(scheduler.entries())};
}

WEFT_SWITCHES WEFT_RETURNS_AFTER_SWITCH void cancel_shielded_checkpoint() {
  Scheduler& scheduler = detail::scheduler_of_task();
  TaskBlock& me = *scheduler.running();
  ++me.counts.schedule_points;
  if (me.unusual != 0) [[unlikely]]
    return unusual_shielded_checkpoint(scheduler, me);
  scheduler.requeue_unstepped(me);
  WEFT_LEAVES();
  scheduler.suspend(me);
}

namespace detail {

WEFT_SWITCHES WEFT_RETURNS_AFTER_SWITCH void pass_turn() {
  Scheduler& scheduler = scheduler_of_task();
  TaskBlock& me = *scheduler.running();
  ++me.counts.schedule_points;
  WEFT_LEAVES();  // Also before the first return, or the processor mispredicts those after it.
  if (scheduler.keeps_turn()) return;
  scheduler.requeue_unstepped(me);
  scheduler.suspend(me);
}

}  // namespace detail

void RaiseCancel::operator()() const {
  if (reason_->interrupt != nullptr) std::rethrow_exception(as_exception());
  throw Cancelled(reason_);
}

std::exception_ptr RaiseCancel::as_exception() const {
  if (reason_->interrupt == nullptr) return std::make_exception_ptr(Cancelled(reason_));
  reason_->interrupt_taken = true;
  return reason_->interrupt;
}

Nursery& system_nursery() {
  Nursery* nursery = detail::current_scheduler().system_nursery;
  WEFT_REQUIRE(nursery != nullptr, "the run is shutting down; no system task can be started");
  return *nursery;
}

ParkHook* set_park_hook(ParkHook* hook) {
  TaskBlock& me = *detail::scheduler_of_task().running();
  ParkHook* before = std::exchange(me.park_hook, hook);
  me.update_unusual();
  return before;
}

Stepper* set_stepper(Task& task, Stepper* stepper) noexcept {
  TaskBlock& block = detail::block_of(task);
  Stepper* const before = std::exchange(block.stepper, stepper);
  block.update_unusual();
  if (std::exchange(block.told_to_stepper, false)) block.scheduler->make_ready(block);
  return before;
}

WEFT_SWITCHES WEFT_RETURNS_AFTER_SWITCH void step(Task& task) {
  Scheduler& scheduler = detail::scheduler_of_task();
  TaskBlock& block = detail::block_of(task);
  WEFT_REQUIRE(block.scheduler == &scheduler && block.stepper != nullptr &&
                   (block.told_to_stepper || block.state == TaskState::kWaiting),
               "step() of a task that has no Stepper, or neither waits nor has been told to it");
  if (!std::exchange(block.told_to_stepper, false)) {
    block.abort = nullptr;
    block.wake = Wake::kValue;
    block.state = TaskState::kReady;
  }
  WEFT_LEAVES();
  scheduler.step(block);
}

void* task_word() noexcept {
  const Scheduler* const scheduler = detail::tls_scheduler;
  const TaskBlock* const me = scheduler != nullptr ? scheduler->running() : nullptr;
  return me != nullptr ? me->word : nullptr;
}

void* task_word(const Task& task) noexcept {
  return detail::block_of(task).word;
}

void* set_task_word(void* word) {
  return std::exchange(detail::scheduler_of_task().running()->word, word);
}

void poll_at_next_suspension() {
  detail::current_scheduler().turns().poll_at_next_suspension();
}

CheckpointCounts checkpoint_counts() {
  return detail::scheduler_of_task().running()->counts;
}

NoSuspend::NoSuspend(const char* where) {
  TaskBlock& me = *detail::scheduler_of_task().running();
  before_ = std::exchange(me.no_suspend, where);
  me.update_unusual();
}

NoSuspend::~NoSuspend() {
  TaskBlock& me = *detail::scheduler_of_task().running();
  me.no_suspend = before_;
  me.update_unusual();
}

}  // namespace weft::fibers
