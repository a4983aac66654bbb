// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/cancel_scope.h"

#include <cstddef>
#include <new>

#include "fibers/core/current_scheduler.h"
#include "fibers/core/nursery_access.h"
#include "fibers/sys/lasting.h"
#include "weft/fibers/detail/destroyed.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {

using detail::CancelStatus;
using detail::DeadlineNode;
using detail::Scheduler;
using detail::TaskBlock;

namespace {

std::shared_ptr<const CancelReason> deadline_reason() {
  static const sys::NeverDestroyed reason([] { return CancelReason{.source = "deadline"}; });
  return unowned(*reason);
}

std::shared_ptr<const CancelReason> explicit_reason(std::string_view words) noexcept {
  static const sys::NeverDestroyed bare([] { return CancelReason{.source = "explicit"}; });
  const Scheduler* const scheduler = detail::tls_scheduler;
  return detail::with_words(*bare, words, scheduler != nullptr ? scheduler->running() : nullptr);
}

// Before anything is changed: the run's thread walks these trees without a lock.
void require_own_thread(const CancelStatus& status) {
  WEFT_REQUIRE(
      status.entered_by == nullptr || status.entered_by->scheduler == detail::tls_scheduler,
      "a CancelScope was cancelled or changed from another thread than its run's; use "
      "Token::run_sync_soon");
}

}  // namespace

CancelScope& ScopeAccess::of(CancelStatus& status) {
  return *reinterpret_cast<CancelScope*>(reinterpret_cast<std::byte*>(&status) -
                                         offsetof(CancelScope, status_));
}

CancelScope& ScopeAccess::of(DeadlineNode& timer) {
  return *reinterpret_cast<CancelScope*>(reinterpret_cast<std::byte*>(&timer) -
                                         offsetof(CancelScope, timer_));
}

void ScopeAccess::take_out(CancelScope& scope) {
  CancelStatus& status = scope.status_;
  if (scope.timer_.bucket >= 0) status.entered_by->scheduler->deadlines().disarm(scope.timer_);
  detail::unlink_status(status);
  status.first_task = nullptr;
  status.entered_by = nullptr;
}

CancelScope::CancelScope(const CancelScopeOptions& options) {
  WEFT_REQUIRE(!options.deadline || !options.relative_deadline,
               "a CancelScope takes a deadline or a relative deadline, not both");
  status_.shield = options.shield;
  if (options.deadline) timer_.when = *options.deadline;
  if (options.relative_deadline) {
    relative_ = detail::checked_timeout(*options.relative_deadline);
    is_relative_ = true;
  }
}

// run() has closed the scope whatever happened.
CancelScope::~CancelScope() {
  if (status_.entered_by != nullptr) [[unlikely]]
    detail::destroyed_in_use("CancelScope", this, status_.entered_by, "is inside it");
}

void CancelScope::enter() {
  Scheduler& scheduler = detail::scheduler_of_task();
  WEFT_REQUIRE(!entered_, "a CancelScope can be run only once; make a new one");
  entered_ = true;
  TaskBlock& task = *scheduler.running();
  // Whose time is up from the beginning is cancelled here and now: whether its first wait ends must
  // not depend on when a busy run next looks at the clock.
  bool past = false;
  if (is_relative_) {
    timer_.when = later(scheduler.now(), relative_);
    past = relative_ == Duration::zero();
    is_relative_ = false;
  } else if (timer_.when != kForever) {
    past = timer_.when <= scheduler.now();
  }
  if (past) detail::mark_cancelled(status_, deadline_reason());
  CancelStatus& outer = *task.cancel_status;
  const unsigned uncaught = task.uncaught(scheduler);
  status_.entered_by = &task;
  status_.entry_uncaught = uncaught;
  status_.unwind_shield = uncaught > (outer.entered_by == &task ? outer.entry_uncaught : 0U);
  detail::link_status(status_, &outer);
  detail::unlink_task(task);
  detail::link_first_task(task, status_);
  status_.effectively_cancelled =
      status_.cancel_called || (status_.sees_parent() && outer.effectively_cancelled);
  if (timer_.when != kForever) arm();
}

void CancelScope::arm() {
  if (status_.cancel_called) return;
  timer_.fire = [](DeadlineNode& timer) {
    detail::mark_cancelled(ScopeAccess::of(timer).status_, deadline_reason());
  };
  status_.entered_by->scheduler->deadlines().arm(timer_, timer_.when);
}

// Takes the scope out of the tree. Its deadline no longer counts.
void CancelScope::close_status() {
  TaskBlock& task = *status_.entered_by;
  if (timer_.bucket >= 0) task.scheduler->deadlines().disarm(timer_);
  CancelStatus& outer = *status_.parent;
  WEFT_ASSERT(task.cancel_status == &status_);
  WEFT_ASSERT(status_.first_child == nullptr && task.next_in_status == nullptr);
  detail::link_task(task, outer);
  detail::unlink_status(status_);
  status_.entered_by = nullptr;
}

bool CancelScope::absorbs() const {
  return status_.effectively_cancelled && !(status_.parent != nullptr && status_.sees_parent() &&
                                            status_.parent->effectively_cancelled);
}

