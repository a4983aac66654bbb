// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A thread's future as one of a loop.
//
//   ConcurrentFuture<Image> decoding = pool.submit([&] { return decode(bytes); });
//   Image image = co_await wrap_future(decoding);
//
// (asyncio.wrap_future.)

#pragma once

#include <source_location>
#include <utility>

#include "weft/loop/concurrent_future.h"
#include "weft/loop/detail/batch_host.h"
#include "weft/loop/detail/wrapped_core.h"
#include "weft/loop/event_loop.h"

namespace weft::loop {

// A future of `loop` that ends as `source` does, in a callback of the loop: with its result, which
// is moved if it cannot be copied, its exception, or cancelled. Cancelling the future cancels the
// source, if that does not run yet. If the loop is closed before the source is done, the future
// stays as it is.
//
// Blocks: no.
// Cancel: not a checkpoint.
// Threads: the loop's own only.
template <class T>
Future<T> wrap_future(ConcurrentFuture<T> source, EventLoop& loop,
                      std::source_location site = std::source_location::current()) {
  detail::ConcurrentBox<T>& box = ConcurrentFutureAccess::box(source);
  box.retain();
  return detail::wrap_source<T>(LoopAccess::core(loop), &box, false, site);
}
// In the running loop.
//
// Blocks: no.
// Cancel: not a checkpoint.
// Threads: the loop's own only.
template <class T>
Future<T> wrap_future(ConcurrentFuture<T> source,
                      std::source_location site = std::source_location::current()) {
  return wrap_future(std::move(source), get_running_loop(), site);
}

}  // namespace weft::loop
