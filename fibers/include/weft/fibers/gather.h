// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Several things at once, and what they all come to.
//
//   auto [page, user] = gather([&] { return fetch(url); }, [&] { return load_user(id); });
//
//   std::vector<std::function<Page()>> jobs = ...;
//   std::vector<Page> pages = gather(jobs);
//
// (asyncio: gather, but structured: when it returns, nothing that it started goes on.)

#pragma once

#include <concepts>
#include <cstddef>
#include <functional>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "weft/fibers/detail/misuse.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/unwrapped.h"

namespace weft::fibers {

namespace detail {
template <class F>
ValueOf<F> value_of_call(F& fn) {
  if constexpr (std::is_void_v<std::invoke_result_t<F&>>) {
    std::invoke(fn);
    return {};
  } else {
    return std::invoke(fn);
  }
}
}  // namespace detail

// Calls each of `fns` in a task of its own and returns what they return, in their order, however
// long each takes; std::monostate for one that returns nothing. The first error cancels the others;
// it comes out as it was thrown, and several come out as one ExceptionGroup.
//
// Blocks: yes, always a schedule point.
// Cancel: cancels the calls and waits for them.
// Threads: the run's own only.
template <std::invocable... F>
auto gather(F&&... fns) -> std::tuple<detail::ValueOf<std::remove_reference_t<F>>...> {
  std::tuple<std::optional<detail::ValueOf<std::remove_reference_t<F>>>...> values;
  open_unwrapped_nursery([&](Nursery& nursery) {
    std::apply(
        [&](auto&... value) {
          (nursery.start_soon([&] { value.emplace(detail::value_of_call(fns)); },
                              {.name = "gather"}),
           ...);
        },
        values);
  });
  return std::apply(
      [](auto&... value) {
        return std::tuple<detail::ValueOf<std::remove_reference_t<F>>...>(std::move(*value)...);
      },
      values);
}

// The same for as many as there are; nothing for none.
//
// Blocks: yes, always a schedule point.
// Cancel: cancels the calls and waits for them.
// Threads: the run's own only.
template <std::invocable F>
auto gather(std::vector<F> fns) -> std::vector<detail::ValueOf<F>> {
  std::vector<std::optional<detail::ValueOf<F>>> values(fns.size());
  open_unwrapped_nursery([&](Nursery& nursery) {
    for (std::size_t i = 0; i < fns.size(); ++i) {
      nursery.start_soon([&, i] { values[i].emplace(detail::value_of_call(fns[i])); },
                         {.name = "gather"});
    }
  });
  std::vector<detail::ValueOf<F>> result;
  result.reserve(values.size());
  for (auto& value : values) result.push_back(std::move(*value));
  return result;
}
template <class... F>
requires(!(std::invocable<F> && ...)) auto gather(F&&...) {
  static_assert(detail::kMisused<F...>, WEFT_TAKES_NO_ARGUMENTS);
}

}  // namespace weft::fibers