void CancelScope::leave() {
  if (status_.delivered) [[unlikely]]
    status_.entered_by->scheduler->swallowed().found_by(*status_.entered_by);
  close_status();
}

bool CancelScope::leave_with_cancelled() {
  cancelled_caught_ = absorbs();
  if (cancelled_caught_) status_.entered_by->scheduler->swallowed().forget(*status_.entered_by);
  close_status();
  return cancelled_caught_;
}

[[gnu::cold]] std::exception_ptr CancelScope::leave_with(std::exception_ptr error) {
  const bool mine = absorbs();
  if (mine) status_.entered_by->scheduler->swallowed().forget(*status_.entered_by);
  close_status();
  if (!mine) return error;
  try {
    std::rethrow_exception(error);
  } catch (const Cancelled&) {
    cancelled_caught_ = true;
    return nullptr;
  } catch (const BaseExceptionGroup& group) {
    auto [cancelled, rest] = group.split<Cancelled>();
    if (cancelled == nullptr) return error;
    cancelled_caught_ = true;
    return rest;
  } catch (...) {
    return error;
  }
}

namespace detail {

void throw_cut_short() {
  throw UsageError("the body was cut short and has no value; ask finished() before value()");
}

bool swallow_current(CancelScope& scope,
                     std::exception_ptr (CancelScope::*leave)(std::exception_ptr)) {
  const std::exception_ptr current = std::current_exception();
  std::exception_ptr rest = (scope.*leave)(current);
  if (rest == nullptr) return true;
  if (rest == current) throw;  // Unchanged: the very same object goes on.
  std::rethrow_exception(std::move(rest));
}

}  // namespace detail

void CancelScope::cancel(std::string_view reason) {
  if (status_.cancel_called) return;
  require_own_thread(status_);
  std::shared_ptr<const CancelReason> cause = explicit_reason(reason);
  if (timer_.bucket >= 0) status_.entered_by->scheduler->deadlines().disarm(timer_);
  detail::mark_cancelled(status_, std::move(cause));
}

// A scope that has been left stays as it is. One that has not been entered has a clock to go by
// only inside a run.
bool CancelScope::cancel_called() {
  const bool left = entered_ && status_.entered_by == nullptr;
  if (status_.cancel_called || left || is_relative_ || timer_.when == kForever) {
    return status_.cancel_called;
  }
  Scheduler* const scheduler = entered_ ? status_.entered_by->scheduler : detail::tls_scheduler;
  if (scheduler != nullptr && timer_.when <= scheduler->now()) {
    if (timer_.bucket >= 0) scheduler->deadlines().disarm(timer_);
    detail::mark_cancelled(status_, deadline_reason());
  }
  return status_.cancel_called;
}

void CancelScope::set_shield(bool shield) {
  require_own_thread(status_);
  status_.shield = shield;
  if (status_.entered_by != nullptr) detail::recalculate(status_);
}

Instant CancelScope::deadline() const {
  WEFT_REQUIRE(!is_relative_,
               "this scope's deadline is relative and it has not been entered; ask for "
               "relative_deadline()");
  return timer_.when;
}

void CancelScope::set_deadline(Instant deadline) {
  WEFT_REQUIRE(!is_relative_,
               "this scope's deadline is relative and it has not been entered; use "
               "set_relative_deadline()");
  require_own_thread(status_);
  if (timer_.bucket >= 0) status_.entered_by->scheduler->deadlines().disarm(timer_);
  timer_.when = deadline;
  if (status_.entered_by == nullptr || deadline == kForever) return;
  arm();
  Scheduler& scheduler = *status_.entered_by->scheduler;
  if (deadline <= scheduler.now()) scheduler.turns().poll_at_next_suspension();
  scheduler.call_host_if_at_leisure();
}

Duration CancelScope::relative_deadline() const {
  if (!entered_) {
    WEFT_REQUIRE(
        is_relative_ || timer_.when == kForever,
        "this scope's deadline is absolute and it has not been entered; ask for deadline()");
    return relative_;
  }
  return timer_.when == kForever ? Duration::max() : time_between(current_time(), timer_.when);
}

void CancelScope::set_relative_deadline(Duration length) {
  detail::checked_timeout(length);
  if (entered_) {
    set_deadline(later(current_time(), length));
    return;
  }
  WEFT_REQUIRE(is_relative_ || timer_.when == kForever,
               "this scope's deadline is absolute and it has not been entered; use set_deadline()");
  relative_ = length;
  is_relative_ = true;
}

std::optional<bool> CancelScope::is_relative() const {
  if (entered_) return std::nullopt;
  return is_relative_;
}

Instant detail::earliest_deadline(const TaskBlock& task) {
  Instant earliest = kForever;
  for (CancelStatus* s = task.cancel_status; s->parent != nullptr; s = s->parent) {
    const Instant deadline = ScopeAccess::armed_deadline(ScopeAccess::of(*s));
    earliest = std::min(earliest, deadline);
    if (!s->sees_parent()) break;
  }
  return earliest;
}

Instant current_effective_deadline() {
  const TaskBlock& task = *detail::scheduler_of_task().running();
  return task.cancel_status->effectively_cancelled ? kLongAgo : detail::earliest_deadline(task);
}

}  // namespace weft::fibers
