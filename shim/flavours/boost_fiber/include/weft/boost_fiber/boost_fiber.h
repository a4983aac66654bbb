// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Boost.Fiber's fibers and weft's tasks on one thread, each waiting for the other.
//
//   boost::fibers::use_scheduling_algorithm<weft::boost_fiber::Shared<>>();
//   weft::fibers::run([] {
//     weft::boost_fiber::share_thread([] {
//       boost::fibers::buffered_channel<int> channel(16);
//       // Boost code as it is, beside the tasks; it may wait for one:
//       boost::fibers::fiber producer([&] {
//         channel.push(weft::trio_as_boost_fiber([] { return ask_the_network(); }));
//       });
//       // A task waits for Boost code, which a deadline lets go:
//       int got = weft::boost_fiber_as_trio([&] { return channel.value_pop(); },
//                                           [&] { channel.close();
//                                                 return weft::CancelResult::kWillComplete; });
//       weft::boost_fiber_as_trio([&] { producer.join(); });
//     });
//   });
//
// What a task does is weft's, what a fiber does is Boost's. A wait of weft's on a Boost fiber is a
// UsageError: it is not in a task. A wait of Boost's in a task (a contended lock, a get(), a
// join()) is not refused, because Boost.Fiber cannot throw there; but it holds up all tasks of the
// run until it is over, as a call that blocks the thread does, while the other Boost fibers go on.
// A warning says so once. What does not wait may be called from either side: a promise's set_value,
// an Event's set, send_nowait, CancelScope::cancel.

#pragma once

#include <boost/fiber/exceptions.hpp>
#include <boost/fiber/fiber.hpp>
#include <exception>
#include <functional>
#include <optional>
#include <system_error>
#include <type_traits>
#include <utility>

#include "weft/boost_fiber/algorithm.h"
#include "weft/fibers/outcome.h"
#include "weft/shim/portal.h"

namespace weft::boost_fiber {

namespace detail {

void share_thread(const std::function<void()>& body);

// A boost_fiber_as_trio() under way: the pump has to go on. Throws UsageError unless the thread is
// shared.
class Call {
 public:
  Call();
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
  ~Call();

 private:
  Pump& pump_;
};

// What a fiber of boost_fiber_as_trio() runs.
template <class R, class Fn>
struct FiberBody {
  Fn fn;
  shim::Completion<R> done;
  bool ends_early;  // There is a cancel function that makes `fn` fail.

