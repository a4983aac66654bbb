// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Where a fixed number of tasks wait for each other.
//
//   Barrier barrier(3);
//   std::size_t index = co_await barrier.wait();       // three tasks: 0, 1 and 2
//   if (index == 0) report();                          // one of them
//
// (asyncio.Barrier.)

#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>

#include "weft/loop/condition.h"
#include "weft/loop/coro.h"

namespace weft::loop {

class EventLoop;

// The barrier has been reset or aborted. (asyncio.BrokenBarrierError.)
class BrokenBarrierError : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Fills until `parties` tasks have come, then lets all of them go, and can be used again: who comes
// while it drains waits for the next round. Bound to the loop of the first wait() that has to wait,
// as a Lock is. A resource: neither copied nor moved.
class Barrier {
 public:
  // Throws UsageError if `parties` is less than 1.
  explicit Barrier(std::ptrdiff_t parties);
  // Bound from the beginning: for tasks of fibers, which have no running loop.
  Barrier(EventLoop& loop, std::ptrdiff_t parties);
  Barrier(const Barrier&) = delete;
  Barrier& operator=(const Barrier&) = delete;

  // Returns how many had come before. Throws BrokenBarrierError if the barrier is broken, or is
  // reset or aborted meanwhile. (asyncio: also `async with barrier as index`, whose end does
  // nothing.)
  //
  // Blocks: whoever awaits it, until so many have come.
  // Cancel: the others go on waiting, and one more has to come.
  // Threads: the loop's own only.
  Coro<std::size_t> wait();
  // Empties the barrier: who waits in it gets BrokenBarrierError, and it can be used again once
  // they have gone. Also makes a broken one whole.
  //
  // Blocks: whoever awaits it, for a moment only: until the barrier's lock is free.
  // Cancel: before any effect.
  // Threads: the loop's own only.
  Coro<void> reset();
  // Breaks the barrier: who waits in it, or comes later, gets BrokenBarrierError, until reset().
  //
  // Blocks: as reset().
  // Cancel: before any effect.
  // Threads: the loop's own only.
  Coro<void> abort();

  std::size_t parties() const { return parties_; }
  // How many have come while it fills; 0 at other times.
  std::size_t n_waiting() const { return state_ == State::kFilling ? count_ : 0; }
  bool broken() const { return state_ == State::kBroken; }

 private:
  friend struct detail::SyncAccess;
  enum class State : std::uint8_t { kFilling, kDraining, kResetting, kBroken };
  class Party;
  bool emptying() const { return state_ == State::kDraining || state_ == State::kResetting; }
  void change(State state) noexcept;

  Condition condition_;  // Notified when the state changes.
  const std::size_t parties_;
  std::size_t count_ = 0;  // How many are inside.
  State state_ = State::kFilling;
};

}  // namespace weft::loop
