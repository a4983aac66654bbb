// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Tasks that end together: asyncio's `async with TaskGroup() as tg`.
//
//   co_await task_group([&](TaskGroup& tg) -> Coro<void> {      // in a coroutine
//     tg.create_task(serve(first));
//     tg.create_task(serve(second));
//     co_await prepare();
//   });                                                         // all of them have ended
//   task_group([&](TaskGroup& tg) {                             // on a stack: runs here and now
//     tg.create_task([&] { await(answer); });
//   });
//
// The first error, of a task or of the body, cancels all the others, and comes out when they have
// ended, with what else has gone wrong, as a fibers::ExceptionGroup. In Trio's tasks use
// fibers::open_nursery. C++ has no `async with`, and a destructor cannot wait: so the body is an
// argument. (asyncio.TaskGroup, as of 3.13; cancel(): 3.15.)

#pragma once

#include <concepts>
#include <functional>
#include <memory>
#include <source_location>
#include <type_traits>
#include <utility>

#include "weft/loop/coro.h"
#include "weft/loop/detail/task_group_core.h"
#include "weft/loop/ensure_future.h"
#include "weft/loop/task.h"

namespace weft::loop {

// A resource. Used by one task_group() or run(), once.
class TaskGroup {
 public:
  TaskGroup() : core_(std::make_shared<detail::TaskGroupCore>()) {}
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;
  ~TaskGroup() = default;

  // Makes a coroutine or a function a task of the group, as EventLoop::create_task does. Also from
  // its tasks while the group waits for them. Throws UsageError, and the code never runs, if the
  // group has not been entered, is finished, or is shutting down because of an error or cancel().
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the loop's own only.
  template <Awaitable A>
  requires(!detail::kIsFuture<A>) auto create_task(
      A&& code, const TaskOptions& options = {},
      std::source_location site = std::source_location::current()) {
    if constexpr (requires { code.close(); }) {
      if (!core_->open()) code.close();
    }
    core_->require_open();
    detail::TaskGroupCore::Room room(*core_);
    auto task = core_->loop().create_task(std::forward<A>(code), options, site);
    core_->add(room, task);
    return task;
  }
  // Cancels the tasks and the body, without an error: task_group() returns when they have ended.
  // Before the group has been entered: its body is cancelled where it waits first. May be called
  // again, and afterwards. (3.15.)
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the loop's own only.
  void cancel() { core_->cancel(); }

  // What task_group() does, for a group that somebody else knows, too: the group
  // outlives it. A body that returns a coroutine: awaiting what this returns.
  // Otherwise `body` is called here and now.
  //
  // Blocks: until the body and all tasks have ended.
  // Cancel: cancels the body and the tasks, and waits for their end.
  // Threads: the loop's own only.
  template <class F>
  requires(detail::ReturnsVoidCoro<F, TaskGroup>) Coro<void> run(F body) {
    return detail::run_group(core_, *this, std::move(body));
  }
  template <class F>
  requires(!detail::ReturnsVoidCoro<F, TaskGroup> &&
           std::invocable<F&, TaskGroup&>) void run(F&& body) {
    detail::run_group_here(core_, [&] { std::invoke(body, *this); });
  }

 private:
  std::shared_ptr<detail::TaskGroupCore> core_;
};

namespace detail {
template <class F>
Coro<void> run_new_group(F body) {
  TaskGroup group;
  co_await group.run(std::move(body));
}
}  // namespace detail

// Calls `body` with a group, and returns when the body and all tasks of the group have ended.
// Throws a group of all errors, fibers::KeyboardInterrupt alone if there was one, and
// CancelledError if the calling task was cancelled and nothing has failed. Throws UsageError
// outside the tasks of a loop. In a coroutine: what it returns is to be awaited; `body` is kept.
//
// Blocks: until the body and all tasks have ended.
// Cancel: cancels the body and the tasks, and waits for their end.
// Threads: the loop's own only.
template <class F>
requires(detail::ReturnsVoidCoro<std::decay_t<F>, TaskGroup>) Coro<void> task_group(F&& body) {
  return detail::run_new_group<std::decay_t<F>>(std::forward<F>(body));
}
template <class F>
requires(!detail::ReturnsVoidCoro<std::decay_t<F>, TaskGroup> &&
         std::invocable<F&, TaskGroup&>) void task_group(F&& body) {
  TaskGroup group;
  group.run(std::forward<F>(body));
}

}  // namespace weft::loop
