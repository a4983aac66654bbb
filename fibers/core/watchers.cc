// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/core/watchers.h"

#include <utility>

#include "fibers/core/ready_queue.h"
#include "fibers/core/scheduler.h"
#include "fibers/core/turns.h"
#include "weft/fibers/instrument.h"

namespace weft::fibers {
namespace detail {

namespace {

// While a hook runs as if in `task`, on whatever stack: a wait there is refused.
class InTask {
 public:
  InTask(TaskBlock*& running, TaskBlock& task)
      : running_(running),
        before_(std::exchange(running, &task)),
        task_(task),
        no_suspend_(std::exchange(task.no_suspend, "a hook of an instrument")) {
    task.update_unusual();
  }
  InTask(const InTask&) = delete;
  InTask& operator=(const InTask&) = delete;
  ~InTask() {
    task_.no_suspend = no_suspend_;
    task_.update_unusual();
    running_ = before_;
  }

 private:
  TaskBlock*& running_;
  TaskBlock* before_;
  TaskBlock& task_;
  const char* no_suspend_;
};

}  // namespace

void Watchers::add(InstrumentRef instrument) {
  if (instruments_ == nullptr) instruments_ = std::make_unique<Instruments>();
  const bool stepped = steps();
  instruments_->add(std::move(instrument));
  if (stepped || !steps()) return;
  // From here on each step is told, beginning with the end of the present one.
  announced_ = ready_.size();
  stepping_ = running_;
  turns_.stop_hand_overs();
}

void Watchers::remove(const Instrument& instrument) {
  WEFT_REQUIRE(instruments_ != nullptr && instruments_->remove(instrument),
               "remove_instrument() of an instrument that is not in this run; it may have been "
               "removed for throwing");
}

void Watchers::tell(Hook hook, void (Instrument::*method)(Task&), TaskBlock& task) {
  if (!instruments_->want(hook)) return;
  // On a task's own stack, and on the scheduler's, where nothing can wait anyway.
  if (running_ != nullptr) {
    const InTask guard(running_, *running_);
    instruments_->call(hook, method, task);
  } else {
    instruments_->call(hook, method, task);
  }
}

void Watchers::tell_scheduled() {
  while (announced_ < ready_.size()) {
    tell(kTaskScheduled, &Instrument::task_scheduled, *ready_.at(announced_++));
  }
}

void Watchers::begin_step(TaskBlock& task) {
  --announced_;
  tell_begin(task);
}

void Watchers::tell_begin(TaskBlock& task) {
  stepping_ = &task;
  const InTask as_task(running_, task);
  instruments_->call(kBeforeTaskStep, &Instrument::before_task_step, task);
}

void Watchers::task_told(TaskBlock& task) {
  tell(kTaskScheduled, &Instrument::task_scheduled, task);
}

void Watchers::change_step(TaskBlock& to) {
  end_step();
  tell_begin(to);
}

void Watchers::end_step() {
  tell_scheduled();
  TaskBlock* const task = std::exchange(stepping_, nullptr);
  if (task == nullptr) return;
  const InTask as_task(running_, *task);
  instruments_->call(kAfterTaskStep, &Instrument::after_task_step, *task);
}

void Watchers::tell_exit(TaskBlock& task) {
  if (steps()) tell_scheduled();
  tell(kTaskExited, &Instrument::task_exited, task);
  tell(kAfterTaskStep, &Instrument::after_task_step, task);
  stepping_ = nullptr;
}

}  // namespace detail

void add_instrument(InstrumentRef instrument) {
  detail::current_scheduler().watchers().add(std::move(instrument));
}

void remove_instrument(const Instrument& instrument) {
  detail::current_scheduler().watchers().remove(instrument);
}

}  // namespace weft::fibers
