// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// How a run looks at the world: calls from outside, descriptors, deadlines; how long it waits for
// them; and what it does if nothing happens.

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "fibers/core/alarm.h"
#include "fibers/core/entry_queue.h"
#include "fibers/core/idle_waiters.h"
#include "fibers/core/io_manager.h"
#include "weft/fibers/clock.h"
#include "weft/fibers/detail/outside_work.h"
#include "weft/fibers/shared_wait.h"

namespace weft::fibers::detail {

class Scheduler;

class Poller {
 public:
  explicit Poller(Scheduler& run);

  // --- A poll, in these steps. Between the first two a guest returns to its host. ---
  enum class IdleFor : std::uint8_t { kNothing, kIdleWaiters, kAutojump };
  struct Wait {
    Duration timeout;
    IdleFor primed;  // What is to be done if nothing happens meanwhile.
  };
  // Runs calls from outside. Returns how long to look for I/O then; nothing if tasks are ready and
  // no poll is due.
  std::optional<Wait> before_wait();
  // Waits for I/O, and delivers it. In between wait_is_over(), if this is the wait that instruments
  // have been told of. Returns how many events there were; a call from outside counts.
  std::size_t look(Duration timeout, const Wait* told_of = nullptr);
  // Tells instruments.
  void wait_is_over(const Wait& wait);
  // `events` have been delivered: fires deadlines, or does what the wait was primed for.
  void after_wait(const Wait& wait, std::size_t events);

  // --- Another library's loop, in which the waits are then; null: none. ---
  bool shares_waits() const { return shared_ != nullptr; }
  // Returns the descriptor for it.
  int share_waits(SharedWait* with);

  // --- Calls from outside. ---
  const std::shared_ptr<EntryQueue>& entries() const { return entries_; }
  Wakeup& wakeup() { return entries_->wakeup(); }
  void run_entries();
  // Runs the last ones, and accepts no more.
  void finish_entries();
  // How many of the run's tokens others hold: who has one may still call.
  std::size_t tokens() const;

  // --- What goes on outside while tasks wait for it: a clock that jumps may have to wait, too. ---
  void count(OutsideWork kind, int change) noexcept {
    (kind == OutsideWork::kThread ? threads_at_work_ : children_awaited_) += change;
  }

  IoManager& io() { return io_; }
  IdleWaiters& idle_waiters() { return idle_waiters_; }
  std::uint64_t ticks() const { return ticks_; }
  // Lets go of everything that the system lends. Any thread.
  void let_go() noexcept;

 private:
  void run_last_entries();
  std::size_t look_shared(Duration timeout, const Wait* told_of);
  SharedWait::Turn wait_shared(Duration timeout);
  Wait plan_wait();
  Duration until_next_deadline();
  void idle(IdleFor primed);
  bool may_autojump() const;
  bool is_worth_trimming() const;

  Scheduler& run_;
  std::uint64_t ticks_ = 0;
  IdleWaiters idle_waiters_;
  std::shared_ptr<EntryQueue> entries_;
  IoManager io_;
  SharedWait* shared_ = nullptr;
  std::optional<Alarm> alarm_;  // Once waits have been shared.
  int threads_at_work_ = 0;
  int children_awaited_ = 0;
};

}  // namespace weft::fibers::detail
