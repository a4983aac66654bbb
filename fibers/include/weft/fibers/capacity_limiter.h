// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// At most so many at once.
//
//   CapacityLimiter limiter(16);
//   for (const Link& link : links) {
//     nursery.start_soon([&] { Guard guard(limiter); check(link); });
//   }
//
// Unlike a semaphore it knows who has borrowed a token, so that a token is neither returned twice
// nor borrowed twice by mistake, and its size may change at any time. (Trio: CapacityLimiter.)

#pragma once

#include <cstddef>
#include <limits>
#include <memory>
#include <vector>

#include "weft/fibers/lock.h"

namespace weft::fibers {

namespace detail {
struct LimiterState;
struct LimiterAccess;
}  // namespace detail

struct CapacityLimiterStatistics {
  std::size_t borrowed_tokens = 0;
  std::size_t total_tokens = 0;
  // Tasks, or what was given to acquire_on_behalf_of; null for a task that has ended with a token.
  std::vector<const void*> borrowers;
  std::size_t tasks_waiting = 0;
};

// Fair. A resource: neither copied nor moved. If it is destroyed, tasks that wait get
// BrokenResourceError. While another task has a token, destroying it ends the process with a
// message: that task would give the token back later. A borrower is a task or the address of
// anything. A task is known by its id(), which is never another's: one that ends without giving its
// token back keeps it, and no later task is taken for it.
class CapacityLimiter final {
 public:
  static constexpr std::size_t kUnlimited = std::numeric_limits<std::size_t>::max();

  explicit CapacityLimiter(std::size_t total_tokens);
  CapacityLimiter(const CapacityLimiter&) = delete;
  CapacityLimiter& operator=(const CapacityLimiter&) = delete;
  ~CapacityLimiter();

  std::size_t total_tokens() const;
  // More tokens let waiting tasks go at once; fewer take nothing away from who has one. 0 is
  // allowed: nobody gets in until there are more.
  void set_total_tokens(std::size_t total_tokens);
  std::size_t borrowed_tokens() const;
  // Those that are free; 0 also while more are borrowed than there are.
  std::size_t available_tokens() const;

  // Borrows a token for this task, or for `borrower`. Throws UsageError if that one has a token or
  // is waiting for one.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: before any effect; no token is borrowed.
  // Threads: the run's own only.
  void acquire() { acquire_on_behalf_of(&current_task()); }
  // Blocks: yes, always a checkpoint.
  // Cancel: before any effect; no token is borrowed.
  // Threads: the run's own only.
  void acquire_on_behalf_of(const void* borrower);
  void acquire_on_behalf_of(Task* borrower);
  void acquire_on_behalf_of(const Task* borrower) = delete;  // Not by its address.

  // The same without waiting: throws WouldBlock if no token is free or others wait for one.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the run's own only.
  void acquire_nowait() { acquire_on_behalf_of_nowait(&current_task()); }
  void acquire_on_behalf_of_nowait(const void* borrower);
  void acquire_on_behalf_of_nowait(Task* borrower);
  void acquire_on_behalf_of_nowait(const Task* borrower) = delete;

  // Gives the token back. Throws UsageError if this task, or `borrower`, has none.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the run's own only.
  void release() { release_on_behalf_of(&current_task()); }
  void release_on_behalf_of(const void* borrower);
  void release_on_behalf_of(Task* borrower);
  void release_on_behalf_of(const Task* borrower) = delete;

  CapacityLimiterStatistics statistics() const;

 private:
  friend struct detail::LimiterAccess;
  // Shared with threads that were abandoned and still hold a token.
  std::shared_ptr<detail::LimiterState> state_;
};

}  // namespace weft::fibers
