// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// One run's scheduler: who runs next, and when the world is looked at.
//
// Tasks hand over to each other directly: a task that suspends jumps straight into the next ready
// one. The scheduler has a context of its own, the stack of the thread that called run(), which is
// entered when nobody is ready or the budget of hand-overs is used up. There the run polls: calls
// from outside, I/O, deadlines.

#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <source_location>
#include <utility>
#include <vector>

#include "fibers/core/cancel_status.h"
#include "fibers/core/check.h"
#include "fibers/core/deadlines.h"
#include "fibers/core/entry_queue.h"
#include "fibers/core/idle_waiter.h"
#include "fibers/core/instruments.h"
#include "fibers/core/io_manager.h"
#include "fibers/core/living_runs.h"
#include "fibers/core/machine_clock.h"
#include "fibers/core/ready_queue.h"
#include "fibers/core/run_values.h"
#include "fibers/core/swallowed_cancelled.h"
#include "fibers/core/task.h"
#include "weft/fibers/run.h"
#include "weft/fibers/schedule_source.h"

namespace weft::fibers::detail {

class Scheduler {
 public:
  explicit Scheduler(const RunOptions& options);
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;
  ~Scheduler();

  // Puts the first task in place.
  void start_root(TaskBlock& task);
  // Runs until no task is left.
  void loop();
  // What loop() consists of, for a guest, whose host turns it: guest.cc.
  enum class IdleFor : std::uint8_t { kNothing, kIdleWaiters, kAutojump };
  struct Wait {
    Duration timeout;
    IdleFor primed;
  };
  bool over() const { return living_ == 0; }
  // Runs calls from outside. For how long to look for I/O then; nothing if it is not yet time to
  // look while tasks are ready.
  std::optional<Wait> before_wait();
  // `events` have been delivered.
  void after_wait(const Wait& wait, std::size_t events);
  // Runs a batch, if there is one: after so many hand-overs between tasks it is over.
  void run_ready_tasks() {
    run_ready_tasks(every_tick_ ? static_cast<std::int32_t>(ready_.size()) - 1 : next_budget_);
  }
  void run_ready_tasks(std::int32_t hand_overs);
  // Runs the last calls from outside, and accepts no more.
  void finish_entries();

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
  // std::uncaught_exceptions(), without the call.
  unsigned uncaught() const { return exceptions_->uncaught; }
  // `task` is not in the queue.
  void make_ready(TaskBlock& task) {
    task.state = TaskState::kReady;
    requeue(task);
    if (host_at_leisure_) [[unlikely]]
      call_host();
  }
  // The same for the running task: it is no host.
  void requeue(TaskBlock& task) { ready_.push(&task); }
  // Ends a wait with a value. It has to be one.
  void wake(TaskBlock& task) {
    task.abort = nullptr;
    task.wake = Wake::kValue;
    make_ready(task);
  }
  // Gives the thread away; returns when somebody has made the running task ready and its turn has
  // come. Inline: see park.h.
  [[gnu::always_inline]] void suspend(TaskBlock& me) {
    if (budget_-- > 0 && !ready_.empty()) {
      TaskBlock* next = ready_.pop();
      if (next == &me) return;
      switch_to_task(me.context, *next);
    } else {
      running_ = nullptr;
      switch_context(me.context, own_, *exceptions_);
    }
  }
  // What a watched task has to go through before it suspends, and where it can be cancelled.
  void before_suspend(TaskBlock& me, const WaitingFor& waiting_for);
  void before_cancel_point(TaskBlock& me, const WaitingFor& waiting_for);
  // The same where it does not suspend, but stands before an effect after which something does.
  void before_effect(TaskBlock& me);

  // Something has become due that nobody may run past: the task that suspends next does not hand
  // over before the world has been looked at, however short ago that was last.
  void poll_at_next_suspension() {
    budget_ = 0;
    poll_at_once_ = true;
  }

  // --- Tasks. ---

  TaskBlock* create_task(const ClosureType& type, const TaskOptions& options,
                         std::source_location site);
  // A task that has never run.
  void discard_task(TaskBlock* task) noexcept;
  [[noreturn]] void finish(TaskBlock& me);

  // --- Instruments: instruments.cc. ---

