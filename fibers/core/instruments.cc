// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/core/instruments.h"

#include <algorithm>
#include <string>
#include <utility>

#include "fibers/core/scheduler.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/log.h"

namespace weft::fibers {
namespace detail {

void Instruments::add(InstrumentRef instrument) {
  WEFT_REQUIRE(instrument.get() != nullptr, "the instrument is a null pointer");
  const auto same = [&](const Entry& entry) { return entry.instrument == instrument.get(); };
  if (std::ranges::any_of(entries_, same)) return;
  entries_.push_back({instrument.get(), instrument.hooks()});
  update();
}

bool Instruments::remove(const Instrument& instrument) {
  const auto found = std::ranges::find_if(
      entries_, [&](const Entry& entry) { return entry.instrument.get() == &instrument; });
  if (found == entries_.end()) return false;
  *found = {nullptr, 0};
  update();
  return true;
}

void Instruments::update() {
  if (calling_ == 0) {
    std::erase_if(entries_, [](const Entry& entry) { return entry.instrument == nullptr; });
  }
  hooks_ = 0;
  for (const Entry& entry : entries_) hooks_ = static_cast<std::uint16_t>(hooks_ | entry.hooks);
}

// Not those that a hook adds: they begin with the next event.
template <class F>
void Instruments::call_each(Hook hook, F&& call_one) {
  ++calling_;
  const std::size_t count = entries_.size();
  for (std::size_t i = 0; i < count; ++i) {
    if ((entries_[i].hooks & hook) == 0) continue;
    const std::shared_ptr<Instrument> instrument = entries_[i].instrument;
    try {
      call_one(*instrument);
    } catch (...) {
      remove(*instrument);
      log(LogLevel::kError, "an instrument threw and has been removed: " +
                                describe_exception(std::current_exception()));
    }
  }
  --calling_;
  update();
}

void Instruments::call(Hook hook, void (Instrument::*method)()) {
  if (want(hook)) call_each(hook, [&](Instrument& i) { (i.*method)(); });
}

void Instruments::call(Hook hook, void (Instrument::*method)(Duration), Duration timeout) {
  if (want(hook)) call_each(hook, [&](Instrument& i) { (i.*method)(timeout); });
}

void Instruments::call(Hook hook, void (Instrument::*method)(Task&), TaskBlock& task) {
  if (want(hook)) call_each(hook, [&](Instrument& i) { (i.*method)(task); });
}

// --- What the scheduler does for them. ---

namespace {

// While a hook runs as if in `task`, on whatever stack: a wait there is refused.
class InTask {
 public:
  InTask(TaskBlock*& running, TaskBlock& task)
      : running_(running),
        before_(std::exchange(running, &task)),
        task_(task),
        no_suspend_(std::exchange(task.no_suspend, "a hook of an instrument")) {
    task.update_watched();
  }
  InTask(const InTask&) = delete;
  InTask& operator=(const InTask&) = delete;
  ~InTask() {
    task_.no_suspend = no_suspend_;
    task_.update_watched();
    running_ = before_;
  }

 private:
  TaskBlock*& running_;
  TaskBlock* before_;
  TaskBlock& task_;
  const char* no_suspend_;
};

}  // namespace

void Scheduler::add_instrument(InstrumentRef instrument) {
  if (instruments_ == nullptr) instruments_ = std::make_unique<Instruments>();
  const bool stepped = steps();
  instruments_->add(std::move(instrument));
  if (stepped || !steps()) return;
  // From here on each step is told, beginning with the end of the present one.
  announced_ = ready_.size();
  stepping_ = running_;
  budget_ = 0;
}

void Scheduler::remove_instrument(const Instrument& instrument) {
  WEFT_REQUIRE(instruments_ != nullptr && instruments_->remove(instrument),
               "remove_instrument() of an instrument that is not in this run; it may have been "
               "removed for throwing");
}

void Scheduler::tell_task(Hook hook, void (Instrument::*method)(Task&), TaskBlock& task) {
  if (!instruments_->want(hook)) return;
  // On a task's own stack, and on the scheduler's, where nothing can wait anyway.
  if (running_ != nullptr) {
    const InTask guard(running_, *running_);
    instruments_->call(hook, method, task);
  } else {
    instruments_->call(hook, method, task);
  }
}

void Scheduler::tell_scheduled() {
  while (announced_ < ready_.size()) {
    tell_task(kTaskScheduled, &Instrument::task_scheduled, *ready_.at(announced_++));
  }
}

void Scheduler::begin_step(TaskBlock& task) {
  --announced_;
  stepping_ = &task;
  const InTask as_task(running_, task);
  instruments_->call(kBeforeTaskStep, &Instrument::before_task_step, task);
}

void Scheduler::end_step() {
  tell_scheduled();
  TaskBlock* const task = std::exchange(stepping_, nullptr);
  if (task == nullptr) return;
  const InTask as_task(running_, *task);
  instruments_->call(kAfterTaskStep, &Instrument::after_task_step, *task);
}

// On the stack of the task, which is about to be destroyed.
void Scheduler::tell_exit(TaskBlock& task) {
  if (steps()) tell_scheduled();
  tell_task(kTaskExited, &Instrument::task_exited, task);
  tell_task(kAfterTaskStep, &Instrument::after_task_step, task);
  stepping_ = nullptr;
}

}  // namespace detail

void add_instrument(InstrumentRef instrument) {
  detail::current_scheduler().add_instrument(std::move(instrument));
}

void remove_instrument(const Instrument& instrument) {
  detail::current_scheduler().remove_instrument(instrument);
}

}  // namespace weft::fibers
