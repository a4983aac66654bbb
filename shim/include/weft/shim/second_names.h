// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// trio-asyncio's second names, and those of what weft has no need of, for code that comes from
// there. In weft::shim only: new code has no use for them.

#pragma once

#include <functional>
#include <source_location>
#include <utility>

#include "weft/loop/event_loop.h"
#include "weft/shim/aio_as_trio.h"
#include "weft/shim/trio_as_aio.h"
#include "weft/shim/trio_generator.h"

namespace weft::shim {

// There is one kind of loop.
using BaseTrioEventLoop = loop::EventLoop;
using TrioEventLoop = loop::EventLoop;

// The same as aio_as_trio.
//
// Blocks: as aio_as_trio.
// Cancel: as aio_as_trio.
// Threads: the run's own only.
template <class A>
decltype(auto) asyncio_as_trio(A&& aio) {
  return aio_as_trio(std::forward<A>(aio));
}

// The same as trio_as_aio, with a type for a generator.
//
// Blocks: no.
// Cancel: not a checkpoint.
// Threads: the run's own only.
template <class... T, class F>
auto trio_as_asyncio(F&& fn, std::source_location site = std::source_location::current()) {
  if constexpr (sizeof...(T) == 0) {
    return trio_as_aio(std::forward<F>(fn), site);
  } else {
    return trio_as_aio<T...>(std::forward<F>(fn));
  }
}

// Calls `fn` with the arguments and returns what it returns. Every task may wait for tasks and for
// futures alike, so there is nothing to allow.
//
// Blocks: as `fn`.
// Cancel: as `fn`.
// Threads: as `fn`.
template <class F, class... A>
decltype(auto) allow_asyncio(F&& fn, A&&... args) {
  return std::invoke(std::forward<F>(fn), std::forward<A>(args)...);
}

}  // namespace weft::shim
