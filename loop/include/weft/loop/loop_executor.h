// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The part of EventLoop that has functions called in other threads. (asyncio.BaseEventLoop.)
//
//   const std::string text = co_await loop.run_in_executor(nullptr,
//                                                          [path] { return slurp(path); });
//
// to_thread.h has the same with the caller's context variables.

#pragma once

#include <functional>
#include <memory>
#include <source_location>
#include <type_traits>
#include <utility>

#include "weft/fibers/clock.h"
#include "weft/loop/coro.h"
#include "weft/loop/detail/wrapped_core.h"
#include "weft/loop/executor.h"
#include "weft/loop/loop_generators.h"

namespace weft::loop {

namespace detail {
template <class T>
inline constexpr bool kIsCoro = false;
template <class T>
inline constexpr bool kIsCoro<Coro<T>> = true;
}  // namespace detail

class LoopExecutor : public LoopGenerators {
 public:
  // Has `fn` called in a thread of `executor`; null: of the default one, which is a
  // ThreadPoolExecutor unless set_default_executor() has been called. `fn` may be move-only. What
  // it throws is thrown by the future. Cancelling the future drops `fn`, if that has not begun;
  // else it only marks the future, and what `fn` comes to is lost. While a function runs, clocks
  // that jump wait for it. Throws UsageError if the loop is closed or the executor shut down.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the loop's own only.
  template <class F>
  Future<detail::JobResult<F>> run_in_executor(
      Executor* executor, F&& fn, std::source_location site = std::source_location::current()) {
    using T = detail::JobResult<F>;
    static_assert(!detail::kIsCoro<T>,
                  "coroutines cannot be used with run_in_executor(); await them, or create_task");
    Executor& chosen = choose_executor(executor);
    ConcurrentFuture<T> job = ConcurrentFutureAccess::wrap(detail::make_job(std::forward<F>(fn)));
    detail::ConcurrentBox<T>& box = ConcurrentFutureAccess::box(job);
    box.retain();
    Future<T> future = detail::wrap_source<T>(*core_, &box, true, site);
    chosen.submit_job(box);
    return future;
  }
  // What run_in_executor(nullptr, ...) uses from now on. The loop keeps it until it is closed or
  // the executor is replaced. Throws UsageError for a null one.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the loop's own only.
  void set_default_executor(std::shared_ptr<Executor> executor);
  // Shuts the default executor down, and waits in a thread until its jobs have ended. Afterwards
  // run_in_executor(nullptr, ...) throws UsageError. If it takes longer than `timeout` a warning is
  // logged, and nobody waits any longer.
  //
  // Blocks: whoever awaits it, until the jobs have ended, or for `timeout`.
  // Cancel: at once; the executor stays shut down.
  // Threads: the loop's own only.
  Coro<void> shutdown_default_executor(fibers::Duration timeout = fibers::Duration::max());

 protected:
  using LoopGenerators::LoopGenerators;

 private:
  Executor& choose_executor(Executor* given);
};

}  // namespace weft::loop
