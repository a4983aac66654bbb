// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Code for a loop, handed in by another thread.
//
//   // In any thread but the loop's:
//   ConcurrentFuture<int> answer = run_coroutine_threadsafe(ask(question), loop);
//   use(answer.result(1s));
//
// (asyncio.run_coroutine_threadsafe.)

#pragma once

#include <exception>
#include <memory>
#include <source_location>
#include <type_traits>
#include <utility>

#include "weft/loop/concurrent_future.h"
#include "weft/loop/ensure_future.h"
#include "weft/loop/event_loop.h"
#include "weft/loop/task.h"

namespace weft::loop {

namespace detail {

// Ends a ConcurrentFuture as a task ends; as cancelled if it goes before that.
class EndOfTask {
 public:
  explicit EndOfTask(ConcurrentFutureCore& future) noexcept : future_(&future) { future.retain(); }
  EndOfTask(EndOfTask&& other) noexcept : future_(std::exchange(other.future_, nullptr)) {}
  EndOfTask& operator=(EndOfTask&&) = delete;
  ~EndOfTask();

  ConcurrentFutureCore& future() const { return *future_; }
  // Somebody else sees to the rest.
  void leave() noexcept;
  // Passes on how the task has ended. False if it has a value, for which the future is ready.
  bool pass_on(FutureCore& task) const;

 private:
  ConcurrentFutureCore* future_;
};

// From now on cancelling the future cancels the task.
void cancel_task_with(ConcurrentFutureCore& future, const FutureBase& task);
// In a callback that could not make the task.
void end_with_present_error(ConcurrentFutureCore& future);

template <class T>
struct PassOn {
  void operator()(const Future<T>& task) {
    auto& box = static_cast<ConcurrentBox<T>&>(end.future());
    if (end.pass_on(FutureAccess::core(task))) return;
    try {
      if constexpr (std::is_void_v<T>) {
        box.set_value();
      } else {
        box.set_value(take_outcome(task));
      }
    } catch (...) {
      end_with_present_error(box);
    }
  }
  EndOfTask end;
};

// What the loop is asked to call.
template <class T, class Code>
struct StartThreadsafe {
  void operator()() {
    ConcurrentFutureCore& future = end.future();
    Task<T> task;
    try {
      task = loop->create_task(std::move(code), {}, site);
      if (future.cancelled()) task.cancel();
      cancel_task_with(future, task);
      task.add_done_callback(PassOn<T>{EndOfTask(future)}, site);
    } catch (...) {
      if (task) task.cancel();
      end_with_present_error(future);
      throw;
    }
    end.leave();
  }
  Code code;
  EndOfTask end;
  EventLoop* loop;
  std::source_location site;
};

}  // namespace detail

// Makes the coroutine, or the function, a task of `loop`; returns a future of what it comes to.
// Cancelling the future cancels the task. If the loop is closed first, the future is cancelled.
// Throws UsageError if it is closed already. The loop outlives the call.
//
// Blocks: no.
// Cancel: not a checkpoint.
// Threads: any.
template <Awaitable A>
requires(!detail::kIsFuture<A>) ConcurrentFuture<Awaited<A>> run_coroutine_threadsafe(
    A&& code, EventLoop& loop, std::source_location site = std::source_location::current()) {
  using T = Awaited<A>;
  ConcurrentFuture<T> future = ConcurrentFuture<T>::create();
  detail::EndOfTask end(ConcurrentFutureAccess::box(future));
  loop.call_soon_threadsafe(
      detail::StartThreadsafe<T, std::decay_t<A>>{std::forward<A>(code), std::move(end), &loop,
                                                  site},
      site);
  return future;
}

}  // namespace weft::loop
