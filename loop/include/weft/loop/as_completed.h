// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Futures in the order in which they end.
//
//   auto ended = as_completed(tasks, 10s);                                 // in a coroutine
//   while (Task<int> task = co_await ended.next()) use(task.result());
//
//   for (Task<int> task : as_completed(tasks, 10s)) use(task.result());    // on a stack
//
// What comes are the futures that were given. (asyncio.as_completed, as `async for` has it since
// 3.13.)

#pragma once

#include <cstddef>
#include <iterator>
#include <memory>
#include <ranges>
#include <type_traits>
#include <utility>
#include <vector>

#include "weft/fibers/clock.h"
#include "weft/loop/coro.h"
#include "weft/loop/detail/as_completed_core.h"
#include "weft/loop/detail/empty.h"
#include "weft/loop/ensure_future.h"
#include "weft/loop/future.h"
#include "weft/loop/gather.h"

namespace weft::loop {

// F is Future<T> or Task<T>. A value: copies take from the same row. If it goes before all have
// come, the futures go on.
template <class F>
class AsCompleted {
 public:
  AsCompleted(std::vector<F> futures, fibers::Duration timeout)
      : state_(std::make_shared<detail::AsCompletedState<F>>()) {
    state_->core.begin(std::vector<FutureBase>(futures.begin(), futures.end()), timeout);
    state_->futures = std::move(futures);
  }

  // The next one that has ended; an empty one when all have come. Several may wait at once, and are
  // served in their order. Throws TimeoutError if the time is up and no other had ended by then,
  // once for each future that is left; those go on.
  //
  // Blocks: whoever awaits it, unless one has ended.
  // Cancel: at once; no future is lost.
  // Threads: the loop's own only.
  Coro<F> next() { return detail::AsCompletedState<F>::next(state()); }

  // For code on a stack: a range-for waits by await(next()); a second one goes on from there.
  class Iterator {
   public:
    explicit Iterator(AsCompleted& row) : row_(&row) { ++*this; }
    const F& operator*() const { return future_; }
    Iterator& operator++() {
      future_ = await(row_->next());
      return *this;
    }
    bool operator==(std::default_sentinel_t) const { return !future_; }

   private:
    AsCompleted* row_;
    F future_;
  };
  // Blocks: as await(next()), as each step of the iterator does.
  // Cancel: as next().
  // Threads: the loop's own only.
  Iterator begin() { return Iterator(*this); }
  std::default_sentinel_t end() const { return {}; }

 private:
  const std::shared_ptr<detail::AsCompletedState<F>>& state() const {
    if (state_ == nullptr) detail::throw_moved_from("row of as_completed()");
    return state_;
  }
  std::shared_ptr<detail::AsCompletedState<F>> state_;
};

// Of a range. Coroutines and functions become tasks of the running loop at once, in their order,
// and are moved out of a range that is a temporary. The same future comes once. `timeout` counts
// from this call; Duration::max(): no limit. Throws UsageError if the futures belong to different
// loops.
//
// Blocks: no; next() does.
// Cancel: not a checkpoint.
// Threads: the loop's own only.
template <AwaitableRange R>
auto as_completed(R&& range, fibers::Duration timeout = fibers::Duration::max()) {
  using A = std::ranges::range_value_t<R>;
  using F = std::decay_t<decltype(ensure_future(std::declval<A>()))>;
  std::vector<F> futures;
  for (auto&& each : range) {
    if constexpr (std::is_lvalue_reference_v<R>) {
      futures.push_back(ensure_future(each));
    } else {
      futures.push_back(ensure_future(std::move(each)));
    }
  }
  return AsCompleted<F>(std::move(futures), timeout);
}

}  // namespace weft::loop
