// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A counter that acquire() takes down, waiting at zero, and release() takes up. Anybody may
// release. To limit how many tasks do something at once, CapacityLimiter is safer: it knows who
// holds what.

#pragma once

#include <cstddef>
#include <optional>

#include "weft/fibers/detail/wait_queue.h"

namespace weft::fibers {

struct SemaphoreStatistics {
  std::size_t tasks_waiting = 0;
};

// Fair. A resource: neither copied nor moved. If it is destroyed, tasks that wait get
// BrokenResourceError. (Trio: Semaphore.)
class Semaphore final {
 public:
  // Throws UsageError if `initial_value` is above `max_value`.
  explicit Semaphore(std::size_t initial_value,
                     std::optional<std::size_t> max_value = std::nullopt);
  Semaphore(const Semaphore&) = delete;
  Semaphore& operator=(const Semaphore&) = delete;
  ~Semaphore() { detail::fail_all_destroyed(waiting_, "Semaphore"); }

  std::size_t value() const { return value_; }
  std::optional<std::size_t> max_value() const { return max_value_; }

  // Blocks: yes, always a checkpoint.
  // Cancel: before any effect; the counter stays.
  // Threads: the run's own only.
  void acquire();
  // Throws WouldBlock at zero.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the run's own only.
  void acquire_nowait();
  // With tasks waiting, hands over to the first and the value stays zero. Throws UsageError above
  // `max_value`.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the run's own only.
  void release();

  SemaphoreStatistics statistics() const { return {.tasks_waiting = waiting_.size()}; }

 private:
  std::size_t value_;
  std::optional<std::size_t> max_value_;
  detail::WaitQueue waiting_;
};

}  // namespace weft::fibers
