// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What a CapacityLimiter is inside: shared with the jobs of to_thread, which may outlive the
// limiter.

#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <unordered_map>

#include "weft/fibers/capacity_limiter.h"
#include "weft/fibers/detail/task_exit.h"
#include "weft/fibers/detail/wait_queue.h"

namespace weft::fibers::detail {

// A task by its number, or a thing by its address.
struct Borrower {
  const void* thing = nullptr;
  std::uint64_t task = 0;  // 0: a thing.

  static Borrower of(const Task& task) { return {.task = task.id()}; }
  friend bool operator==(const Borrower&, const Borrower&) = default;
};
struct BorrowerHash {
  std::size_t operator()(const Borrower& borrower) const {
    return std::hash<std::uint64_t>()(borrower.task) ^ std::hash<const void*>()(borrower.thing);
  }
};

enum class TokenState : bool { kWaiting, kBorrowed };

// What a borrower has. Hears of the end of its task, if it is one.
struct Loan : TaskExit {
  Loan() : TaskExit(&task_ended) {}
  static void task_ended(TaskExit& loan, Task&) noexcept {
    static_cast<Loan&>(loan).shown = nullptr;
  }
  TokenState state = TokenState::kWaiting;
  const void* shown = nullptr;  // For the statistics.
};

struct LimiterState {
  std::size_t total = 0;
  std::size_t borrowed = 0;
  // Who has a token or waits for one. Every waiter of `waiting` is here. Not one of Abseil's maps:
  // those do not outlive a std::bad_alloc.
  using Borrowers = std::unordered_map<Borrower, Loan, BorrowerHash>;
  Borrowers borrowers;
  Borrowers::node_type spare;  // For the next one.
  WaitQueue waiting;

  bool has_room() const { return borrowed < total; }
};

// False if `borrower` has no token.
bool release_token(LimiterState& limiter, const Borrower& borrower);

struct LimiterAccess {
  static std::shared_ptr<LimiterState> state(const CapacityLimiter& limiter) {
    return limiter.state_;
  }
};

}  // namespace weft::fibers::detail
