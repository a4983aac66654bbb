// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What a run tells its instruments, and when. Those who want to hear of each step make the
// scheduler take every hand-over through its own context.

#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "weft/fibers/instrument.h"

namespace weft::fibers::detail {

class TaskBlock;

// Those who need each step told make the scheduler take every hand-over through its own context:
// the tasks' direct one knows nothing of them.
inline constexpr std::uint16_t kStepHooks = kTaskScheduled | kBeforeTaskStep | kAfterTaskStep;

// The instruments of a run. The first one that is added makes this: instruments.cc. Abstract, so
// that a program without an InstrumentRef does not carry what is behind it.
class Instruments {
 public:
  Instruments() = default;
  Instruments(const Instruments&) = delete;
  Instruments& operator=(const Instruments&) = delete;
  virtual ~Instruments() = default;

  // Whether anybody wants any of these hooks.
  bool want(std::uint16_t hooks) const { return (hooks_ & hooks) != 0; }

  virtual void call(Hook hook, void (Instrument::*method)()) = 0;
  virtual void call(Hook hook, void (Instrument::*method)(Duration), Duration timeout) = 0;
  virtual void task_spawned(TaskBlock& task) = 0;
  // On the stack of the task, which is about to be destroyed.
  virtual void task_exits(TaskBlock& task) = 0;

  // --- Steps. ---
  // Tells of the ready tasks of which it has not been told.
  virtual void tell_scheduled() = 0;
  // `task` has been taken out of the queue and is to run.
  virtual void begin_step(TaskBlock& task) = 0;
  // What ran has suspended or ended.
  virtual void end_step() = 0;
  // A task has been told to its stepper: it is in no queue of the run.
  virtual void task_told(TaskBlock& task) = 0;
  // What ran has suspended, ended or stepped `to`, which runs next.
  virtual void change_step(TaskBlock& to) = 0;

 protected:
  std::uint16_t hooks_ = 0;  // What any of them wants.
};

class Watchers {
 public:
  // Nearly always null.
  Instruments* instruments() const { return instruments_.get(); }
  void set(std::unique_ptr<Instruments> instruments) { instruments_ = std::move(instruments); }

  // --- Nothing happens here unless there are instruments. ---
  void task_spawned(TaskBlock& task) {
    if (instruments_ != nullptr) [[unlikely]]
      instruments_->task_spawned(task);
  }
  void task_exits(TaskBlock& task) {
    if (instruments_ != nullptr) [[unlikely]]
      instruments_->task_exits(task);
  }
  void change_step(TaskBlock& to) {
    if (steps()) [[unlikely]]
      instruments_->change_step(to);
  }
  // Whether each step has to be told.
  bool steps() const { return instruments_ != nullptr && instruments_->want(kStepHooks); }

 private:
  std::unique_ptr<Instruments> instruments_;
};

}  // namespace weft::fibers::detail
