// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/core/scheduler.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <random>
#include <string>
#include <thread>
#include <utility>

#include "fibers/core/greenlet_block.h"
#include "fibers/core/nursery_access.h"
#include "fibers/core/returns.h"
#include "fibers/core/schedule_source.h"
#include "fibers/sys/lasting.h"
#include "weft/fibers/inspect.h"

namespace weft::fibers::detail {

constinit thread_local Scheduler* tls_scheduler = nullptr;

namespace {

// While tasks keep running, the world is looked at after this many hand-overs at the latest...
constexpr std::int32_t kMostHandOvers = 256;
// ...and system calls are made for it no more often than this.
constexpr Duration kPollInterval = std::chrono::microseconds(100);
// The longest single sleep.
constexpr Duration kLongestSleep = std::chrono::hours(24);
// Idle for so long, the run gives memory back, a few stacks at a time.
constexpr Duration kTrimAfter = std::chrono::milliseconds(50);
constexpr std::size_t kKeepStacks = 256;
constexpr std::size_t kTrimAtOnce = 1024;  // Takes about a millisecond.
// Under a clock that jumps: how long, in real time, another thread or process may take to answer.
constexpr Duration kSilence = std::chrono::seconds(10);

// Nobody should come to rely on where the clock starts. (Trio does the same.)
Duration random_clock_offset() {
  std::random_device random;
  return std::chrono::microseconds(10'000'000'000 + random() % 190'000'000'000);
}

// Of an xorshift sequence: not 0.
std::uint64_t random_coin() {
  std::random_device random;
  return (std::uint64_t{random()} << 32 | random()) | 1;
}

}  // namespace

Scheduler::Scheduler(const RunOptions& options)
    : exceptions_(thread_exception_state()),
      clock_(options.clock),
      seeded_(options.schedule_seed ? seeded_source(*options.schedule_seed) : nullptr),
      source_(options.schedule_source != nullptr ? options.schedule_source : seeded_.get()),
      every_tick_(options.clock != nullptr || source_ != nullptr),
      coin_(options.in_order || source_ != nullptr ? 0 : random_coin()),
      stacks_(thread_stack_pool()),
      stack_size_(options.stack_size),
      entries_(std::make_shared<EntryQueue>()),
      io_(entries_->wakeup()) {
  if (clock_ != nullptr) {
    clock_->start_clock();
  } else {
    clock_offset_ = random_clock_offset();
  }
  if (source_ != nullptr) stacks_.put_in_order();
  checks_captures = options.check_captures;
  describe_own_stack(own_);
}

// NOLINTNEXTLINE(modernize-use-equals-default): under TSan it is not.
Scheduler::~Scheduler() {
#ifdef WEFT_TSAN
  if (dead_tsan_fiber_ != nullptr) __tsan_destroy_fiber(dead_tsan_fiber_);
#endif
}

Instant Scheduler::monotonic_now() {
  timespec t;
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return Instant{std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec)};
}

void Scheduler::loop() {
  entries_->wakeup().awake();
  while (living_ > 0) {
    try {
      poll();
      failed_polls_ = 0;
    } catch (...) {
      poll_failed();
    }
    run_ready_tasks();
  }
}

// The clock or the system has failed the run. Everybody is cancelled, and may still end in order.
void Scheduler::poll_failed() {
  crash(std::current_exception());
  // Or else nobody can go on, nor ever will.
  WEFT_ASSERT(!ready_.empty() || ++failed_polls_ < kFailedPolls);
}

void Scheduler::poll() {
  if (const auto wait = before_wait()) after_wait(*wait, wait_for_io(wait->timeout));
}

// A call from outside counts as an event.
std::size_t Scheduler::wait_for_io(Duration timeout) {
  if (timeout <= Duration::zero()) return io_.poll(timeout);
  Wakeup& wakeup = entries_->wakeup();
  wakeup.about_to_wait();
  const bool called = entries_->anything_new() || interrupt_requested_.load();
  const std::size_t events = io_.poll(called ? Duration::zero() : timeout);
  wakeup.awake();
  return events + (called ? 1 : 0);
}

