// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// From tasks to futures of the loop. Most use it by aio_as_trio.h.

#pragma once

#include <utility>

#include "weft/fibers/lowlevel.h"
#include "weft/loop/future.h"

namespace weft::shim {

// Waits for any future of this run's loops. If the task is cancelled the future is, once; then it
// goes on waiting, and what the future ends with counts: cancelled, it throws Cancelled; a value or
// another error comes out as ever. A future that somebody else cancels throws loop::CancelledError.
// (trio-asyncio: run_aio_future.)
//
// Blocks: yes, always a checkpoint.
// Cancel: the future is cancelled, once, and decides.
// Threads: the run's own only.
// Inline, as await() is.
template <class T>
[[gnu::always_inline]] inline T run_aio_future(loop::Future<T> future) {
  if (!future || future.done()) fibers::checkpoint();
  return loop::await(std::move(future));
}

}  // namespace weft::shim

namespace weft {
using shim::run_aio_future;
}  // namespace weft
