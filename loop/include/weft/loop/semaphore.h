// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Lets so many in at a time.
//
//   Semaphore connections(10);
//   auto guard = co_await connections.scoped();        // async with connections
//
// (asyncio.Semaphore, asyncio.BoundedSemaphore.)

#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

#include "weft/loop/coro.h"
#include "weft/loop/detail/waiters.h"
#include "weft/loop/lock.h"

namespace weft::loop {

class EventLoop;

// A count that acquire() takes one from, and waits while it is 0. Fair: who asked first gets it
// first, and nobody pushes in. Bound to the loop of the first acquire() that has to wait, as a Lock
// is. A resource: neither copied nor moved.
class Semaphore {
 public:
  // Throws UsageError if `value` is negative.
  explicit Semaphore(std::ptrdiff_t value = 1);
  // Bound from the beginning: for tasks of fibers, which have no running loop.
  explicit Semaphore(EventLoop& loop, std::ptrdiff_t value = 1);
  Semaphore(const Semaphore&) = delete;
  Semaphore& operator=(const Semaphore&) = delete;

  // Goes on at once unless locked().
  //
  // Blocks: whoever awaits it, until it is their turn.
  // Cancel: before any effect; what it was given already goes to the next in the line.
  // Threads: the loop's own only.
  Coro<void> acquire();
  // The same, and gives what releases it. (asyncio: async with.)
  //
  // Blocks: as acquire().
  // Cancel: as acquire().
  // Threads: the loop's own only.
  Coro<Guard<Semaphore>> scoped();
  // Whether acquire() would wait: the count is 0, or somebody is waiting whose turn comes first.
  bool locked() const { return value_ == 0 || !waiters_.all_cancelled(); }
  // Adds one, also without an acquire() before. Of a BoundedSemaphore: throws UsageError if that
  // were more than it began with.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the loop's own only.
  void release();

 protected:
  Semaphore(detail::LoopBinding binding, std::ptrdiff_t value, bool bounded);

 private:
  friend class Guard<Semaphore>;
  friend struct detail::SyncAccess;
  class Place;
  bool try_acquire() noexcept;
  bool wake_next() noexcept;
  void release_turn(std::uint64_t) { release(); }

  detail::LoopBinding binding_;
  detail::Waiters waiters_;
  std::ptrdiff_t value_;  // Without what has been given to those who have been woken.
  const std::ptrdiff_t bound_;
};

// Its count never exceeds what it began with: one release() too many is an error.
class BoundedSemaphore : public Semaphore {
 public:
  explicit BoundedSemaphore(std::ptrdiff_t value = 1) : Semaphore({}, value, true) {}
  explicit BoundedSemaphore(EventLoop& loop, std::ptrdiff_t value = 1)
      : Semaphore(detail::LoopBinding(loop), value, true) {}
};

}  // namespace weft::loop
