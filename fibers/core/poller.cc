// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/core/poller.h"

#include <algorithm>
#include <cerrno>
#include <exception>
#include <thread>
#include <utility>

#include "fibers/core/check.h"
#include "fibers/core/current_scheduler.h"

namespace weft::fibers::detail {

namespace {

// The longest single sleep.
constexpr Duration kLongestSleep = std::chrono::hours(24);
// Idle for so long, the run gives memory back, a few stacks at a time.
constexpr Duration kTrimAfter = std::chrono::milliseconds(50);
constexpr std::size_t kTrimAtOnce = 1024;  // Takes about a millisecond.

}  // namespace

[[gnu::cold]] Poller::Poller(Scheduler& run)
    : run_(run), entries_(std::make_shared<EntryQueue>()), io_(entries_->wakeup()) {}

std::optional<Poller::Wait> Poller::before_wait() {
  ++ticks_;
  run_entries();
  if (!run_.ready().empty() && !run_.turns().poll_is_due(run_.time())) return std::nullopt;
  const Wait wait = plan_wait();
  if (Instruments* instruments = run_.watchers().instruments()) [[unlikely]]
    instruments->call(kBeforeIoWait, &Instrument::before_io_wait, wait.timeout);
  return wait;
}

// Instruments are told before anything is delivered: what they let go of around the wait, such as
// an interpreter's lock, is held again when the run goes on. (Trio's order.)
std::size_t Poller::look(Duration timeout, const Wait* told_of) {
  if (waits_elsewhere()) [[unlikely]]
    return elsewhere_->look(timeout, told_of);
  FoundEvents found;
  bool called = false;
  if (timeout <= Duration::zero()) {
    // Calls from outside are in their queue, whether the descriptor that wakes the run says so or
    // not.
    if (io_.has_descriptors()) io_.set().wait(timeout, found);
  } else {
    wakeup().about_to_wait();
    called = has_calls();
    io_.set().wait(called ? Duration::zero() : timeout, found);
    wakeup().awake();
  }
  if (told_of != nullptr) wait_is_over(*told_of);
  return io_.deliver(found) + (called ? 1 : 0);
}

bool Poller::has_calls() const {
  return entries_->anything_new() || run_.interrupt().requested();
}

void Poller::wait_is_over(const Wait& wait) {
  if (Instruments* instruments = run_.watchers().instruments()) [[unlikely]]
    instruments->call(kAfterIoWait, &Instrument::after_io_wait, wait.timeout);
}

void Poller::after_wait(const Wait& wait, std::size_t events) {
  run_entries();
  run_.interrupt().accept_request();
  // The machine's clock need not be read where there are no deadlines.
  if (run_.deadlines().size() > 0 || !run_.time().is_the_machines())
    run_.deadlines().expire(run_.now());
  // An FdWatch by which nobody has become ready is no reason to put off what waits for idleness.
  const bool at_once = wait.primed != IdleFor::kNothing && wait.timeout == Duration::zero();
  if ((events == 0 || at_once) && run_.ready().empty()) idle(wait.primed);
}

// A guest's wake-up is taken in also when there is nothing to run: it may come late, for a call
// that has been run already, and as long as it stands later ones do not wake anybody.
void Poller::run_entries() {
  if (run_.host().exists) [[unlikely]]
    wakeup().clear();
  if (!entries_->empty()) run_last_entries();
}

[[gnu::cold]] void Poller::run_last_entries() {
  entries_->drain([this](std::exception_ptr error) { run_.crash(std::move(error)); });
}

// What was accepted runs, and what those calls submit. What these submit in turn is refused, or a
// call that submits itself again would keep the run for ever.
[[gnu::cold]] void Poller::finish_entries() {
  run_entries();
  entries_->close();
  run_last_entries();
  // Threads that are about to be rid of their tokens: the run's descriptors end with the last.
  static_cast<void>(tokens());
}

// Threads that are about to be rid of theirs have a few instructions left.
std::size_t Poller::tokens() const {
  while (entries_->leaving()->load(std::memory_order_acquire) > 0) std::this_thread::yield();
  return static_cast<std::size_t>(entries_.use_count()) - 1;
}

Duration Poller::until_next_deadline() {
  const Instant next = run_.deadlines().lower_bound();
  if (next == kForever) return Duration::max();
  RunTime& time = run_.time();
  const Duration left = !time.is_the_machines() ? time.clock().deadline_to_sleep_time(next)
                        : next == kLongAgo      ? Duration::zero()
                                                : next - time.now();
  return std::clamp(left, Duration::zero(), kLongestSleep);
}

Poller::Wait Poller::plan_wait() {
  if (!run_.ready().empty() || run_.interrupt().requested()) {
    return {Duration::zero(), IdleFor::kNothing};
  }
  const Duration timeout = until_next_deadline();
  if (!idle_waiters_.empty()) {
    const Duration cushion = idle_waiters_.cushion();
    return cushion <= timeout ? Wait{cushion, IdleFor::kIdleWaiters}
                              : Wait{timeout, IdleFor::kNothing};
  }
  RunTime& time = run_.time();
  if (time.is_the_machines()) {
    const bool trims = timeout > kTrimAfter && run_.stacks().worth_trimming(kKeepStacks);
    return {trims && is_worth_trimming() ? kTrimAfter : timeout, IdleFor::kNothing};
  }
  if (time.clock().autojump_threshold() < timeout && may_autojump()) {
    return {time.clock().autojump_threshold(), IdleFor::kAutojump};
  }
  return {timeout, IdleFor::kNothing};
}

// Without a deadline to jump to it is a deadlock that is looked for; a guest is never in one, nor
// is a run with another loop beside it.
bool Poller::may_autojump() const {
  if (run_.deadlines().size() == run_.armed_warnings)
    return !run_.host().exists && !waits_elsewhere();
  const AutojumpWaits waits = run_.time().clock().autojump_waits();
  return !(waits.threads && threads_at_work_ > 0) && !(waits.processes && children_awaited_ > 0);
}

void count_outside_work(OutsideWork kind, int change) noexcept {
  tls_scheduler->poller().count(kind, change);
}

// Nothing has happened while the run waited.
void Poller::idle(IdleFor primed) {
  switch (primed) {
    case IdleFor::kIdleWaiters:
      return idle_waiters_.wake_first();
    case IdleFor::kAutojump:
      return run_.time().clock().jump_or_report(run_);
    case IdleFor::kNothing:
      StackPool& stacks = run_.stacks();
      stacks.trim(stacks.statistics().in_use + kKeepStacks, kTrimAtOnce);
  }
}

// Whether more are pooled than a burst like the last one needs.
[[gnu::cold]] bool Poller::is_worth_trimming() const {
  const StackPool& stacks = run_.stacks();
  return stacks.worth_trimming(stacks.statistics().in_use + kKeepStacks);
}

void Poller::let_go() noexcept {
  io_.close();
  entries_.reset();
}

}  // namespace weft::fibers::detail
