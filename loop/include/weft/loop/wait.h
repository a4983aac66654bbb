// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Waits for some of several futures, and leaves all of them as they are.
//
//   auto [done, pending] = co_await wait(tasks, {.timeout = 1s});      // in a coroutine
//   auto [done, pending] =
//       await(wait(tasks, {.return_when = ReturnWhen::kFirstCompleted}));   // on a stack
//
// (asyncio.wait.)

#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <ranges>
#include <utility>
#include <vector>

#include "weft/fibers/clock.h"
#include "weft/loop/coro.h"
#include "weft/loop/future.h"

namespace weft::loop {

enum class ReturnWhen : std::uint8_t {
  kFirstCompleted,  // asyncio.FIRST_COMPLETED
  kFirstException,  // asyncio.FIRST_EXCEPTION; a cancelled future is no exception.
  kAllCompleted,    // asyncio.ALL_COMPLETED
};

struct WaitOptions {
  // At the latest after so long; what is not done then is pending. Max: no limit.
  fibers::Duration timeout = fibers::Duration::max();
  ReturnWhen return_when = ReturnWhen::kAllCompleted;
};

// Both in the order of the argument, each future once. F is Future<T>, Task<T> or FutureBase.
template <class F>
struct WaitResult {
  std::vector<F> done;
  std::vector<F> pending;
};

namespace detail {
// Also for a range whose futures have different types. `futures` outlives it.
Coro<void> wait_until(const std::vector<FutureBase>& futures, WaitOptions options);
}  // namespace detail

template <class R>
concept FutureRange =
    std::ranges::input_range<R> && std::derived_from<std::ranges::range_value_t<R>, FutureBase>;

namespace detail {

template <class F>
Coro<WaitResult<F>> wait_for_some(std::vector<F> futures, WaitOptions options) {
  // Each once.
  std::vector<FutureBase> each;
  WaitResult<F> result;
  for (F& future : futures) {
    bool known = false;
    for (const FutureBase& other : each) known = known || other == future;
    if (!known) each.push_back(future);
  }
  co_await wait_until(each, options);
  std::size_t next = 0;
  for (F& future : futures) {
    if (next == each.size() || !(each[next] == future)) continue;
    ++next;
    (future.done() ? result.done : result.pending).push_back(std::move(future));
  }
  co_return result;
}

}  // namespace detail

// Never throws for what the futures have come to, nor because of the timeout, and cancels nothing.
// Throws UsageError when awaited if there are no futures, or if they belong to different loops. To
// wait for coroutines, make them tasks. May be awaited outside of the loop's callbacks and tasks.
//
// Blocks: whoever awaits it, always.
// Cancel: at once; the futures go on.
// Threads: the loop's own only.
template <FutureRange R>
auto wait(R&& futures, WaitOptions options = {})
    -> Coro<WaitResult<std::ranges::range_value_t<R>>> {
  std::vector<std::ranges::range_value_t<R>> copies;
  std::ranges::copy(futures, std::back_inserter(copies));
  return detail::wait_for_some(std::move(copies), options);
}

}  // namespace weft::loop
