// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Who decides which task runs next. A run's scheduler makes one kind of choice: which of the ready
// tasks is the next. With a ScheduleSource each of these is asked of it, so that one object holds
// all that is arbitrary in a run: run the body again with the same answers, and the same happens.
//
// For tests: explore() and cancel_sweep() (weft/fibers/testing/) are made of this. Each step goes
// through the source, which costs some twenty times a plain switch.

#pragma once

#include <cstddef>
#include <cstdint>

#include "weft/fibers/detail/requirements.h"

namespace weft::fibers {

class Task;

namespace detail {
class Scheduler;
}

// The tasks that may run next, the one that has waited longest first. Valid during one choose().
class ReadyTasks {
 public:
  // At least 1.
  std::size_t size() const { return size_; }
  // Throws UsageError from size() on.
  Task& operator[](std::size_t index) const;

  // The state of all tasks in one number: where each of them stands, what its stack holds, who is
  // ready. Two equal states go on in the same ways, if what the tasks share outside their stacks
  // (on the heap, in globals) is equal too. 0 if it cannot be known, as where AddressSanitizer
  // keeps locals elsewhere.
  std::uint64_t state_hash() const;

 private:
  friend class detail::Scheduler;
  ReadyTasks(detail::Scheduler& scheduler, std::size_t size) : scheduler_(scheduler), size_(size) {}

  detail::Scheduler& scheduler_;
  std::size_t size_;
};

// To derive from. Its methods are called by the scheduler and must not wait or throw. Given to a
// run by RunOptions::schedule_source.
class ScheduleSource {
 public:
  ScheduleSource() = default;
  ScheduleSource(const ScheduleSource&) = delete;
  ScheduleSource& operator=(const ScheduleSource&) = delete;
  virtual ~ScheduleSource() = default;

  // The index of the task to run, less than ready.size(). Asked before each step, also where there
  // is nothing to choose.
  virtual std::size_t choose(const ReadyTasks& ready) = 0;

  // Whether only orders are wanted that a run can have without a source: a task that becomes ready
  // waits until all have run that were ready before it. Otherwise any ready task may be chosen, for
  // ever, and a body that polls with checkpoint() need not end.
  virtual bool fair() const { return true; }

  // `task` has reached a place where it can be cancelled, and is about to wait: for `what`, a text
  // that lives for ever. The body may be cancelled here.
  virtual void at_cancel_point(Task& task, const char* what);
};

}  // namespace weft::fibers
