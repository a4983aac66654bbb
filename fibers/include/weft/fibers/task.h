// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Tasks, as seen from outside: to name, to look at, to reschedule (lowlevel.h). A task is a fiber:
// a stack of its own and a place in the tree of nurseries. It never leaves its thread.

#pragma once

#include <cstddef>
#include <cstdint>
#include <source_location>
#include <string>
#include <string_view>
#include <vector>

#include "weft/fibers/detail/sanitizers.h"

namespace weft::fibers {

class Nursery;
struct Stepper;

// How to start a task.
struct TaskOptions {
  // For reports. Copied. Empty: the name of the function that started it.
  std::string_view name = {};
  // Bytes of stack, rounded up to a size class; 0: the run's default (RunOptions::stack_size).
  std::size_t stack_size = 0;
  // The caller vouches that what the closure refers to outlives the task, although it lies on a
  // stack that may go first. See "What a task may capture" in nursery.h.
  bool unchecked_captures = false;
  // Who runs the task instead of the run's own queue; see Stepper in lowlevel.h.
  Stepper* stepper = nullptr;
};

enum class TaskState : std::uint8_t { kReady, kRunning, kWaiting, kDone };

// Valid while the task lives: until its nursery has closed at the latest. (Trio: lowlevel.Task.)
class Task {
 public:
  Task(const Task&) = delete;
  Task& operator=(const Task&) = delete;

  std::string_view name() const;
  // Where the task was started.
  std::source_location spawn_site() const;
  TaskState state() const;
  // What it waits for, as the waiting call put it: "sleep", "Lock.acquire", "readable fd 7".
  std::string waiting_for() const;
  // The nursery it runs in; null for a run's first task.
  Nursery* parent_nursery() const;
  // While a Nursery::start is pending: the nursery that the task will move to.
  Nursery* eventual_parent_nursery() const;
  std::vector<Nursery*> child_nurseries() const;
  // A number unique in the process.
  std::uint64_t id() const;
  // Bytes of the stack, and how many of them have ever been touched, to the page. The second looks
  // at every page of the stack: for reports, not for hot paths.
  std::size_t stack_size() const;
  std::size_t stack_high_water() const;

 protected:
  Task() = default;
  ~Task() = default;
};

// The running task. Throws UsageError outside a task.
Task& current_task();
// The first task of the run, whose nursery holds all others. Throws UsageError outside a run.
Task& current_root_task();
// Whether this thread is inside run(), and whether it is inside a task of it. Never throw.
bool in_trio_run();
bool in_trio_task();

}  // namespace weft::fibers
