// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The tree of cancel statuses: which scopes cover which tasks, and who is effectively cancelled.
//
// A status is effectively cancelled when its scope was cancelled, or when the one above is and no
// shield is between. The flag is kept up to date when something changes, which is rare, so that
// each wait has one flag to look at.

#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <string_view>

#include "fibers/core/task.h"
#include "weft/fibers/cancel_scope.h"

namespace weft::fibers {

// Why a scope was cancelled. Shared by all the Cancelled that come of it.
struct CancelReason {
  std::string_view source = {};  // A literal.
  std::string reason = {};
  std::string source_task = {};
  // What to throw instead of a Cancelled: a KeyboardInterrupt or a DeadlockError.
  std::exception_ptr interrupt = nullptr;
  // Whether a RaiseCancel has handed that out: by any thread, for a worker may throw it.
  mutable std::atomic<bool> interrupt_taken{false};
};

// Of a cancellation that must not need memory: `reason` is never destroyed.
inline std::shared_ptr<const CancelReason> unowned(const CancelReason& reason) {
  return {std::shared_ptr<const CancelReason>(), &reason};
}

namespace detail {
// A reason like `bare`, which lives for ever, with words and the task to blame, who may be null.
// Without memory for them it is `bare` itself: to cancel never fails.
std::shared_ptr<const CancelReason> with_words(const CancelReason& bare, std::string_view words,
                                               const TaskBlock* by) noexcept;
}  // namespace detail

// How abort functions get their RaiseCancel.
struct RaiseCancelAccess {
  static RaiseCancel make(std::shared_ptr<const CancelReason> reason) {
    return RaiseCancel(std::move(reason));
  }
};

namespace detail {

// Puts `status` under `parent`, or takes it out. `parent` may be null at the root.
void link_status(CancelStatus& status, CancelStatus* parent);
void unlink_status(CancelStatus& status);

// Makes `status` the innermost one of `task`.
void link_task(TaskBlock& task, CancelStatus& status);
// The same for a status that has no task yet.
void link_first_task(TaskBlock& task, CancelStatus& status);
void unlink_task(TaskBlock& task);

// Brings `status` and everything below it up to date, and delivers to waiting tasks what became
// due.
void recalculate(CancelStatus& status);

// Marks the scope as cancelled for that reason and delivers. Does nothing the second time.
void mark_cancelled(CancelStatus& status, std::shared_ptr<const CancelReason> reason);

// Moves the children and the tasks of `from`, except `stays`, under `to`.
void move_status_children(CancelStatus& from, CancelStatus& to, const TaskBlock* stays);

// Whether a wait of `task` is to be cancelled now: it is covered by a cancelled scope, and not
// unwinding deeper than that scope's place in it.
bool cancellation_due(const TaskBlock& task, unsigned uncaught);
// Covered by a cancelled scope, but held back until the unwinding is over.
bool cancellation_held_back(const TaskBlock& task, unsigned uncaught);

// Offers a due cancellation (or Ctrl-C, if this is the main task) to the present wait of `task`. An
// abort function that throws ends the process: nobody could tell what state its wait is in.
void attempt_delivery(TaskBlock& task) noexcept;

// The earliest deadline of the scopes over `task`, up to the first shield; kForever if there is
// none.
Instant earliest_deadline(const TaskBlock& task);

// The scope that will swallow a Cancelled thrown to `task` now. Its reason is the Cancelled's.
CancelStatus& catching_status(const TaskBlock& task);
// Notes, in the scope that has to catch it, that a Cancelled is being thrown to `task`.
void note_delivery(TaskBlock& task);

}  // namespace detail
}  // namespace weft::fibers
