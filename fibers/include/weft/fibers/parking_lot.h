// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A queue of waiting tasks, to build locks of your own on. Fair: who came first leaves first.
//
//   class Gate {
//    public:
//     void wait() { open_ ? checkpoint() : lot_.park({.what = "Gate.wait", .on = this}); }
//     void open() { open_ = true; lot_.unpark_all(); }
//    ...
//
// A parked task stays cancellable, and being cancelled takes it out. Nothing is allocated.
// (Trio: lowlevel.ParkingLot. unpark answers with a number and not with a list of tasks.)

#pragma once

#include <cstddef>
#include <limits>
#include <string>
#include <vector>

#include "weft/fibers/detail/wait_queue.h"
#include "weft/fibers/lowlevel.h"

namespace weft::fibers {

namespace detail {
class LotBreaker;
}

struct ParkingLotStatistics {
  std::size_t tasks_waiting = 0;
};

// A resource: neither copied nor moved. If it is destroyed while tasks are parked, those get
// BrokenResourceError.
class ParkingLot final {
 public:
  ParkingLot() = default;
  ParkingLot(const ParkingLot&) = delete;
  ParkingLot& operator=(const ParkingLot&) = delete;
  ~ParkingLot();

  // Waits at the end of the queue until unparked. Throws BrokenResourceError if the lot is broken.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: leaves the queue.
  // Threads: the run's own only.
  void park(const WaitingFor& waiting_for = {.what = "ParkingLot.park"});

  // Lets the first `count` tasks go, or fewer if fewer wait. Returns how many.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the run's own only.
  std::size_t unpark(std::size_t count = 1);
  std::size_t unpark_all() { return unpark(std::numeric_limits<std::size_t>::max()); }
  // Lets the first one go and says who it is; null if nobody waits. To hand something over.
  Task* unpark_one() { return detail::wake_first(queue_); }

  // Moves the first `count` tasks, in order, to the end of another queue, where they go on waiting.
  // Returns how many. Throws UsageError if that is this queue or is broken.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the run's own only.
  std::size_t repark(ParkingLot& other, std::size_t count = 1);
  std::size_t repark_all(ParkingLot& other) {
    return repark(other, std::numeric_limits<std::size_t>::max());
  }

  // For when what the tasks wait for can never come: they get BrokenResourceError, and so does who
  // parks from now on. Notes `by`, or the running task, as the one that broke it. To have a lot
  // broken when a task ends: add_parking_lot_breaker.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the run's own only.
  void break_lot();
  void break_lot(const Task& by);
  bool broken() const { return broken_; }
  // The names of all tasks that did so, in order: most have ended by now.
  const std::vector<std::string>& broken_by() const { return broken_by_; }

  std::size_t size() const { return queue_.size(); }
  bool empty() const { return queue_.empty(); }
  ParkingLotStatistics statistics() const { return {.tasks_waiting = queue_.size()}; }

 private:
  friend class detail::LotBreaker;

  void break_quietly(const Task& by) noexcept;

  detail::WaitQueue queue_;
  bool broken_ = false;
  std::vector<std::string> broken_by_;
  detail::LotBreaker* breakers_ = nullptr;
};

}  // namespace weft::fibers
