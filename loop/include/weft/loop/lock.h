// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A lock for the callbacks and tasks of one loop.
//
//   Lock lock;
//   Coro<void> update() {
//     auto guard = co_await lock.scoped();          // async with lock
//     co_await send(co_await read());
//   }                                               // releases
//
// On a stack, and in a task of fibers, it is `auto guard = await(lock.scoped());`. (asyncio.Lock.)

#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "weft/loop/coro.h"
#include "weft/loop/detail/waiters.h"

namespace weft::loop {

class EventLoop;

// Holds what scoped() has acquired, and releases it in the end. A value: it can be moved out of the
// function that acquired.
template <class L>
class [[nodiscard]] Guard {
 public:
  Guard(Guard&& other) noexcept : held_(std::exchange(other.held_, nullptr)), turn_(other.turn_) {}
  Guard& operator=(Guard other) noexcept {
    std::swap(held_, other.held_);
    std::swap(turn_, other.turn_);
    return *this;
  }
  // Ends the process if a BoundedSemaphore has been released too often meanwhile.
  ~Guard() { release(); }
  // Releases it before that. A Lock that was released by its own release() stays as it is,
  // whoever holds it now.
  void release() {
    if (L* const held = std::exchange(held_, nullptr)) held->release_turn(turn_);
  }

 private:
  friend L;
  friend class Condition;
  Guard(L& held, std::uint64_t turn) noexcept : held_(&held), turn_(turn) {}
  L* held_;
  std::uint64_t turn_;
};

// Fair: who asked first gets it first, and nobody pushes in between a release() and the one who is
// woken by it. Belongs to nobody: any task may release it, and who acquires it twice waits for
// ever. The first acquire() that has to wait binds it to the running loop; in another one it throws
// UsageError from then on. A resource: neither copied nor moved.
class Lock {
 public:
  Lock() = default;
  // Bound from the beginning: for tasks of fibers, which have no running loop.
  explicit Lock(EventLoop& loop) : binding_(loop) {}
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

  // Goes on at once if the lock is free and nobody waits for it.
  //
  // Blocks: whoever awaits it, until it is their turn.
  // Cancel: before any effect; if it was woken already, the next in the line is woken instead.
  // Threads: the loop's own only.
  Coro<void> acquire();
  // The same, and gives what releases it. (asyncio: async with.)
  //
  // Blocks: as acquire().
  // Cancel: as acquire().
  // Threads: the loop's own only.
  Coro<Guard<Lock>> scoped();
  // Whether somebody holds it. Not yet, from a release() until the next one runs.
  bool locked() const { return locked_; }
  // Throws UsageError if nobody holds it.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the loop's own only.
  void release();

 private:
  friend class Condition;
  friend class Guard<Lock>;
  friend struct detail::SyncAccess;
  class Place;
  bool try_acquire() noexcept;
  void take() noexcept;
  void release_turn(std::uint64_t turn);

  detail::LoopBinding binding_;
  detail::Waiters waiters_;
  // Each acquisition has a number, so that a guard never releases another one's.
  std::uint64_t turn_ = 0;
  std::uint64_t last_turn_ = 0;
  bool locked_ = false;
};

}  // namespace weft::loop
