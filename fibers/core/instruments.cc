// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// How instruments are called. (See weft/fibers/instrument.h.)

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "fibers/core/check.h"
#include "fibers/core/current_scheduler.h"
#include "fibers/core/text.h"
#include "fibers/core/watchers.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/instrument.h"
#include "weft/fibers/log.h"

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

class InstrumentList final : public Instruments {
 public:
  explicit InstrumentList(Scheduler& run)
      : running_(run.running_slot()), ready_(run.ready()), turns_(run.turns()) {}

  void add(const InstrumentRef& instrument);
  // False if it is not there.
  bool remove(const Instrument& instrument);

  void call(Hook hook, void (Instrument::*method)()) override {
    if (want(hook)) call_each(hook, [&](Instrument& i) { (i.*method)(); });
  }
  void call(Hook hook, void (Instrument::*method)(Duration), Duration timeout) override {
    if (want(hook)) call_each(hook, [&](Instrument& i) { (i.*method)(timeout); });
  }
  void task_spawned(TaskBlock& task) override {
    tell(kTaskSpawned, &Instrument::task_spawned, task);
  }
  void task_exits(TaskBlock& task) override;
  void tell_scheduled() override;
  void begin_step(TaskBlock& task) override;
  void end_step() override;
  void task_told(TaskBlock& task) override {
    tell(kTaskScheduled, &Instrument::task_scheduled, task);
  }
  void change_step(TaskBlock& to) override {
    end_step();
    tell_begin(to);
  }

 private:
  struct Entry {
    std::shared_ptr<Instrument> instrument;  // Null: removed while hooks are called.
    std::uint16_t hooks;
  };
  void call_task(Hook hook, void (Instrument::*method)(Task&), TaskBlock& task) {
    if (want(hook)) call_each(hook, [&](Instrument& i) { (i.*method)(task); });
  }
  void tell(Hook hook, void (Instrument::*method)(Task&), TaskBlock& task);
  void tell_begin(TaskBlock& task);
  template <class F>
  void call_each(Hook hook, F&& call_one);
  void update();

  TaskBlock*& running_;  // The run's: a hook sees the task there that it is about.
  ReadyQueue& ready_;
  Turns& turns_;
  std::vector<Entry> entries_;
  int calling_ = 0;                // Depth: a hook may do what calls others.
  TaskBlock* stepping_ = nullptr;  // Whose step an instrument has been told of, or is to be.
  std::uint32_t announced_ = 0;    // How many of the ready tasks have been told to instruments.
};

void InstrumentList::add(const InstrumentRef& instrument) {
  WEFT_REQUIRE(instrument.get() != nullptr, "the instrument is a null pointer");
  const auto same = [&](const Entry& entry) { return entry.instrument == instrument.get(); };
  if (std::ranges::any_of(entries_, same)) return;
  const bool stepped = want(kStepHooks);
  entries_.push_back({instrument.get(), instrument.hooks()});
  update();
  if (stepped || !want(kStepHooks)) return;
  // From here on each step is told, beginning with the end of the present one.
  announced_ = ready_.size();
  stepping_ = running_;
  turns_.stop_hand_overs();
}

bool InstrumentList::remove(const Instrument& instrument) {
  const auto found = std::ranges::find_if(
      entries_, [&](const Entry& entry) { return entry.instrument.get() == &instrument; });
  if (found == entries_.end()) return false;
  // Destroyed last: its destructor may add another.
  const std::shared_ptr<Instrument> removed = std::move(found->instrument);
  found->hooks = 0;
  update();
  return true;
}

void InstrumentList::update() {
  if (calling_ == 0) {
    std::erase_if(entries_, [](const Entry& entry) { return entry.instrument == nullptr; });
  }
  hooks_ = 0;
  for (const Entry& entry : entries_) hooks_ = static_cast<std::uint16_t>(hooks_ | entry.hooks);
}

// Not those that a hook adds: they begin with the next event.
template <class F>
void InstrumentList::call_each(Hook hook, F&& call_one) {
  struct Calling {
    InstrumentList& instruments;
    ~Calling() {
      --instruments.calling_;
      instruments.update();
    }
  } const calling{*this};
  ++calling_;
  const std::size_t count = entries_.size();
  for (std::size_t i = 0; i < count; ++i) {
    if ((entries_[i].hooks & hook) == 0) continue;
    const std::shared_ptr<Instrument> instrument = entries_[i].instrument;
    try {
      call_one(*instrument);
    } catch (...) {
      remove(*instrument);
      log(LogLevel::kError, concat({"an instrument threw and has been removed: ",
                                    describe_exception(std::current_exception())}));
    }
  }
}

void InstrumentList::tell(Hook hook, void (Instrument::*method)(Task&), TaskBlock& task) {
  if (!want(hook)) return;
  // On a task's own stack, and on the scheduler's, where nothing can wait anyway.
  if (running_ != nullptr) {
    const InTask guard(running_, *running_);
    call_task(hook, method, task);
  } else {
    call_task(hook, method, task);
  }
}

void InstrumentList::tell_scheduled() {
  while (announced_ < ready_.size()) {
    tell(kTaskScheduled, &Instrument::task_scheduled, *ready_.at(announced_++));
  }
}

void InstrumentList::begin_step(TaskBlock& task) {
  --announced_;
  tell_begin(task);
}

void InstrumentList::tell_begin(TaskBlock& task) {
  stepping_ = &task;
  const InTask as_task(running_, task);
  call_task(kBeforeTaskStep, &Instrument::before_task_step, task);
}

void InstrumentList::end_step() {
  tell_scheduled();
  TaskBlock* const task = std::exchange(stepping_, nullptr);
  if (task == nullptr) return;
  const InTask as_task(running_, *task);
  call_task(kAfterTaskStep, &Instrument::after_task_step, *task);
}

void InstrumentList::task_exits(TaskBlock& task) {
  if (want(kStepHooks)) tell_scheduled();
  tell(kTaskExited, &Instrument::task_exited, task);
  tell(kAfterTaskStep, &Instrument::after_task_step, task);
  stepping_ = nullptr;
}

}  // namespace

void add_instrument_to(Scheduler& run, const InstrumentRef& instrument) {
  if (run.watchers().instruments() == nullptr) {
    run.watchers().set(std::make_unique<InstrumentList>(run));
  }
  static_cast<InstrumentList*>(run.watchers().instruments())->add(instrument);
}

}  // namespace detail

InstrumentRef::~InstrumentRef() = default;

// NOLINTNEXTLINE(performance-unnecessary-value-param)
void add_instrument(InstrumentRef instrument) {
  instrument.add_to(detail::current_scheduler());
}

void remove_instrument(const Instrument& instrument) {
  auto* const present =
      static_cast<detail::InstrumentList*>(detail::current_scheduler().watchers().instruments());
  WEFT_REQUIRE(present != nullptr && present->remove(instrument),
               "remove_instrument() of an instrument that is not in this run; it may have been "
               "removed for throwing");
}

}  // namespace weft::fibers