  // Nearly always null.
  Instruments* instruments() const { return instruments_.get(); }
  void add_instrument(InstrumentRef instrument);
  void remove_instrument(const Instrument& instrument);
  void tell_task(Hook hook, void (Instrument::*method)(Task&), TaskBlock& task);

  // --- Who chooses what runs next: schedule_source.cc. ---

  // Nearly always null.
  ScheduleSource* schedule_source() const { return source_; }
  Task& ready_task(std::size_t index) { return *ready_.at(static_cast<std::uint32_t>(index)); }
  std::uint64_t state_hash(std::size_t choosable);

  // --- Time. ---

  Instant now() {
    return clock_ != nullptr ? clock_->current_time() : monotonic_now() + clock_offset_;
  }
  Deadlines& deadlines() { return deadlines_; }
  Clock& clock() { return clock_ != nullptr ? *clock_ : machine_clock_; }

  // --- Interrupts of the main task: Ctrl-C, a deadlock. ---

  // Held back, as a cancellation is, while the task unwinds: a destructor must not throw.
  bool interrupt_pending(const TaskBlock& task) const {
    return interrupt_ != nullptr && &task == main_task && !interrupt_->interrupt_taken &&
           task.uncaught(*this) == 0;
  }
  // If one is pending for `task`: takes it.
  std::shared_ptr<const CancelReason> take_interrupt(const TaskBlock& task) {
    return interrupt_pending(task) ? std::exchange(interrupt_, nullptr) : nullptr;
  }
  std::shared_ptr<const CancelReason> take_interrupt() {
    auto interrupt = std::exchange(interrupt_, nullptr);
    return interrupt != nullptr && !interrupt->interrupt_taken ? interrupt : nullptr;
  }
  // A wait could not be aborted. If `reason` is an interrupt that nobody has kept, it stays
  // pending.
  void give_interrupt_back(std::shared_ptr<const CancelReason> reason) {
    if (reason->interrupt != nullptr && !reason->interrupt_taken) interrupt_ = std::move(reason);
  }
  // Any thread, and the signal handler.
  void request_interrupt() noexcept;
  // After the last task: what has been requested meanwhile is for take_interrupt().
  void accept_last_interrupt() { deliver_interrupt(); }

  // --- Guests. ---

  // Set while a guest's host has the thread and no tick is on its way: what the host does to the
  // run must bring one.
  void set_host_at_leisure(bool at_leisure) { host_at_leisure_ = at_leisure; }
  void call_host_if_at_leisure() {
    if (host_at_leisure_) call_host();
  }
  void call_host() noexcept;

  IoManager& io() { return io_; }
  const std::shared_ptr<EntryQueue>& entries() const { return entries_; }
  CancelStatus& root_status() { return root_status_; }
  RunStatistics statistics();
  // How many of its tokens others hold: who has one may still call.
  std::size_t tokens() const;
  // Parents before their children. Allocates: for reports.
  std::vector<TaskBlock*> all_tasks() const;
  void add_idle_waiter(IdleWaiter& waiter);
  void remove_idle_waiter(IdleWaiter& waiter);
  // A call from outside, or a system task, threw.
  void crash(std::exception_ptr error);
  // Nobody will turn it any more, although it has tasks. Their scopes are taken out of it.
  void give_up();
  // After give_up(): lets go of everything that the system lends. Any thread.
  void let_go() noexcept;

  // --- Who has caught a Cancelled and gone on: swallowed_cancelled.cc. ---

  SwallowedCancelled& swallowed() { return swallowed_; }
  // `task` has ended as if it had never been cancelled.
  [[gnu::cold]] void note_swallower(const TaskBlock& task) { swallowed_.ended_normally(task); }

  // --- Set by the run, once. ---
  TaskBlock* root_task = nullptr;
  TaskBlock* main_task = nullptr;
  Nursery* system_nursery = nullptr;
  std::exception_ptr crash_error;  // The first one.

  // What RunVars hold.
  RunValues run_values;

  // Its host may act at any time: nothing is ever a deadlock.
  bool is_guest = false;
  bool checks_captures = false;  // See RunOptions::check_captures.

  // On the main thread: Ctrl-C asks this run while it is not suspended.
  bool handles_interrupt = false;

  // Deadlines that only warn (of a wait while unwinding): no reason for a clock to jump.
  std::size_t armed_warnings = 0;

