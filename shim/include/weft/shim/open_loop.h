// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Opening an event loop inside a run of fibers, and finding it again.
//
//   int main() {
//     return weft::main([](weft::EventLoop& loop) {  // main.h
//       loop.call_later(1s, [] { puts("a callback"); });
//       auto page = weft::curl::get("https://example.org/");
//       return page.status == 200 ? 0 : 1;
//     });
//   }

#pragma once

#include <functional>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>

#include "weft/fibers/errors.h"
#include "weft/fibers/run.h"
#include "weft/loop/event_loop.h"

namespace weft::shim {

namespace detail {
// `strict`: what leaves the block keeps the groups of both nurseries, also around a lone error.
void open_loop_erased(const std::function<void(loop::EventLoop&)>& body, bool strict);

template <class F>
decltype(auto) call_body(F& body, loop::EventLoop& loop) {
  if constexpr (std::is_invocable_v<F&, loop::EventLoop&>) {
    return std::invoke(body, loop);
  } else {
    return std::invoke(body);
  }
}

template <class F>
auto open_loop(F& body, bool strict) {
  using R = std::decay_t<decltype(call_body(body, std::declval<loop::EventLoop&>()))>;
  if constexpr (std::is_void_v<R>) {
    open_loop_erased([&](loop::EventLoop& loop) { call_body(body, loop); }, strict);
  } else {
    std::optional<R> result;
    open_loop_erased([&](loop::EventLoop& loop) { result.emplace(call_body(body, loop)); }, strict);
    if (!result) {
      throw fibers::UsageError(
          "the body of open_loop was cut short and has no value to return; let it return void and "
          "store the value outside");
    }
    return std::move(*result);
  }
}
}  // namespace detail

// Runs `body(loop)`, or `body()`, with an event loop beside it, and returns what it returns, after
// the loop has been shut down in order:
//   - everything handed to call_soon before the end of the body has begun;
//   - servers close; callbacks that block, tasks of the loop and tasks started by trio_as_aio are
//   cancelled, together, and waited for; then whatever they have started meanwhile;
//   - asynchronous generators of the loop are closed, then its resources (loop_resource.h), then
//   the transports that are left, which are aborted;
//   - what has been handed to call_soon has run;
//   - timers and descriptors that are left are dropped.
// Cancelling from outside reaches the body only; the rest follows when the body has ended.
// loop.stop() stops the loop for a while: it runs again for the shut-down, and as soon as a task
// waits for it without a deadline.
//
// What goes wrong, in the body, in a callback (unless an exception handler is set) or in a task,
// comes out in two nested exception groups, one for each of the two nurseries. A body with a result
// that is cut short has none to return: if the cancellation stops here that is a UsageError; let
// such a body return void. (trio-asyncio: open_loop.)
//
// Blocks: yes, always a schedule point.
// Cancel: cancels the body, then shuts down, shielded.
// Threads: the run's own only.
template <class F>
auto open_loop(F&& body) {
  return detail::open_loop(body, true);
}

// How errors come out of weft::run.
struct GroupOptions {
  // In the two groups that open_loop puts around them, always. Otherwise only where there are
  // several: a lone error comes out as it was thrown. Groups that the body itself has made, by a
  // nursery of its own for instance, stay as they are. (Trio: run's strict_exception_groups.)
  bool strict_exception_groups = false;
};

// fibers::run and open_loop in one. An error comes out as out of fibers::run: see GroupOptions.
//
// Blocks: the thread, until the run is over.
// Cancel: does not apply.
// Threads: any.
template <class F>
auto run(F&& body, const fibers::RunOptions& options = {}, const GroupOptions& groups = {}) {
  return fibers::run([&] { return detail::open_loop(body, groups.strict_exception_groups); },
                     options);
}

// The loop that the calling code belongs to: in a callback, the one that runs it, or an open_loop
// that the callback itself is in; else the innermost open_loop around the task, or around the task
// that started it. Null if there is none,
// or it has been closed.
//
// Blocks: no.
// Cancel: not a checkpoint.
// Threads: any.
loop::EventLoop* current_loop();
// The same; throws UsageError where there is none.
loop::EventLoop& require_loop();

// How the calling code is cancelled: "trio" in a task, "asyncio" in a callback of a loop, also
// while it blocks; a flavour of shim/flavours may add its own name. Throws UsageError elsewhere.
// (sniffio: current_async_library.)
//
// Blocks: no.
// Cancel: not a checkpoint.
// Threads: any.
std::string_view current_async_library();

}  // namespace weft::shim

namespace weft {
using loop::await;
using loop::EventLoop;
using loop::Future;
using shim::current_async_library;
using shim::current_loop;
using shim::open_loop;
using shim::run;
}  // namespace weft
