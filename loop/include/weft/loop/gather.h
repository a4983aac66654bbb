// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Several at once: a future of all their results.
//
//   auto [name, size] = co_await gather(ask_name(), ask_size());       // in a coroutine
//   auto [name, size] = await(gather(ask_name(), ask_size()));         // on a stack
//   std::vector<int> sizes = await(gather(tasks));                     // of a vector
//   auto [name, size] = await(gather(return_exceptions, ask_name(), ask_size()));   // Outcomes
//
// The first error, or cancellation, ends the future; the others go on, and what they come to is
// dropped. Cancelling the future cancels those that are not done. A group that ends together is a
// TaskGroup. (asyncio.gather.)

#pragma once

#include <concepts>
#include <ranges>
#include <source_location>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "weft/loop/detail/gathering_core.h"
#include "weft/loop/ensure_future.h"

namespace weft::loop {

// Errors and cancellations are results as well: each result is a fibers::Outcome.
struct ReturnExceptions {
  explicit ReturnExceptions() = default;
};
// NOLINTNEXTLINE(readability-identifier-naming): asyncio's name.
inline constexpr ReturnExceptions return_exceptions{};

namespace detail {

template <class Gather>
Future<typename Gather::Value> start_gather(EventLoop& loop, std::vector<FutureBase> children,
                                            bool with_exceptions, std::source_location site) {
  using Value = typename Gather::Value;
  LoopCore& core = children.empty() ? FutureAccess::core(loop.create_future<void>()).loop()
                                    : FutureAccess::core(children.front()).loop();
  auto* const box = make_machine_box<Value, Gather>(core, site, with_exceptions);
  Future<Value> future = FutureAccess::wrap<Value>(box);
  box->begin(std::move(children));
  return future;
}

template <template <class> class Result, class... A>
auto gather_each(bool with_exceptions, std::source_location site, A&&... awaitables) {
  EventLoop& loop = loop_of(awaitables...);
  std::vector<FutureBase> children;
  children.reserve(sizeof...(A));
  (children.push_back(as_future(std::forward<A>(awaitables), loop)), ...);
  return start_gather<GatherTuple<Result<Awaited<A>>...>>(loop, std::move(children),
                                                          with_exceptions, site);
}

template <class Gather, class Range>
auto gather_range(bool with_exceptions, std::source_location site, Range&& range) {
  std::vector<FutureBase> children;
  EventLoop* loop = running_loop();
  for (auto&& each : range) {
    if (loop == nullptr) loop = &loop_of(each);
    if constexpr (std::is_lvalue_reference_v<Range>) {
      children.push_back(as_future(each, *loop));
    } else {
      children.push_back(as_future(std::move(each), *loop));
    }
  }
  if (loop == nullptr) loop = &get_running_loop();
  return start_gather<Gather>(*loop, std::move(children), with_exceptions, site);
}

template <class T>
using GatherPlain =
    std::conditional_t<std::is_void_v<T>, GatherVoid, GatherVector<PlainResult<OrMonostate<T>>>>;

}  // namespace detail

template <class R>
concept AwaitableRange =
    std::ranges::input_range<R> && !Awaitable<R> && Awaitable<std::ranges::range_value_t<R>>;

// A future of a tuple with a result for each, in their order; std::monostate for void. Coroutines
// and functions become tasks of the running loop, in their order. The same future may be there
// twice. Values are copied; those that can only be moved are taken out of their futures. Throws
// UsageError if the futures belong to different loops. cancel() of the future is false once all are
// done; otherwise it cancels those that are not, and the future ends as cancelled when they have
// ended, unless one of them fails. If only a child is cancelled, the future's exception is a
// CancelledError, and cancelled() is false.
//
// Blocks: no; awaiting the future does.
// Cancel: not a checkpoint; cancelling whoever awaits the future cancels all that are not done.
// Threads: the loop's own only.
template <Awaitable... A>
auto gather(A&&... awaitables) {
  return detail::gather_each<detail::PlainResult>(false, std::source_location::current(),
                                                  std::forward<A>(awaitables)...);
}
// A future of a tuple of Outcome.
//
// Blocks: no; awaiting the future does.
// Cancel: as above.
// Threads: the loop's own only.
template <Awaitable... A>
auto gather(ReturnExceptions, A&&... awaitables) {
  return detail::gather_each<detail::OutcomeResult>(true, std::source_location::current(),
                                                    std::forward<A>(awaitables)...);
}

// The same of a range: a future of a vector, or of nothing if the results are void. Coroutines and
// functions are moved out of a range that is a temporary.
//
// Blocks: no; awaiting the future does.
// Cancel: as above.
// Threads: the loop's own only.
template <AwaitableRange R>
auto gather(R&& range, std::source_location site = std::source_location::current()) {
  using T = Awaited<std::ranges::range_value_t<R>>;
  return detail::gather_range<detail::GatherPlain<T>>(false, site, std::forward<R>(range));
}
// A future of a vector of Outcome.
//
// Blocks: no; awaiting the future does.
// Cancel: as above.
// Threads: the loop's own only.
template <AwaitableRange R>
auto gather(ReturnExceptions, R&& range,
            std::source_location site = std::source_location::current()) {
  using T = Awaited<std::ranges::range_value_t<R>>;
  return detail::gather_range<detail::GatherVector<detail::OutcomeResult<T>>>(
      true, site, std::forward<R>(range));
}

}  // namespace weft::loop
