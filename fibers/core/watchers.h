// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What a run tells its instruments, and when. Those who want to hear of each step make the
// scheduler take every hand-over through its own context.

#pragma once

#include <cstdint>
#include <memory>

#include "fibers/core/instruments.h"

namespace weft::fibers::detail {

class ReadyQueue;
class Turns;

class Watchers {
 public:
  // `running` is the run's; a hook sees the task there that it is about.
  Watchers(TaskBlock*& running, ReadyQueue& ready, Turns& turns)
      : running_(running), ready_(ready), turns_(turns) {}

  // Nearly always null.
  Instruments* instruments() const { return instruments_.get(); }
  void add(InstrumentRef instrument);
  // Throws UsageError if it is not in this run.
  void remove(const Instrument& instrument);

  // --- Nothing happens here unless there are instruments. ---
  void task_spawned(TaskBlock& task) {
    if (instruments_ != nullptr) [[unlikely]]
      tell(kTaskSpawned, &Instrument::task_spawned, task);
  }
  // On the stack of the task, which is about to be destroyed.
  void task_exits(TaskBlock& task) {
    if (instruments_ != nullptr) [[unlikely]]
      tell_exit(task);
  }

  // --- Steps. ---
  // Whether each has to be told.
  bool steps() const { return instruments_ != nullptr && instruments_->want(kStepHooks); }
  // Tells of the ready tasks of which it has not been told.
  void tell_scheduled();
  // `task` has been taken out of the queue and is to run.
  void begin_step(TaskBlock& task);
  // What ran has suspended or ended.
  void end_step();
  // A task has been told to its stepper: it is in no queue of the run.
  void task_told(TaskBlock& task);
  // What ran has suspended, ended or stepped `to`, which runs next.
  void change_step(TaskBlock& to);

 private:
  void tell(Hook hook, void (Instrument::*method)(Task&), TaskBlock& task);
  void tell_exit(TaskBlock& task);
  void tell_begin(TaskBlock& task);

  TaskBlock*& running_;
  ReadyQueue& ready_;
  Turns& turns_;
  std::unique_ptr<Instruments> instruments_;
  TaskBlock* stepping_ = nullptr;  // Whose step an instrument has been told of, or is to be.
  std::uint32_t announced_ = 0;    // How many of the ready tasks have been told to instruments.
};

}  // namespace weft::fibers::detail
