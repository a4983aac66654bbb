// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A flag that tasks of one loop may wait for.
//
//   Event ready;
//   co_await ready.wait();                // in one task; elsewhere:
//   ready.set();
//
// (asyncio.Event.)

#pragma once

#include "weft/loop/coro.h"
#include "weft/loop/detail/waiters.h"

namespace weft::loop {

class EventLoop;

// Bound to the loop of the first wait() that has to wait, as a Lock is. A resource: neither copied
// nor moved.
class Event {
 public:
  Event() = default;
  // Bound from the beginning: for tasks of fibers, which have no running loop.
  explicit Event(EventLoop& loop) : binding_(loop) {}
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  bool is_set() const { return set_; }
  // Wakes all who wait. They return from wait() even if clear() comes before they run.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the loop's own only.
  void set();
  void clear() { set_ = false; }
  // Goes on at once if the flag is set.
  //
  // Blocks: whoever awaits it, until set().
  // Cancel: at once.
  // Threads: the loop's own only.
  Coro<void> wait();

 private:
  friend struct detail::SyncAccess;
  detail::LoopBinding binding_;
  detail::Waiters waiters_;
  bool set_ = false;
};

}  // namespace weft::loop
