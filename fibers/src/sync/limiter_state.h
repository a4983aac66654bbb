// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What a CapacityLimiter is inside: shared with the jobs of to_thread, which may outlive the
// limiter.

#pragma once

#include <cstddef>
#include <memory>
#include <unordered_map>

#include "weft/fibers/capacity_limiter.h"
#include "weft/fibers/detail/wait_queue.h"

namespace weft::fibers::detail {

enum class TokenState : bool { kWaiting, kBorrowed };

struct LimiterState {
  std::size_t total = 0;
  std::size_t borrowed = 0;
  // Who has a token or waits for one. Every waiter of `waiting` is here. Not one of Abseil's maps:
  // those do not outlive a std::bad_alloc.
  using Borrowers = std::unordered_map<const void*, TokenState>;
  Borrowers borrowers;
  Borrowers::node_type spare;  // For the next one.
  WaitQueue waiting;

  bool has_room() const { return borrowed < total; }
};

struct LimiterAccess {
  static std::shared_ptr<LimiterState> state(const CapacityLimiter& limiter) {
    return limiter.state_;
  }
};

}  // namespace weft::fibers::detail
