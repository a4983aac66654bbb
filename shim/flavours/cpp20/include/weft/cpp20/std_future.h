// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// std::future, both ways.
//
//   std::future<int> answer = pool.submit(compute);       // a library's
//   int value = weft::std_future_as_trio(answer);         // the task waits, the thread does not
//
//   std::future<int> other = weft::trio_as_std_future(nursery, [] { return ask_the_server(); });
//   std::thread([other = std::move(other)]() mutable { use(other.get()); });
//
// A std::future has no continuation: somebody has to block in wait(). So each one that is waited
// for holds a thread of to_thread's for so long, and a token of its limiter, unless it is ready or
// deferred. What offers a callback, or is awaitable, needs none: see portal.h, awaitable_as_trio.h.

#pragma once

#include <chrono>
#include <concepts>
#include <exception>
#include <functional>
#include <future>
#include <source_location>
#include <type_traits>
#include <utility>

#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/to_thread.h"

namespace weft::cpp20 {

namespace detail {

void require_future(bool valid);
void require_not_abandoned(const fibers::to_thread::ThreadOptions& options);

// get() returns without waiting for another thread. A deferred function is called by get().
template <class Future>
bool needs_no_thread(const Future& future) {
  return future.wait_for(std::chrono::seconds(0)) != std::future_status::timeout;
}

// In a handler, in a task: what the future is to throw, and what the task is to throw on; the
// second is null if the error is not a cancellation.
struct PartedError {
  std::exception_ptr for_future;
  std::exception_ptr for_task;
};
PartedError part_error();

}  // namespace detail

// Waits for the future, and returns its value or throws its error; it is not valid afterwards. What
// std::launch::deferred has put off is called here, in the task, and may wait as any function of a
// task may. If the task is cancelled the future stays as it is, for a later wait; but that is when
// the thread's wait() has returned: no standard function ends that. Throws UsageError if the future
// is not valid, and for ThreadOptions::abandon_on_cancel, which takes a future that has been moved
// in.
//
// Blocks: yes, always a checkpoint.
// Cancel: before a thread waits for it. Afterwards it waits on; a value that comes is returned.
// Threads: the run's own only.
template <class T>
T std_future_as_trio(std::future<T>& future, const fibers::to_thread::ThreadOptions& options = {}) {
  fibers::checkpoint_if_cancelled();
  detail::require_future(future.valid());
  detail::require_not_abandoned(options);
  if (detail::needs_no_thread(future)) {
    fibers::cancel_shielded_checkpoint();
  } else {
    fibers::to_thread::run_sync([&future] { future.wait(); }, options);
  }
  return future.get();
}
// The same. With abandon_on_cancel a cancelled task leaves at once: the thread waits on, and the
// value is dropped.
//
// Blocks: yes, always a checkpoint.
// Cancel: as ThreadOptions::abandon_on_cancel says.
// Threads: the run's own only.
template <class T>
T std_future_as_trio(std::future<T>&& future,
                     const fibers::to_thread::ThreadOptions& options = {}) {
  fibers::checkpoint_if_cancelled();
  detail::require_future(future.valid());
  std::future<T> own = std::move(future);
  if (!options.abandon_on_cancel || detail::needs_no_thread(own)) {
    fibers::to_thread::ThreadOptions waiting = options;
    waiting.abandon_on_cancel = false;
    return std_future_as_trio(own, waiting);
  }
  return fibers::to_thread::run_sync(
             [own = std::move(own)]() mutable {
               own.wait();
               return std::move(own);
             },
             options)
      .get();
}
// The same of one that several wait for; copies the value.
//
// Blocks: yes, always a checkpoint.
// Cancel: as ThreadOptions::abandon_on_cancel says.
// Threads: the run's own only.
template <class T>
T std_future_as_trio(const std::shared_future<T>& future,
                     const fibers::to_thread::ThreadOptions& options = {}) {
  fibers::checkpoint_if_cancelled();
  detail::require_future(future.valid());
  if (detail::needs_no_thread(future)) {
    fibers::cancel_shielded_checkpoint();
  } else {
    fibers::to_thread::run_sync([future] { future.wait(); }, options);
  }
  return static_cast<T>(future.get());
}

// Starts `fn` as a task of the nursery, and returns a future of its result for another thread to
// wait for; on the run's own thread get() would wait for ever. What `fn` throws goes to the future
// and to nobody else; if it is cancelled, the future gets loop::CancelledError. (Of another thread:
// see from_thread and BlockingPortal.)
//
// Blocks: no.
// Cancel: not a checkpoint; the nursery's scope cancels `fn`.
// Threads: the run's own only.
template <class F>
requires std::invocable < std::decay_t<F>
& > auto trio_as_std_future(fibers::Nursery& nursery, F&& fn,
                            std::source_location site = std::source_location::current())
        -> std::future<std::invoke_result_t<std::decay_t<F>&>> {
  using R = std::invoke_result_t<std::decay_t<F>&>;
  std::promise<R> promise;
  std::future<R> future = promise.get_future();
  nursery.start_soon(
      [promise = std::move(promise), fn = std::decay_t<F>(std::forward<F>(fn))]() mutable {
        try {
          if constexpr (std::is_void_v<R>) {
            std::invoke(fn);
            promise.set_value();
          } else {
            promise.set_value(std::invoke(fn));
          }
        } catch (...) {
          detail::PartedError parts = detail::part_error();
          promise.set_exception(std::move(parts.for_future));
          if (parts.for_task != nullptr) std::rethrow_exception(std::move(parts.for_task));
        }
      },
      {}, site);
  return future;
}

}  // namespace weft::cpp20

namespace weft {
using cpp20::std_future_as_trio;
using cpp20::trio_as_std_future;
}  // namespace weft
