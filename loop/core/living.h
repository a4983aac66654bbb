// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What lives in a loop and has an end of its own: tasks that are not done, and callbacks that are
// blocked.

#pragma once

#include <cstddef>
#include <cstdint>

#include "loop/core/runner.h"
#include "loop/core/wait_list.h"

namespace weft::loop::detail {

class TaskCore;

class Living {
 public:
  explicit Living(LoopCore& core) : core_(core) {}
  Living(const Living&) = delete;
  Living& operator=(const Living&) = delete;

  // --- Tasks. ---

  // The first of those that are not done, the youngest.
  TaskCore*& tasks() { return tasks_; }
  std::uint64_t number_task() { return ++tasks_made_; }
  // The loop is closed.
  void abandon_tasks() noexcept;

  // --- Blocked callbacks, and steps of tasks. ---

  void add_blocked(Runner& runner) noexcept { blocked_.push(runner); }
  void remove_blocked(Runner& runner) noexcept;
  std::size_t blocked() const { return blocked_.size(); }
  void cancel_blocked();
  // Blocks: yes, always a checkpoint.
  // Cancel: at once.
  // Threads: the run's own only.
  void wait_blocked();

  // --- Rounds, for the loop's owner: see weft/loop/detail/living.h. ---

  void cancel_all();
  // Blocks: yes, unless there is none.
  // Cancel: at once.
  // Threads: the run's own only.
  void wait_for_cancelled();
  bool any() const noexcept;
  // A member of the present round has ended.
  void leave_round() noexcept {
    if (--round_left_ == 0) round_waiters_.wake_all();
  }

 private:
  LoopCore& core_;
  RunnerList blocked_;
  TaskCore* tasks_ = nullptr;
  TaskCore* abandoned_ = nullptr;  // What of them was not done when the loop was closed.
  std::uint64_t tasks_made_ = 0;

  WaitList blocked_waiters_;
  WaitList round_waiters_;
  std::size_t round_left_ = 0;  // Members of the present round that have not ended.
};

}  // namespace weft::loop::detail