std::optional<Scheduler::Wait> Scheduler::before_wait() {
  ++ticks_;
  run_entries();
  if (!ready_.empty() && !poll_is_due()) return std::nullopt;
  const Wait wait = plan_wait();
  if (instruments_ != nullptr) [[unlikely]]
    instruments_->call(kBeforeIoWait, &Instrument::before_io_wait, wait.timeout);
  return wait;
}

void Scheduler::after_wait(const Wait& wait, std::size_t events) {
  if (instruments_ != nullptr) [[unlikely]]
    instruments_->call(kAfterIoWait, &Instrument::after_io_wait, wait.timeout);
  run_entries();
  deliver_interrupt();
  deadlines_.expire(now());
  // An FdWatch by which nobody has become ready is no reason to put off what waits for idleness.
  const bool at_once = wait.primed != IdleFor::kNothing && wait.timeout == Duration::zero();
  if ((events == 0 || at_once) && ready_.empty()) idle(wait.primed);
}

// Adapts the budget so that polls are some kPollInterval apart: tasks that run long between two
// waits do not delay the others' I/O 256-fold.
bool Scheduler::poll_is_due() {
  if (every_tick_ || std::exchange(poll_at_once_, false)) return true;
  const Instant present = now();
  const Duration since = present - last_poll_;
  if (since < kPollInterval) {
    next_budget_ = std::min(next_budget_ * 2, kMostHandOvers);
    return false;
  }
  if (since > 2 * kPollInterval) next_budget_ = std::max(next_budget_ / 2, 1);
  last_poll_ = present;
  return true;
}

// A guest's wake-up is taken in also when there is nothing to run: it may come late, for a call
// that has been run already, and as long as it stands later ones do not wake anybody.
void Scheduler::run_entries() {
  if (is_guest) [[unlikely]]
    entries_->wakeup().clear();
  if (!entries_->empty()) run_last_entries();
}

void Scheduler::run_last_entries() {
  entries_->drain([this](std::exception_ptr error) { crash(std::move(error)); });
}

Scheduler::Wait Scheduler::plan_wait() {
  if (!ready_.empty() || interrupt_requested_.load(std::memory_order_relaxed)) {
    return {Duration::zero(), IdleFor::kNothing};
  }
  Duration timeout = Duration::max();
  if (const Instant next = deadlines_.lower_bound(); next != kForever) {
    const Duration left = clock_ != nullptr  ? clock_->deadline_to_sleep_time(next)
                          : next == kLongAgo ? Duration::zero()
                                             : next - now();
    timeout = std::clamp(left, Duration::zero(), kLongestSleep);
  }
  IdleFor primed = IdleFor::kNothing;
  if (idle_waiters_ != nullptr) {
    if (idle_waiters_->cushion <= timeout) {
      timeout = idle_waiters_->cushion;
      primed = IdleFor::kIdleWaiters;
    }
  } else if (clock_ != nullptr && clock_->autojump_threshold() < timeout &&
             !(is_guest && deadlines_.size() == armed_warnings)) {
    timeout = clock_->autojump_threshold();
    primed = IdleFor::kAutojump;
  } else if (clock_ == nullptr && timeout > kTrimAfter &&
             stacks_.worth_trimming(stacks_.statistics().in_use + kKeepStacks)) {
    timeout = kTrimAfter;
  }
  return {timeout, primed};
}

// Nothing has happened while the run waited.
void Scheduler::idle(IdleFor primed) {
  switch (primed) {
    case IdleFor::kIdleWaiters:
      wake_idle_waiters();
      return;
    case IdleFor::kAutojump:
      if (deadlines_.size() > armed_warnings) {
        clock_->autojump(deadlines_.earliest());
        deadlines_.expire(now());
      } else {
        report_deadlock();
      }
      return;
    case IdleFor::kNothing:
      stacks_.trim(stacks_.statistics().in_use + kKeepStacks, kTrimAtOnce);
  }
}

