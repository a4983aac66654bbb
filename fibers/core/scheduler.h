// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// One run's scheduler: how tasks hand over to each other, and the parts that a run consists of.
//
// A task that suspends jumps straight into the next ready one. The scheduler has a context of its
// own, the stack of the thread that called run(), which is entered when nobody is ready or the
// budget of hand-overs is used up. There the run polls: calls from outside, I/O, deadlines.
//
// What else a run does has a class of its own, in a file of its name: how many tasks run between
// two polls (Turns), the polls (Poller), the time (RunTime), Ctrl-C (PendingInterrupt), what
// instruments are told (Watchers), the host of a guest (Host).

#pragma once

#include <cstdint>
#include <exception>
#include <memory>
#include <source_location>
#include <utility>
#include <vector>

#include "fibers/core/cancel_status.h"
#include "fibers/core/check.h"
#include "fibers/core/deadlines.h"
#include "fibers/core/host.h"
#include "fibers/core/living_runs.h"
#include "fibers/core/pending_interrupt.h"
#include "fibers/core/poller.h"
#include "fibers/core/ready_queue.h"
#include "fibers/core/run_facts.h"
#include "fibers/core/run_time.h"
#include "fibers/core/steps.h"
#include "fibers/core/swallowed_cancelled.h"
#include "fibers/core/task.h"
#include "fibers/core/turns.h"
#include "fibers/core/watchers.h"
#include "weft/fibers/run.h"
#include "weft/fibers/schedule_source.h"

namespace weft::fibers::detail {

class Scheduler : public RunFacts {
 public:
  explicit Scheduler(const RunOptions& options);
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;
  ~Scheduler();

  // Puts the first task in place.
  void start_root(TaskBlock& task);
  // Polls and runs a batch, until no task is left. A guest's host does the same in steps: guest.cc.
  void loop();
  bool over() const { return living_ == 0; }
  // Runs a batch, if there is one: after so many hand-overs between tasks it is over.
  void run_ready_tasks() { run_ready_tasks(turns_.next_budget(ready_)); }
  void run_ready_tasks(std::int32_t hand_overs);
  [[gnu::always_inline]] inline void run_woken_task(TaskBlock& task);  // See tick_here.cc.

  // --- The hot path. ---

  // The running task; null on the scheduler's own stack.
  TaskBlock* running() const { return running_; }
  TaskBlock& running_task() const {
    WEFT_REQUIRE(
        running_ != nullptr,
        "this has to be called from a task, not from a callback of the scheduler (a token's "
        "call, an abort function, an FdWatch)");
    return *running_;
  }
  // For who works on a suspended run from outside (run_ref.cc): the task that it stands in.
  TaskBlock* leave_task() { return std::exchange(running_, nullptr); }
  void return_to_task(TaskBlock* task) { running_ = task; }
  // Whether this thread may touch it, also while it is suspended in a greenlet. Defined in
  // current_scheduler.h.
  inline bool is_of_this_thread() const;
  // For instruments: a hook sees the task there that it is about.
  TaskBlock*& running_slot() { return running_; }
  // std::uncaught_exceptions(), without the call.
  unsigned uncaught() const { return exceptions_->uncaught; }
  // `task` is not in the queue.
  void make_ready(TaskBlock& task) {
    task.state = TaskState::kReady;
    requeue(task);
    if (host_.at_leisure) [[unlikely]]
      call_host();
  }
  // The same for the running task, which is no host; the first unless it is stepped.
  void requeue_unstepped(TaskBlock& task) { ready_.push(&task); }
  void requeue(TaskBlock& task) {
    if (task.stepped()) [[unlikely]]
      return tell_stepper(task);
    ready_.push(&task);
  }
  // Ends a wait with a value. It has to be one.
  void wake(TaskBlock& task) {
    task.abort = nullptr;
    task.wake = Wake::kValue;
    make_ready(task);
  }
  // Gives the thread away; returns when somebody has made the running task ready and its turn has
  // come. Inline: see park.h.
  [[gnu::always_inline]] void suspend(TaskBlock& me) {
    if (turns_.spend() && !ready_.empty()) {
      TaskBlock* next = ready_.pop();
      if (next == &me) return;
      switch_to_task(me.context, *next);
    } else if (steps_.none()) [[likely]] {
      running_ = nullptr;
      switch_context(me.context, own_, *exceptions_);
    } else {
      switch_to_task(me.context, steps_.end());
    }
  }
  // Where the scheduler waits while a task runs.
  const Context& own() const { return own_; }
  // Whether the turn of the running task, which is ready and not stepped, would come straight back
  // to it: then it has, and has cost what it costs of the budget.
  bool keeps_turn() { return ready_.empty() && turns_.may_spend() && turns_.spend(); }
  // Runs a ready task that is in nobody's queue, in place of the running one, until it suspends.
  [[gnu::always_inline]] void step(TaskBlock& task) {
    TaskBlock& me = *running_;
    const Steps::Step step(steps_, me);
    const std::int32_t budget = turns_.withhold();
    watchers_.change_step(task);
    switch_to_task(me.context, task);
    watchers_.change_step(me);
    turns_.give_back(budget);
  }
  // What a watched task has to go through before it suspends, and where it can be cancelled.
  void before_suspend(TaskBlock& me, const WaitingFor& waiting_for);
  void before_cancel_point(TaskBlock& me, const WaitingFor& waiting_for);
  // The same where it does not suspend, but stands before an effect after which something does.
  void before_effect(TaskBlock& me);

