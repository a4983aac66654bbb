// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The part of as_completed() that does not depend on types. Not for use outside weft.

#pragma once

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "weft/fibers/clock.h"
#include "weft/loop/coro.h"
#include "weft/loop/detail/waiters.h"
#include "weft/loop/future.h"
#include "weft/loop/handle.h"

namespace weft::loop::detail {

// Collects futures in the order in which they end. Its callbacks refer to it, and are taken off
// when it goes.
class AsCompletedCore {
 public:
  AsCompletedCore() = default;
  AsCompletedCore(const AsCompletedCore&) = delete;
  AsCompletedCore& operator=(const AsCompletedCore&) = delete;
  ~AsCompletedCore();

  // The same future may be there more than once, and comes once. Throws UsageError if the futures
  // belong to different loops.
  void begin(const std::vector<FutureBase>& futures, fibers::Duration timeout);
  // The index of the one that has ended next, or kNone if all have come. `this` outlives it.
  static constexpr std::size_t kNone = ~std::size_t{0};
  Coro<std::size_t> next();

 private:
  class Claim;
  class Turn;
  void one_is_done(std::size_t i);
  void time_is_up();
  bool has_one() const { return given_ < done_.size(); }

  LoopBinding binding_;
  std::vector<Handle> callbacks_;
  Handle timer_;
  std::size_t count_ = 0;          // Each future once.
  std::vector<std::size_t> done_;  // In the order of their ends.
  std::size_t given_ = 0;          // How many of those have come.
  std::size_t claimed_ = 0;        // How many calls of next() have one, or wait for one.
  Waiters waiters_;
  bool timed_out_ = false;
};

// With the futures themselves. Shared with the calls of next() that are going on.
template <class F>
struct AsCompletedState {
  std::vector<F> futures;
  AsCompletedCore core;

  static Coro<F> next(std::shared_ptr<AsCompletedState> self) {
    const std::size_t i = co_await self->core.next();
    if (i == AsCompletedCore::kNone) co_return F();
    co_return self->futures[i];
  }
};

}  // namespace weft::loop::detail