void Scheduler::add_idle_waiter(IdleWaiter& waiter) {
  IdleWaiter** at = &idle_waiters_;
  while (*at != nullptr && (*at)->cushion <= waiter.cushion) at = &(*at)->next;
  waiter.next = *at;
  *at = &waiter;
}

void Scheduler::remove_idle_waiter(IdleWaiter& waiter) {
  IdleWaiter** at = &idle_waiters_;
  while (*at != &waiter) at = &(*at)->next;
  *at = waiter.next;
}

// Those with the smallest cushion, together.
void Scheduler::wake_idle_waiters() {
  const Duration smallest = idle_waiters_->cushion;
  while (idle_waiters_ != nullptr && idle_waiters_->cushion == smallest) {
    wake(*std::exchange(idle_waiters_, idle_waiters_->next)->task);
  }
}

// Virtual time cannot pass. If nobody outside holds a token and no descriptor is watched, nothing
// else can happen either; otherwise something may, but not after a long silence.
void Scheduler::report_deadlock() {
  const bool hope = io_.watched() > 0 || tokens() > 0;
  // Asked last: who has just let go of the last token may have called before that.
  if ((hope && wait_for_io(kSilence) > 0) || entries_->anything_new() ||
      interrupt_requested_.load()) {
    return run_entries();
  }
  const std::string text =
      "nothing in this run can ever happen again:\n" + dump_waits() + dump_task_tree();
  // A Ctrl-C that a wait has refused stays pending, whatever else comes of the run.
  struct KeepInterrupt {
    ~KeepInterrupt() { place = std::move(kept); }
    std::shared_ptr<const CancelReason>& place;
    std::shared_ptr<const CancelReason> kept;
  } keep{interrupt_, std::exchange(interrupt_, nullptr)};
  auto reason = std::make_shared<CancelReason>();
  reason->source = "deadlock";
  reason->interrupt = std::make_exception_ptr(DeadlockError(text));
  interrupt_ = std::move(reason);
  if (main_task != nullptr) attempt_delivery(*main_task);
  if (interrupt_ == nullptr) return;
  // The main task has ended, or its wait has refused to be cancelled: any other will do, the
  // innermost first, whose error then comes up through the nurseries.
  const std::vector<TaskBlock*> tasks = all_tasks();
  for (auto task = tasks.rbegin(); task != tasks.rend(); ++task) {
    TaskBlock* const before = std::exchange(main_task, *task);
    attempt_delivery(**task);
    main_task = before;
    if (interrupt_ == nullptr) return;
  }
  std::fputs(text.c_str(), stderr);
  std::abort();
}

std::vector<TaskBlock*> Scheduler::all_tasks() const {
  std::vector<TaskBlock*> tasks{root_task};
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    for (Nursery* n = tasks[i]->innermost_nursery; n != nullptr; n = NurseryAccess::next(*n)) {
      for (TaskBlock* child = NurseryAccess::first_child(*n); child != nullptr;
           child = child->next_in_nursery) {
        tasks.push_back(child);
      }
    }
  }
  return tasks;
}

void Scheduler::request_interrupt() noexcept {
  interrupt_requested_.store(true);
  entries_->wakeup().wake();
}

void Scheduler::call_host() noexcept {
  host_at_leisure_ = false;
  entries_->wakeup().wake();
}

void Scheduler::deliver_interrupt() {
  if (!interrupt_requested_.load(std::memory_order_relaxed)) return;
  interrupt_requested_.store(false);
  auto reason = std::make_shared<CancelReason>();
  reason->source = "KeyboardInterrupt";
  reason->interrupt = std::make_exception_ptr(KeyboardInterrupt());
  interrupt_ = std::move(reason);
  if (main_task != nullptr) attempt_delivery(*main_task);
}