  // --- Tasks: task.cc. ---

  TaskBlock* create_task(const ClosureType& type, const TaskOptions& options,
                         std::source_location site);
  // A task that has never run.
  void discard_task(TaskBlock* task) noexcept;
  // Inline, like pick_after_end(): task.cc, the only caller, has the definition.
  [[noreturn]] inline void finish(TaskBlock& me);

  // --- Who chooses what runs next: schedule_source.cc. ---

  // Nearly always null.
  ScheduleSource* schedule_source() const { return source_; }
  Task& ready_task(std::size_t index) { return *ready_.at(static_cast<std::uint32_t>(index)); }
  std::uint64_t state_hash(std::size_t choosable);

  // --- The parts. ---

  Instant now() { return time_.now(); }
  RunTime& time() { return time_; }
  ReadyQueue& ready() { return ready_; }
  Turns& turns() { return turns_; }
  Deadlines& deadlines() { return deadlines_; }
  PendingInterrupt& interrupt() { return interrupt_; }
  const PendingInterrupt& interrupt() const { return interrupt_; }
  Poller& poller() { return poller_; }
  IoManager& io() { return poller_.io(); }
  const std::shared_ptr<EntryQueue>& entries() const { return poller_.entries(); }
  Host& host() { return host_; }
  Watchers& watchers() { return watchers_; }
  StackPool& stacks() { return stacks_; }

  // Any thread, and the signal handler.
  void request_interrupt() noexcept;
  // Asks the host of a guest for a tick.
  void call_host() noexcept;
  void call_host_if_at_leisure() {
    if (host_.at_leisure) call_host();
  }
  // A call from outside, or a system task, threw.
  void crash(std::exception_ptr error);
  // The host has abandoned the run while tasks remain. Their scopes are taken out of it.
  void give_up();
  // After give_up(): lets go of everything that the system lends. Any thread.
  void let_go() noexcept { poller_.let_go(); }

  // --- For reports: statistics.cc. ---

  RunStatistics statistics();
  // Parents before their children. Allocates.
  std::vector<TaskBlock*> all_tasks() const;

  // --- Who has caught a Cancelled and gone on: swallowed_cancelled.cc. ---

  SwallowedCancelled& swallowed() { return swallowed_; }

 private:
  // Left to itself, the compiler inlines it or not by the size of everything else.
  [[gnu::always_inline]] void switch_to_task(Context& from, TaskBlock& next) {
    running_ = &next;
    switch_context(from, next.context, *exceptions_);
  }
  inline TaskBlock* pick_after_end();

  void tell_stepper(TaskBlock& task);
  [[gnu::cold]] void poll_failed();
  void run_stepping(std::uint32_t tasks);
  TaskBlock& take_chosen(std::uint32_t tasks);

  // First what every switch touches.
  TaskBlock* running_ = nullptr;
  ExceptionState* const exceptions_;
  ReadyQueue ready_;
  Host host_;
  Turns turns_;
  Context own_;

  Steps steps_;  // While one is going on, the budget for hand-overs is withheld.

  int failed_polls_ = 0;  // In a row.

  RunTime time_;
  std::unique_ptr<ScheduleSource> seeded_;
  ScheduleSource* const source_;

  StackPool& stacks_;
  const std::size_t stack_size_;
  std::uint32_t colour_ = 0;
  Context grave_;  // Where ended tasks jump from.
  void* dead_tsan_fiber_ = nullptr;

  std::size_t living_ = 0;
  std::size_t peak_ = 0;
  CancelStatus root_status_;
  Deadlines deadlines_;
  PendingInterrupt interrupt_;
  Poller poller_{*this};
  Watchers watchers_;
  SwallowedCancelled swallowed_;
  RunLink link_{*this};  // Last: it looks at the rest when it goes.
};

inline void TaskBlock::update_unusual() {
  const bool watched_now =
      park_hook != nullptr || no_suspend != nullptr || scheduler->schedule_source() != nullptr;
  unusual = (watched_now ? kWatched : 0) | (stepper != nullptr ? kStepped : 0);
}
inline TaskState TaskBlock::present_state() const {
  return state == TaskState::kReady && scheduler->running() == this ? TaskState::kRunning : state;
}
inline unsigned TaskBlock::uncaught(const Scheduler& s) const {
  return s.running() == this ? s.uncaught() : context.exceptions.uncaught;
}

}  // namespace weft::fibers::detail
