// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The part of EventLoop that makes futures and tasks. (asyncio.BaseEventLoop.)

#pragma once

#include <source_location>
#include <type_traits>
#include <utility>

#include "weft/loop/future.h"
#include "weft/loop/loop_signals.h"
#include "weft/loop/task.h"

namespace weft::loop {

class LoopTasks : public LoopSignals {
 public:
  template <class T>
  Future<T> create_future(std::source_location site = std::source_location::current()) {
    return FutureAccess::wrap(detail::make_future_box<T>(*core_, site));
  }

  // Makes code a task, whose first step is a callback of this loop. The code is a coroutine; or a
  // function that returns one, which is called in the first step and kept until the task has ended,
  // so that a lambda's captures last; or any other function, which then runs on a stack of its own
  // and may wait for futures by await(), and for whatever fibers waits for. From any task of the
  // run, and while the loop is stopped. Throws UsageError when closed. (asyncio: create_task.)
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the loop's own only.
  template <class T>
  Task<T> create_task(Coro<T> coro, const TaskOptions& options = {},
                      std::source_location site = std::source_location::current()) {
    return TaskAccess::launch<T>(
        detail::make_task<detail::CoroTask<T>>(*core_, site, std::move(coro)), options);
  }
  template <class F>
  requires std::invocable < std::decay_t<F>
  & > auto create_task(F&& fn, const TaskOptions& options = {},
                       std::source_location site = std::source_location::current()) {
    using Fn = std::decay_t<F>;
    using Made = detail::TaskOfFunction<Fn>;
    return TaskAccess::launch<typename Made::Value>(
        detail::make_task<typename Made::Type>(*core_, site, std::forward<F>(fn), options),
        options);
  }

  // Called for each task from now on; an empty one restores the default.
  void set_task_factory(TaskFactory factory);
  // Empty if there is none.
  const TaskFactory& get_task_factory() const;

 protected:
  using LoopSignals::LoopSignals;
};

}  // namespace weft::loop