void Scheduler::run_ready_tasks(std::int32_t hand_overs) {
  if (ready_.empty()) return;
  if (steps()) [[unlikely]]
    tell_scheduled();
  budget_ = hand_overs;
  // Only where nobody who waits for a turn has been passed already: turns stay fair.
  if (coin_ != 0 && (fresh_ || every_tick_) && ready_.size() > 1 && toss()) {
    ready_.reverse_front(std::min(ready_.size(), static_cast<std::uint32_t>(hand_overs) + 1));
  }
  if (source_ != nullptr || steps()) [[unlikely]]
    return run_stepping(static_cast<std::uint32_t>(budget_) + 1);
  switch_to_task(own_, *ready_.pop());
  fresh_ = ready_.empty();
  if (steps()) [[unlikely]]
    end_step();  // An instrument has come meanwhile.
}

// Once a batch, so that hand-overs inside it cost nothing more.
bool Scheduler::toss() {
  coin_ ^= coin_ << 13;
  coin_ ^= coin_ >> 7;
  coin_ ^= coin_ << 17;
  return (coin_ >> 63) != 0;
}

// Each task comes back here when it suspends: there is no budget for handing over.
void Scheduler::run_stepping(std::uint32_t tasks) {
  for (; tasks > 0 && !ready_.empty(); --tasks) {
    if (instruments_ != nullptr) tell_scheduled();
    TaskBlock& task = source_ != nullptr ? take_chosen(tasks) : *ready_.pop();
    if (instruments_ != nullptr) begin_step(task);
    budget_ = 0;
    switch_to_task(own_, task);
    if (instruments_ != nullptr) end_step();
    if (source_ != nullptr && !source_->fair()) return;
  }
  fresh_ = ready_.empty();
}

void Scheduler::crash(std::exception_ptr error) {
  if (crash_error == nullptr) crash_error = std::move(error);
  if (system_nursery == nullptr) return;
  // Without an allocation: lack of memory may be what it has crashed of.
  static const sys::NeverDestroyed cause(
      [] { return CancelReason{.source = "explicit", .reason = "the run crashed"}; });
  mark_cancelled(ScopeAccess::status(system_nursery->cancel_scope()), unowned(*cause));
}

// All waits are taken back, as if they were cancelled, so that nobody finds a waiter that will not
// come. Then the scopes, from the leaves to the root, whose own status belongs to no scope.
void Scheduler::give_up() {
  link_.give_up();
  host_at_leisure_ = false;
  entries_->close();
  static const sys::NeverDestroyed reason([] { return CancelReason{.source = "abandoned"}; });
  for (TaskBlock* task : all_tasks()) {
    if (const AbortThunk abort = std::exchange(task->abort, nullptr))
      abort(task->abort_context, RaiseCancelAccess::make(unowned(*reason)));
  }
  CancelStatus* status = &root_status_;
  for (;;) {
    while (status->first_child != nullptr) status = status->first_child;
    if (status == &root_status_) return;
    CancelStatus* const parent = status->parent;
    ScopeAccess::take_out(ScopeAccess::of(*status));
    status = parent;
  }
}

void Scheduler::let_go() noexcept {
  io_.close();
  entries_.reset();
}

// Threads that are about to be rid of theirs have a few instructions left.
std::size_t Scheduler::tokens() const {
  while (entries_->leaving()->load(std::memory_order_acquire) > 0) std::this_thread::yield();
  return static_cast<std::size_t>(entries_.use_count()) - 1;
}

RunStatistics Scheduler::statistics() {
  RunStatistics s;
  s.tasks_living = living_;
  s.tasks_runnable = ready_.size();
  s.tasks_peak = peak_;
  s.deadlines = deadlines_.size();
  s.fds_watched = io_.watched();
  s.io_statistics = io_.statistics();
  // In this order: without tokens, what has been counted was all.
  s.tokens = tokens();
  s.run_sync_soon_queue_size = entries_->size();
  s.ticks = ticks_;
  if (deadlines_.size() > 0) s.until_next_deadline = time_between(now(), deadlines_.earliest());
  return s;
}

}  // namespace weft::fibers::detail
