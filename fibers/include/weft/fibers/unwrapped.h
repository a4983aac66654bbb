// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// For a nursery that is an implementation detail: a caller who wants `catch (const NotFound&)` need
// not know that there was a nursery inside.
//
//   Reply ask_both() {
//     return open_unwrapped_nursery([&](Nursery& nursery) { ... });  // throws NotFound itself
//   }
//
// Beyond Trio, where users ask for it: a group around every single error is painful at the borders
// of a library. Nothing is lost: several errors stay a group.

#pragma once

#include <exception>
#include <functional>
#include <source_location>
#include <type_traits>
#include <utility>

#include "weft/fibers/exception_group.h"
#include "weft/fibers/lone_error.h"
#include "weft/fibers/nursery.h"

namespace weft::fibers {

// Runs `body`; throws lone_error of what it throws.
//
// Blocks: only if the body does.
// Cancel: passes; a group of nothing but Cancelled comes out as one Cancelled.
// Threads: any.
template <class F>
auto unwrap_lone_error(F&& body) -> std::invoke_result_t<F> {
  try {
    return std::invoke(std::forward<F>(body));
  } catch (const BaseExceptionGroup&) {
    const std::exception_ptr current = std::current_exception();
    std::exception_ptr lone = lone_error(current);
    if (lone == current) throw;
    std::rethrow_exception(std::move(lone));
  }
}

// open_nursery, of which a lone error comes out as it was thrown.
//
// Blocks: yes, always a schedule point.
// Cancel: as open_nursery.
// Threads: the run's own only.
template <class F>
auto open_unwrapped_nursery(F&& body, std::source_location site = std::source_location::current())
    -> std::invoke_result_t<F, Nursery&> {
  return unwrap_lone_error([&] { return open_nursery(std::forward<F>(body), site); });
}

}  // namespace weft::fibers
