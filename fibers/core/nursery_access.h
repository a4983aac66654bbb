// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What the kernel does with a nursery and a scope that programs cannot.

#pragma once

#include "fibers/core/task.h"
#include "weft/fibers/nursery.h"

namespace weft::fibers {

namespace detail {
// What a task in the end of its nursery waits for; WaitingFor::on is the Nursery.
inline constexpr char kNurseryWait[] = "tasks of a nursery";
}  // namespace detail

struct ScopeAccess {
  static detail::CancelStatus& status(CancelScope& scope) { return scope.status_; }
  static const detail::CancelStatus& status(const CancelScope& scope) { return scope.status_; }
  static Instant armed_deadline(const CancelScope& scope) { return scope.timer_.when; }
  // The scope whose status, or timer, this is.
  static CancelScope& of(detail::CancelStatus& status);
  static CancelScope& of(detail::DeadlineNode& timer);
  // Takes a scope that has none inside it, in whatever state, out of a run that has been given up:
  // it is as if it had been left.
  static void take_out(CancelScope& scope);
};

struct NurseryAccess {
  // A child threw. The nursery is cancelled.
  static void child_failed(Nursery& nursery, std::exception_ptr error);
  // A child ended by a Cancelled, which is being handled.
  static void child_cancelled(Nursery& nursery);
  // The wait for the children got this, which is no Cancelled. The nursery is cancelled.
  static void interrupted(Nursery& nursery, std::exception_ptr error);
  // A child has ended, after one of the above if it threw: takes it out of the tree.
  static void child_ended(Nursery& nursery, detail::TaskBlock& child);

  // Throws UsageError.
  static void require_open(const Nursery& nursery);
  static void adopt(Nursery& nursery, detail::TaskBlock& child);
  static void move_child(Nursery& from, Nursery& to, detail::TaskBlock& child);
  // Lets close() go on if nobody is left to wait for.
  static void wake_parent(Nursery& nursery);

  // Where a task belongs: while a Nursery::start is pending, already where it will move to.
  static const Nursery* home(const detail::TaskBlock& task) {
    return task.eventual_parent != nullptr ? task.eventual_parent : task.parent;
  }
  static Nursery*& next(Nursery& nursery) { return nursery.next_of_parent_; }
  static detail::TaskBlock* opener(const Nursery& nursery) { return nursery.parent_; }
  static detail::TaskBlock* first_child(const Nursery& nursery) { return nursery.first_child_; }
  static const void*& body_frame(Nursery& nursery) { return nursery.body_frame_; }
  static const void* body_frame(const Nursery& nursery) { return nursery.body_frame_; }
  static std::source_location site(const Nursery& nursery) { return nursery.site_; }
};

}  // namespace weft::fibers
