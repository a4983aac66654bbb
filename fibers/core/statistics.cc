// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What a run says of itself.

#include <vector>

#include "fibers/core/current_scheduler.h"
#include "fibers/core/nursery_access.h"
#include "weft/fibers/run.h"

namespace weft::fibers {
namespace detail {

std::vector<TaskBlock*> Scheduler::all_tasks() const {
  std::vector<TaskBlock*> tasks{root_task};
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    for (Nursery* n = tasks[i]->innermost_nursery; n != nullptr; n = NurseryAccess::next(*n)) {
      for (TaskBlock* child = NurseryAccess::first_child(*n); child != nullptr;
           child = child->next_in_nursery) {
        tasks.push_back(child);
      }
    }
  }
  return tasks;
}

RunStatistics Scheduler::statistics() {
  RunStatistics s;
  s.tasks_living = living_;
  s.tasks_runnable = ready_.size();
  s.tasks_peak = peak_;
  s.deadlines = deadlines_.size();
  s.fds_watched = io().watched();
  s.io_statistics = io().statistics();
  // In this order: without tokens, what has been counted was all.
  s.tokens = poller_.tokens();
  s.run_sync_soon_queue_size = entries()->size();
  s.ticks = poller_.ticks();
  if (deadlines_.size() > 0) s.until_next_deadline = time_between(now(), deadlines_.earliest());
  return s;
}

}  // namespace detail

RunStatistics current_statistics() {
  return detail::current_scheduler().statistics();
}
StackStatistics stack_statistics() {
  return detail::thread_stack_pool().statistics();
}

}  // namespace weft::fibers