 private:
  static Instant monotonic_now();
  // Left to itself, the compiler inlines it or not by the size of everything else.
  [[gnu::always_inline]] void switch_to_task(Context& from, TaskBlock& next) {
    running_ = &next;
    switch_context(from, next.context, *exceptions_);
  }
  TaskBlock* pick_after_end();

  void poll();
  std::size_t wait_for_io(Duration timeout);
  [[gnu::cold]] void poll_failed();
  bool poll_is_due();
  void run_entries();
  void run_last_entries();
  Wait plan_wait();
  void idle(IdleFor primed);
  void wake_idle_waiters();
  void report_deadlock();
  void deliver_interrupt();
  void run_stepping(std::uint32_t tasks);
  TaskBlock& take_chosen(std::uint32_t tasks);

  bool toss();

  bool steps() const { return instruments_ != nullptr && instruments_->want(kStepHooks); }
  void begin_step(TaskBlock& task);
  void end_step();
  void tell_scheduled();
  void tell_exit(TaskBlock& task);

  // First what every switch touches.
  TaskBlock* running_ = nullptr;
  ReadyQueue ready_;
  std::int32_t budget_ = 0;  // Hand-overs left before the next poll.
  bool host_at_leisure_ = false;
  ExceptionState* const exceptions_;
  Context own_;

  static constexpr int kFailedPolls = 100;
  int failed_polls_ = 0;  // In a row.

  Clock* const clock_;  // Null: the machine's.
  Duration clock_offset_{0};
  Instant last_poll_{};  // Not kLongAgo: from there to now is more than a Duration holds.
  std::unique_ptr<ScheduleSource> seeded_;
  ScheduleSource* const source_;
  const bool every_tick_;      // Poll after each batch: with a test's clock or a source.
  std::uint64_t coin_;         // Never 0, unless batches run in order.
  bool poll_at_once_ = false;  // See poll_at_next_suspension().
  bool fresh_ = true;          // Whoever is ready has become so since the last batch.
  std::int32_t next_budget_ = 1;

  StackPool& stacks_;
  const std::size_t stack_size_;
  std::uint32_t colour_ = 0;
  Context grave_;  // Where ended tasks jump from.
  void* dead_tsan_fiber_ = nullptr;

  std::size_t living_ = 0;
  std::size_t peak_ = 0;
  std::uint64_t ticks_ = 0;
  CancelStatus root_status_;
  Deadlines deadlines_;
  IdleWaiter* idle_waiters_ = nullptr;
  std::shared_ptr<EntryQueue> entries_;
  IoManager io_;
  std::unique_ptr<Instruments> instruments_;
  TaskBlock* stepping_ = nullptr;  // Whose step an instrument has been told of, or is to be.
  std::uint32_t announced_ = 0;    // How many of the ready tasks have been told to instruments.
  std::shared_ptr<const CancelReason> interrupt_;
  std::atomic<bool> interrupt_requested_{false};
  int previous_deadlocks_ = 0;
  MachineClock machine_clock_{*this};
  SwallowedCancelled swallowed_;
  RunLink link_{*this};  // Last: it looks at the rest when it goes.
};

// The run of this thread; null outside one. A plain word, constant-initialised: reading it costs
// a load. Safe to cache, for a task never leaves its thread.
extern constinit thread_local Scheduler* tls_scheduler;

inline Scheduler& current_scheduler() {
  Scheduler* scheduler = tls_scheduler;
  WEFT_REQUIRE(
      scheduler != nullptr,
      "this has to be called inside weft::fibers::run(), and a greenlet is outside the run "
      "that has switched to it; do it in the task, or give the greenlet a run()");
  return *scheduler;
}
inline Scheduler& scheduler_of_task() {
  Scheduler& scheduler = current_scheduler();
  static_cast<void>(scheduler.running_task());
  return scheduler;
}

inline void TaskBlock::update_watched() {
  watched =
      park_hook != nullptr || no_suspend != nullptr || scheduler->schedule_source() != nullptr;
}
inline TaskState TaskBlock::present_state() const {
  return state == TaskState::kReady && scheduler->running() == this ? TaskState::kRunning : state;
}
inline unsigned TaskBlock::uncaught(const Scheduler& s) const {
  return s.running() == this ? s.uncaught() : context.exceptions.uncaught;
}

}  // namespace weft::fibers::detail
