// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Tasks that run others in their own place, until those suspend or end: see Scheduler::step().
//
// Without a budget for hand-overs, whoever is stepped takes the way to the scheduler's own stack,
// and is sent from there to the task that steps it. So hand-overs elsewhere pay nothing for this.

#pragma once

#include <utility>

namespace weft::fibers::detail {

class TaskBlock;

class Steps {
 public:
  // A step that is going on. Lies on the stack of the task that steps.
  class Step {
   public:
    Step(Steps& steps, TaskBlock& stepping)
        : task_(&stepping), outer_(std::exchange(steps.innermost_, this)) {}
    Step(const Step&) = delete;
    Step& operator=(const Step&) = delete;

   private:
    friend Steps;
    TaskBlock* task_;
    Step* outer_;
  };

  bool none() const { return innermost_ == nullptr; }
  // Ends the innermost one, which there has to be. The task that has made it.
  TaskBlock& end() noexcept { return *std::exchange(innermost_, innermost_->outer_)->task_; }

 private:
  Step* innermost_ = nullptr;
};

}  // namespace weft::fibers::detail
