// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The task control block. It lies at the top of the task's own stack, next to the frames that a
// switch touches anyway.

#pragma once

#include <cstdint>
#include <exception>
#include <memory>
#include <source_location>
#include <string_view>

#include "fibers/core/context.h"
#include "fibers/core/stack.h"
#include "weft/fibers/detail/task_exit.h"
#include "weft/fibers/lowlevel.h"

namespace weft::fibers::detail {

class Scheduler;
struct TaskLocals;
struct TreeValues;

// How a wait ends. Set by whoever reschedules the task, consumed by the task.
enum class Wake : std::uint8_t { kValue, kError, kCancelled };

// What a task notes of the wait it is in.
struct PresentWait {
  WaitingFor info;
  void* slot;
  const void* type;
};

class TaskBlock final : public Task {
 public:
  // --- Touched by every wait and its end: the first two cache lines. ---
  Context context;
  // Of the innermost scope around the running code. Never null.
  CancelStatus* cancel_status = nullptr;
  CheckpointCounts counts;
  // Set exactly while a cancellation could still be delivered to the present wait.
  AbortThunk abort = nullptr;
  void* abort_context = nullptr;
  // kReady also while it runs, so that a switch writes nothing here. See present_state().
  TaskState state = TaskState::kReady;
  Wake wake = Wake::kValue;
  // kWatched: something unusual has to happen before the next suspension (a park hook, a NoSuspend,
  // a ScheduleSource). kStepped: when it becomes ready (a Stepper). One byte, so that the usual
  // case tests that alone.
  std::uint8_t unusual = 0;
  bool unchecked_captures = false;  // Whoever starts it vouches for them. See captures.h.
  // How many Cancelled it has been thrown that no scope of its has swallowed. More than a few: it
  // catches them and goes on.
  std::uint32_t unheeded = 0;
  Scheduler* scheduler = nullptr;  // Fixed at birth.
  WaitingFor wait_info;            // Of the present wait.

  // --- The tree. Owned by the lists they are links of. ---
  TaskBlock* next_in_status = nullptr;
  TaskBlock* prev_in_status = nullptr;
  TaskBlock* next_in_nursery = nullptr;
  TaskBlock* prev_in_nursery = nullptr;
  Nursery* parent = nullptr;
  Nursery* eventual_parent = nullptr;
  Nursery* innermost_nursery = nullptr;  // Opened by this task; the others hang behind it.
  // Whoever has to be told that this task has ended. The end looks at this line anyway.
  TaskExit* exits = nullptr;

  // --- The present wait. ---
  void* wait_slot = nullptr;        // Where a value goes that reschedule<T> delivers,
  const void* wait_type = nullptr;  // and its type.
  std::exception_ptr wake_error;    // For kError.
  std::shared_ptr<const CancelReason> cancel_reason;  // For kCancelled.

  // --- Fixed at birth. ---
  Stack stack;
  void (*run_and_destroy)(void*) = nullptr;
  void* closure = nullptr;
  std::string_view task_name;  // The text lies on the stack, below this block.
  std::source_location site;
  std::uint64_t number = 0;

  // --- Rare. ---
  // While the abort function of the present wait runs: that wait, for if the function waits, too,
  // which is refused, it is found here again.
  const PresentWait* aborting = nullptr;
  ParkHook* park_hook = nullptr;
  const char* no_suspend = nullptr;   // The innermost NoSuspend's text.
  Stepper* stepper = nullptr;         // Who runs it; null: the run.
  bool told_to_stepper = false;       // Ready, in the stepper's hands.
  void* word = nullptr;               // The layer's above.
  TaskLocals* locals = nullptr;       // Inherited task variables, counted.
  TreeValues* tree_values = nullptr;  // Owned; null if the task has set none.

  static constexpr std::uint8_t kWatched = 1;
  static constexpr std::uint8_t kStepped = 2;

  TaskBlock() = default;

  TaskState present_state() const;
  bool watched() const { return (unusual & kWatched) != 0; }
  bool stepped() const { return (unusual & kStepped) != 0; }
  void update_unusual();
  // How deep this task is unwinding; `running` if it is the one that asks.
  unsigned uncaught(const Scheduler& s) const;

  void add_exit(TaskExit& link);
  void run_exits() noexcept;
};

inline TaskBlock& block_of(Task& task) {
  return static_cast<TaskBlock&>(task);
}
inline const TaskBlock& block_of(const Task& task) {
  return static_cast<const TaskBlock&>(task);
}

}  // namespace weft::fibers::detail
