// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The tasks that run callbacks.

#pragma once

#include <cstddef>
#include <exception>

#include "loop/core/callback_scope.h"
#include "weft/fibers/clock.h"
#include "weft/fibers/lowlevel.h"
#include "weft/loop/detail/handle_node.h"

namespace weft::loop::detail {

// Lives on the stack of its task. Its life is a row of incarnations, each inside a cancel scope of
// its own: it gets the role, runs iterations, and in the end loses the role to another runner,
// because its callback waits; when that callback has returned the incarnation is over.
class Runner : private fibers::ParkHook, private fibers::Stepper {
 public:
  // Starts a task that will take the role.
  static void start(LoopCore& core, fibers::Nursery& nursery);

  explicit Runner(LoopCore& core);
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;
  ~Runner();

  LoopCore& core() const { return *running.core; }
  fibers::Task& task() const { return task_; }
  // Lives as long as the task.
  void live();
  // Has the core told when the callback that is being run is about to wait for the first time. Once
  // for an incarnation, and not around every callback.
  void watch_parking() { fibers::set_park_hook(this); }
  static void ignore_parking() { fibers::set_park_hook(nullptr); }
  // Cancels the incarnation.
  void cancel() noexcept;
  // While it waits in the step of a task: its turn comes from the loop's queue.
  void resume_from_queue() { fibers::set_stepper(task_, this); }
  void resume_at_once() { fibers::set_stepper(task_, nullptr); }

  // The node's become those that its callback sees, in the place of what the end of another one's
  // callable has set. Shared, and not handed over: a report from inside may want them as they were.
  void take_variables(const HandleNode& of) const noexcept {
    fibers::detail::release_locals(
        std::exchange(*variables, fibers::detail::share_locals(of.context)));
  }
  // What the callback has now becomes the node's: the next callback does not see it.
  void keep_variables(HandleNode& of) const noexcept {
    fibers::detail::release_locals(std::exchange(of.context, std::exchange(*variables, nullptr)));
  }

  Running running;
  // Where the task has its variables: null between two callbacks.
  fibers::detail::TaskLocals** variables;
  // The callback that is being run, from its call until everything about it is done.
  HandleNode* node = nullptr;
  bool blocked = false;         // It has waited, and the role is gone.
  bool in_round = false;        // Its callback is a member of the present round; see living.h.
  fibers::Instant called_at{};  // In debug mode.
  Runner* next = nullptr;       // In one of the core's lists.
  Runner* prev = nullptr;

 private:
  std::exception_ptr incarnate();

  fibers::Task& task_;
};

class RunnerList {
 public:
  bool empty() const { return first_ == nullptr; }
  std::size_t size() const { return size_; }
  Runner* first() const { return first_; }
  void push(Runner& runner) noexcept {
    runner.prev = nullptr;
    runner.next = first_;
    if (first_ != nullptr) first_->prev = &runner;
    first_ = &runner;
    ++size_;
  }
  void remove(Runner& runner) noexcept {
    (runner.prev != nullptr ? runner.prev->next : first_) = runner.next;
    if (runner.next != nullptr) runner.next->prev = runner.prev;
    --size_;
  }

 private:
  Runner* first_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace weft::loop::detail
