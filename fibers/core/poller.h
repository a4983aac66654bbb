// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// How a run looks at the world: calls from outside, descriptors, deadlines; how long it waits for
// them; and what it does if nothing happens.

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "fibers/core/entry_queue.h"
#include "fibers/core/idle_waiters.h"
#include "fibers/core/io_manager.h"
#include "weft/fibers/clock.h"
#include "weft/fibers/detail/outside_work.h"

namespace weft::fibers::detail {

class Scheduler;

class Poller {
 public:
  explicit Poller(Scheduler& run);

  // Idle, the run gives back what the pool has above these.
  static constexpr std::size_t kKeepStacks = 256;

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

  // --- Another library's loop, in which the waits are then (see shared_wait.cc). ---
  // An interface, so that only programs that share waits carry the code.
  class Elsewhere {
   public:
    // In the place of the poller's own.
    virtual std::size_t look(Duration timeout, const Wait* told_of) = 0;

   protected:
    ~Elsewhere() = default;
  };
  bool waits_elsewhere() const { return elsewhere_ != nullptr; }
  void wait_elsewhere(Elsewhere* other) { elsewhere_ = other; }  // Null: no longer.
  // A call from outside or Ctrl-C is there, so there is nothing to wait for.
  bool has_calls() const;

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
  void count_tick() { ++ticks_; }  // One without a poll.
  // Lets go of everything that the system lends. Any thread.
  void let_go() noexcept;

 private:
  void run_last_entries();
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
  Elsewhere* elsewhere_ = nullptr;
  int threads_at_work_ = 0;
  int children_awaited_ = 0;
};

}  // namespace weft::fibers::detail