  void operator()() {
    try {
      if constexpr (std::is_void_v<R>) {
        std::invoke(fn);
        done();
      } else {
        done(std::invoke(fn));
      }
    } catch (const boost::fibers::fiber_error& error) {
      // What a task's cancellation has become on a fiber, back again.
      const bool cancelled = error.code() == std::errc::operation_canceled ||
                             (ends_early && error.code() == std::errc::operation_not_permitted);
      cancelled ? done.cancelled(std::current_exception()) : done.fail(std::current_exception());
    } catch (...) {
      done.fail(std::current_exception());
    }
  }
};

template <class F, class Cancel>
auto call_on_fiber(F&& fn, Cancel&& cancel, bool ends_early) {
  using Fn = std::decay_t<F>;
  using R = std::decay_t<std::invoke_result_t<Fn&>>;
  const Call call;
  return shim::wait_for_callback<R>(
      [&](shim::Completion<R> done) {
        boost::fibers::fiber(FiberBody<R, Fn>{std::forward<F>(fn), std::move(done), ends_early})
            .detach();
      },
      std::forward<Cancel>(cancel));
}

// Runs `body` in a task while the calling fiber waits. Throws what keeps it from running.
void run_in_task(const std::function<void()>& body);
// In a handler, in that task: what the fiber is to throw, and what the task is to throw on; the
// second is null if the error is not a cancellation.
struct PartedError {
  std::exception_ptr for_fiber;
  std::exception_ptr for_task;
};
PartedError part_error();

}  // namespace detail

// Runs `body`, and returns what it returns, while the tasks of this run and the Boost fibers of
// this thread share the thread. Neither polls: when both are idle, the thread waits once, in the
// run's epoll, and a fiber that another thread makes ready wakes it. When the body ends, tasks of
// trio_as_boost_fiber() are cancelled, and calls of boost_fiber_as_trio() waited for. Fibers that
// are left go on when the thread next waits in Boost.Fiber.
//
// Boost's sleeps and timed waits take real time, also where the run's clock is another.
// Throws UsageError if Shared is not the thread's algorithm, or if the thread is shared already.
//
// Blocks: yes, always a schedule point.
// Cancel: passes to the body.
// Threads: the run's own only.
template <class F>
auto share_thread(F&& body) -> std::decay_t<std::invoke_result_t<F&>> {
  using R = std::decay_t<std::invoke_result_t<F&>>;
  if constexpr (std::is_void_v<R>) {
    detail::share_thread([&] { std::invoke(body); });
  } else {
    std::optional<R> result;
    detail::share_thread([&] { result.emplace(std::invoke(body)); });
    return std::move(*result);
  }
}

// Calls `fn` on a new Boost fiber, waits for it, and returns what it returns or throws what it
// throws. A Boost fiber cannot be interrupted. If the task is cancelled meanwhile, `cancel()` is
// called as by wait_for_callback: it closes the channel, say, that `fn` waits for, and says what
// comes of it. A fiber_error with operation_canceled then becomes Cancelled, and so does one with
// operation_not_permitted, which a closed channel throws.
//
// Blocks: yes, always a checkpoint.
// Cancel: before `fn`: it is not called. Afterwards as `cancel` says; a value that comes counts.
// Threads: the run's own only, inside share_thread().
template <class F, class Cancel>
requires std::is_invocable_r_v<shim::CancelResult, Cancel&>
auto boost_fiber_as_trio(F&& fn, Cancel&& cancel)
    -> std::decay_t<std::invoke_result_t<std::decay_t<F>&>> {
  return detail::call_on_fiber(std::forward<F>(fn), std::forward<Cancel>(cancel), true);
}

struct AsTrioOptions {
  // What becomes of a cancelled task. False: it waits on until `fn` has ended, and returns its
  // value. True: it leaves at once, and `fn` goes on, its result dropped; so it must not refer to
  // what lies on the task's stack. (Trio: to_thread_run_sync's option of that name.)
  bool abandon_on_cancel = false;
};

// The same where nothing can be done to end `fn` earlier.
//
// Blocks: yes, always a checkpoint.
// Cancel: before `fn`: it is not called. Afterwards see AsTrioOptions.
// Threads: the run's own only, inside share_thread().
template <class F>
auto boost_fiber_as_trio(F&& fn, const AsTrioOptions& options = {})
    -> std::decay_t<std::invoke_result_t<std::decay_t<F>&>> {
  const auto cancel = [&options] {
    return options.abandon_on_cancel ? shim::CancelResult::kAbandoned
                                     : shim::CancelResult::kWillComplete;
  };
  return detail::call_on_fiber(std::forward<F>(fn), cancel, false);
}

// On a Boost fiber: calls `fn` in a new task of share_thread()'s, with the context variables of who
// called that, waits for it, and returns what it returns or throws what it throws. If the task is
// cancelled, the fiber gets a boost::fibers::fiber_error with std::errc::operation_canceled, as it
// does when the block has ended. Throws UsageError elsewhere than on a Boost fiber inside
// share_thread().
//
// Blocks: the Boost fiber.
// Cancel: does not apply: it is not in a task.
// Threads: the run's own only.
template <class F>
auto trio_as_boost_fiber(F&& fn) -> std::decay_t<std::invoke_result_t<F&>> {
  using R = std::decay_t<std::invoke_result_t<F&>>;
  std::optional<fibers::Outcome<R>> outcome;
  detail::run_in_task([&] {
    try {
      if constexpr (std::is_void_v<R>) {
        std::invoke(fn);
        outcome.emplace(fibers::Outcome<R>::value());
      } else {
        outcome.emplace(fibers::Outcome<R>::value(std::invoke(fn)));
      }
    } catch (...) {
      detail::PartedError parts = detail::part_error();
      outcome.emplace(fibers::Outcome<R>::error(std::move(parts.for_fiber)));
      if (parts.for_task != nullptr) std::rethrow_exception(std::move(parts.for_task));
    }
  });
  return outcome->unwrap();
}

}  // namespace weft::boost_fiber

namespace weft {
using boost_fiber::boost_fiber_as_trio;
using boost_fiber::trio_as_boost_fiber;
}  // namespace weft
