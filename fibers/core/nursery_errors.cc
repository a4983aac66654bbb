// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What a nursery does with errors.

#include <new>
#include <utility>

#include "fibers/core/nursery_access.h"
#include "fibers/core/scheduler.h"
#include "fibers/sys/lasting.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/lone_error.h"
#include "weft/fibers/nursery.h"

namespace weft::fibers {

using detail::TaskBlock;

namespace {

// Why a nursery is cancelled.
std::shared_ptr<const CancelReason> failed_in(const TaskBlock* task) noexcept {
  static const sys::NeverDestroyed nameless([] { return CancelReason{.source = "nursery"}; });
  return detail::with_words(*nameless, {}, task);
}

}  // namespace

// A Cancelled that this nursery's own scope will swallow again is only counted: a thousand tasks
// cancelled together need no thousand copies of it.
void Nursery::add_error(std::exception_ptr error) noexcept {
  if (holds<Cancelled>(error)) {
    if (std::exchange(cancelled_inside_, true)) return;
  }
  try {
    errors_.push_back(std::move(error));
  } catch (const std::bad_alloc&) {
    errors_lost_ = true;
  }
  auto& status = ScopeAccess::status(scope_);
  if (status.cancel_called) return;
  const TaskBlock* task = parent_->scheduler->running();
  detail::mark_cancelled(status, failed_in(task));
}

// What close() throws. Without memory for that, std::bad_alloc takes the place of everything.
std::exception_ptr Nursery::collect_errors() {
  try {
    if (errors_lost_) errors_.push_back(std::make_exception_ptr(std::bad_alloc()));
    return detail::bare_cancelled(
        make_exception_group("exceptions from a nursery", std::move(errors_)));
  } catch (const std::bad_alloc&) {
    return std::current_exception();
  }
}

void NurseryAccess::child_failed(Nursery& nursery, std::exception_ptr error) {
  nursery.add_error(std::move(error));
}

// What has interrupted the wait for the children: the nursery keeps it, and says who is to blame.
void NurseryAccess::interrupted(Nursery& nursery, std::exception_ptr error) {
  if (holds<KeyboardInterrupt>(error)) {
    static const sys::NeverDestroyed nameless(
        [] { return CancelReason{.source = "KeyboardInterrupt"}; });
    detail::mark_cancelled(ScopeAccess::status(nursery.scope_),
                           detail::with_words(*nameless, {}, nursery.parent_));
  }
  nursery.add_error(std::move(error));
}

// What close() does after an error.
void Nursery::close_with_errors() {
  const bool only_cancelled = cancelled_inside_ && errors_.size() == 1 && !errors_lost_;
  if (only_cancelled && holds<Cancelled>(errors_.front())) {
    if (scope_.leave_with_cancelled()) return;
    std::rethrow_exception(std::move(errors_.front()));
  }
  if (std::exception_ptr rest = scope_.leave_with(collect_errors())) {
    std::rethrow_exception(std::move(rest));
  }
}

}  // namespace weft::fibers
