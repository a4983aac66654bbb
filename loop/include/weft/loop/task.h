// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Asyncio's tasks: code that the loop runs in steps. Make one with EventLoop::create_task.
//
//   Task<int> answer = loop.create_task(ask(question));            // a coroutine
//   Task<int> other = loop.create_task([&] { return await(answer) + 1; });   // a stack of its own
//   answer.cancel();                   // CancelledError, once, where it waits
//
// A task is a future that ends with what its code returns or throws. Each step is a callback of the
// loop, in order with the others, and none runs while the loop is stopped. (asyncio.Task.)

#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <source_location>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "weft/fibers/context_var.h"
#include "weft/loop/coro.h"
#include "weft/loop/detail/task_types.h"
#include "weft/loop/future.h"

namespace weft::loop {

class EventLoop;

// How to make a task. No string: gcc 12 moves temporaries of a co_await expression about without
// calling their constructors.
struct TaskOptions {
  // Copied. Empty: "Task-7", by the loop's own count.
  std::string_view name = {};
  // The variables that it begins with; null: those of whoever makes it.
  const fibers::Context* context = nullptr;
  // Its first step runs inside create_task, if that is called in a callback or a task of the loop.
  // (asyncio: eager_start.)
  bool eager_start = false;
  // Bytes of stack of a function that has one; 0: the run's default.
  std::size_t stack_size = 0;
};

// What every task has besides a future.
template <class Self>
class TaskMethods {
 public:
  std::string get_name() const { return core().name(); }
  void set_name(std::string name) { core().set_name(std::move(name)); }
  // How many cancel() there were that uncancel() has not taken back.
  std::uint32_t cancelling() const { return core().cancelling(); }
  // Takes one back; returns how many are left. The last one also takes back what has not been
  // thrown yet. For what has asked for the cancellation itself, and has seen it end.
  std::uint32_t uncancel() { return core().uncancel(); }
  // A copy of the variables that it runs with, as they are now: of what it has set, too.
  fibers::Context get_context() const { return core().context(); }

 private:
  detail::TaskCore& core() const { return FutureAccess::task(static_cast<const Self&>(*this)); }
};

template <class T>
class Task;

// Any task, whatever its type. Empty where there is none.
class TaskBase : public FutureBase, public TaskMethods<TaskBase> {
 public:
  TaskBase() = default;
  template <class T>
  TaskBase(const Task<T>& task) noexcept  // NOLINT(google-explicit-constructor): it is one.
      : FutureBase(static_cast<const FutureBase&>(task)) {}

 private:
  friend struct TaskAccess;
  explicit TaskBase(detail::FutureCore* core) noexcept : FutureBase(core) {}
};

// set_result() and set_exception() of a task throw UsageError. cancel() has CancelledError thrown
// where the code waits, once; it may catch that and go on, and then the task is not cancelled. One
// that waits for something of fibers has that wait cancelled, as a callback has: see Handle.
template <class T>
class Task : public Future<T>, public TaskMethods<Task<T>> {
 public:
  Task() = default;

 private:
  friend struct TaskAccess;
  explicit Task(Future<T> future) noexcept : Future<T>(std::move(future)) {}
};

// Looks at each task that create_task makes, before its first step, and may change the options:
// name, context and eager_start. What it throws comes out of create_task, and the task is dropped.
// (asyncio: task factories, which make the task themselves; here its type is that of its code.)
using TaskFactory = std::function<void(EventLoop&, const TaskBase&, TaskOptions&)>;

// Makes every task an eager one: loop.set_task_factory(eager_task_factory). (asyncio's.)
//
// Blocks: no.
// Cancel: not a checkpoint.
// Threads: the loop's own only.
void eager_task_factory(EventLoop& loop, const TaskBase& task, TaskOptions& options);
// The same, after `custom`. (asyncio: create_eager_task_factory.)
//
// Blocks: no.
// Cancel: not a checkpoint.
// Threads: any.
TaskFactory create_eager_task_factory(TaskFactory custom);

// For weft's own files.
struct TaskAccess {
  // Takes over one reference.
  static TaskBase wrap(detail::FutureCore* core) noexcept { return TaskBase(core); }
  template <class T>
  static Task<T> wrap_as(detail::FutureBox<T>* box) noexcept {
    return Task<T>(FutureAccess::wrap<T>(box));
  }
  template <class T, class Made>
  static Task<T> launch(Made* made, const TaskOptions& options) {
    Task<T> task = wrap_as<T>(made);
    begin_by_factory(*made, options);
    return task;
  }
  // The same for weft's own tasks, which no factory sees.
  template <class T, class Made>
  static Task<T> launch_own(Made* made, const TaskOptions& options) {
    Task<T> task = wrap_as<T>(made);
    begin(*made, options);
    return task;
  }
  static detail::TaskCore* first_of(const EventLoop& loop);
  static void begin(detail::TaskCore& task, const TaskOptions& options);
  static void begin_by_factory(detail::TaskCore& task, const TaskOptions& options);
};

// The task whose step runs here; empty in a plain callback. (asyncio.current_task.)
TaskBase current_task();

// The tasks of a loop that are not done, the oldest first. (asyncio.all_tasks.)
std::vector<TaskBase> all_tasks(const EventLoop& loop);

}  // namespace weft::loop
