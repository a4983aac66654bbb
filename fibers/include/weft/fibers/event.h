// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Something that happens once, and that tasks can wait for.
//
//   Event ready;
//   nursery.start_soon([&] { prepare(); ready.set(); });
//   ready.wait();

#pragma once

#include <cstddef>

#include "weft/fibers/detail/wait_queue.h"

namespace weft::fibers {

struct EventStatistics {
  std::size_t tasks_waiting = 0;
};

// One-shot: there is no clear(), because who waits for "the next time" with such a thing loses
// wake-ups between two rounds. Make a new Event for each round, or use a Condition. A resource:
// neither copied nor moved. If it is destroyed, tasks that wait get BrokenResourceError. (Trio:
// Event.)
class Event final {
 public:
  Event() = default;
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  ~Event() { detail::fail_all_destroyed(waiting_, "Event"); }

  bool is_set() const { return set_; }
  // An event is not a flag: did you mean is_set(), or to wait()?
  explicit operator bool() const = delete;

  // Lets everyone go who waits, in any order. Idempotent.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the run's own only; elsewhere use Token::run_sync_soon.
  void set();

  // Waits until it is set.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: at once.
  // Threads: the run's own only.
  void wait();

  EventStatistics statistics() const { return {.tasks_waiting = waiting_.size()}; }

 private:
  detail::WaitQueue waiting_;
  bool set_ = false;
};

}  // namespace weft::fibers
