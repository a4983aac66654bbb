// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The event loop: callbacks, timers, descriptors and futures, run by one task at a time.
//
//   fibers::open_nursery([](fibers::Nursery& nursery) {
//     EventLoop loop(nursery);
//     loop.start();                                // main_loop(), in a task of the nursery
//     loop.call_later(1s, [&] { fibers::sleep(1s); loop.stop(); });   // a callback may block
//     loop.wait_stopped();
//   });
//
// The names are asyncio's. Callbacks run one after the other; one that waits, on any operation of
// fibers or on await(future), suspends only itself: another task takes over the loop. README.md
// tells how. (asyncio.BaseEventLoop, with trio-asyncio's additions.)

#pragma once

#include <functional>
#include <source_location>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "weft/fibers/clock.h"
#include "weft/fibers/detail/misuse.h"
#include "weft/fibers/fd_watch.h"
#include "weft/fibers/nursery.h"
#include "weft/loop/errors.h"
#include "weft/loop/exception_context.h"
#include "weft/loop/future.h"
#include "weft/loop/handle.h"
#include "weft/loop/loop_statistics.h"

namespace weft::loop {

// A resource. Made, used and destroyed inside one run, by its thread.
class EventLoop {
 public:
  // The tasks that run callbacks live in `nursery`; it can close once the loop has been closed.
  explicit EventLoop(fibers::Nursery& nursery);
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;
  // Closes it, also while it runs: it stops, and nothing that is scheduled runs any more.
  ~EventLoop();

  // Runs callbacks until stop(), shielded from cancellation. May be called again afterwards. Throws
  // UsageError if it is running or closed. A fibers::KeyboardInterrupt out of a callback ends it
  // and comes out here; what was scheduled stays so.
  //
  // Blocks: yes, until stop().
  // Cancel: never; stop() it.
  // Threads: the run's own only.
  void main_loop();
  // Calls main_loop() in a task of the nursery; returns once the loop runs. The EventLoop may be
  // destroyed before that task ends. (trio-asyncio: nursery.start(loop.main_loop).)
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: before the loop runs; then not any more.
  // Threads: the run's own only.
  void start(std::source_location site = std::source_location::current());
  // Runs what is scheduled, and what that schedules, until nothing is ready any more: no timers, no
  // descriptors. For after main_loop(). Does not wait for callbacks that block.
  //
  // Blocks: yes, until nothing is ready.
  // Cancel: never.
  // Threads: the run's own only.
  void drain();
  // Ends main_loop() after the iteration that is going on, or after one if it is called before.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the loop's own only; elsewhere call_soon_threadsafe([&] { loop.stop(); }).
  void stop();
  bool is_running() const;
  bool is_closed() const;
  // Drops everything scheduled, cancels blocked callbacks and sends the tasks home. Idempotent.
  // Throws UsageError while running.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the run's own only.
  void close();
  // Waits until everything scheduled before has been run, or has blocked. False if the loop stopped
  // before that, or had stopped. (trio-asyncio: synchronize.)
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: at once.
  // Threads: the run's own only.
  bool synchronize();
  // Waits until the loop has run and has stopped.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: at once.
  // Threads: the run's own only.
  void wait_stopped();

  // Schedules `fn` for the next iteration. First in, first out; takes any callable without
  // arguments, also a move-only one, and ignores what it returns. Throws UsageError when closed.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the loop's own only; elsewhere call_soon_threadsafe.
  template <class F>
  Handle call_soon(F&& fn, std::source_location site = std::source_location::current()) {
    return HandleAccess::wrap(
        detail::schedule_soon(detail::make_node(*core_, std::forward<F>(fn), site)));
  }
  template <class F, class... Given>
  requires fibers::detail::kGivesArgument<std::source_location, Given...>
  auto call_soon(F&&, Given&&...) {
    static_assert(fibers::detail::kMisused<F>, WEFT_TAKES_NO_ARGUMENTS);
  }
  // Schedules `fn` for when the loop's time is `when`; never earlier. Equal times in the order of
  // the calls. Past times are fine, and go through the same order. kForever never comes.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the loop's own only.
  template <class F>
  TimerHandle call_at(fibers::Instant when, F&& fn,
                      std::source_location site = std::source_location::current()) {
    return HandleAccess::wrap<TimerHandle>(
        detail::schedule_at(detail::make_node(*core_, std::forward<F>(fn), site), when));
  }
  template <class F, class... Given>
  requires fibers::detail::kGivesArgument<std::source_location, Given...>
  auto call_at(fibers::Instant, F&&, Given&&...) {
    static_assert(fibers::detail::kMisused<F>, WEFT_TAKES_NO_ARGUMENTS);
  }
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the loop's own only.
  template <class F>
  TimerHandle call_later(fibers::Duration delay, F&& fn,
                         std::source_location site = std::source_location::current()) {
    return call_at(fibers::later(time(), delay), std::forward<F>(fn), site);
  }
  template <class F, class... Given>
  requires fibers::detail::kGivesArgument<std::source_location, Given...>
  auto call_later(fibers::Duration, F&&, Given&&...) {
    static_assert(fibers::detail::kMisused<F>, WEFT_TAKES_NO_ARGUMENTS);
  }
  // call_soon for other threads; wakes the loop. Keeps the order with the calls of its own thread
  // and with call_soon. Throws UsageError when closed.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: any, but no signal handlers: it allocates.
  ThreadsafeHandle call_soon_threadsafe(
      absl::AnyInvocable<void()> fn, std::source_location site = std::source_location::current());
  // The time of the run's clock.
  fibers::Instant time() const { return fibers::current_time(); }

  // Calls `fn` each iteration in which `fd` is ready (level-triggered), until removed; at once, and
  // instead of the one before, whose handle is then cancelled(). One that blocks is not entered
  // again before it returns. Remove it before you close `fd`: a copy (a dup, a child's) keeps the
  // calls coming. Add it anew if the number came back. Errors as FdWatch::arm.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the loop's own only.
  template <class F>
  Handle add_reader(int fd, F&& fn, std::source_location site = std::source_location::current()) {
    return watch(fd, fibers::FdDirection::kRead, std::forward<F>(fn), site);
  }
  template <class F, class... Given>
  requires fibers::detail::kGivesArgument<std::source_location, Given...>
  auto add_reader(int, F&&, Given&&...) {
    static_assert(fibers::detail::kMisused<F>, WEFT_TAKES_NO_ARGUMENTS);
  }
  template <class F>
  Handle add_writer(int fd, F&& fn, std::source_location site = std::source_location::current()) {
    return watch(fd, fibers::FdDirection::kWrite, std::forward<F>(fn), site);
  }
  template <class F, class... Given>
  requires fibers::detail::kGivesArgument<std::source_location, Given...>
  auto add_writer(int, F&&, Given&&...) {
    static_assert(fibers::detail::kMisused<F>, WEFT_TAKES_NO_ARGUMENTS);
  }
  // False if there was none. After it nothing is delivered, not even what is scheduled already.
  bool remove_reader(int fd);
  bool remove_writer(int fd);

  // Calls `fn` in every iteration before the loop waits, for libraries that want to be asked then.
  // It may schedule, and may return the fibers::Instant at which the loop is to ask again at the
  // latest. It must not wait: UsageError. Work that such a library gets from outside the loop's
  // callbacks needs a call_soon, so that the loop asks again. (asyncio has no such hook.)
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the loop's own only.
  template <class F>
  PrepareHandle add_prepare(F&& fn, std::source_location site = std::source_location::current()) {
    return add_prepare_node(
        detail::make_node<detail::CallPrepare>(*core_, std::forward<F>(fn), site));
  }

  template <class T>
  Future<T> create_future(std::source_location site = std::source_location::current()) {
    return FutureAccess::wrap(detail::make_future_box<T>(*core_, site));
  }

  // Cancels every callback that is blocked now, as Handle::cancel does.
  void cancel_blocked();
  // Waits until no callback is blocked.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: at once.
  // Threads: the run's own only.
  void wait_blocked();

  // Called instead of the default for errors that have nobody to go to: out of callbacks, or out of
  // futures nobody asked. An empty one restores the default. What a handler throws goes there, too.
  void set_exception_handler(ExceptionHandler handler);
  const ExceptionHandler& get_exception_handler() const;
  void call_exception_handler(const ExceptionContext& context);
  // Logs the context as an error, then tells the loop's owner, which must not throw: open_loop,
  // say, lets the error end its block.
  void default_exception_handler(const ExceptionContext& context);
  void set_default_exception_handler(ExceptionHandler owner);
  // For the loop's owner, say open_loop, which then runs its loop again: called when a fiber is
  // about to wait, without a deadline, for a future of a loop that is stopped.
  void set_needed_handler(std::function<void()> owner);

  // In debug mode a callback that occupies the loop for longer than slow_callback_duration is
  // logged, with its place. Off at first; 100 ms.
  void set_debug(bool enabled);
  bool get_debug() const;
  fibers::Duration slow_callback_duration() const;
  void set_slow_callback_duration(fibers::Duration duration);
  LoopStatistics statistics() const;

 private:
  template <class F>
  Handle watch(int fd, fibers::FdDirection direction, F&& fn, std::source_location site) {
    return watch_node(fd, direction, detail::make_node(*core_, std::forward<F>(fn), site));
  }
  Handle watch_node(int fd, fibers::FdDirection direction, detail::HandleNode* node);
  PrepareHandle add_prepare_node(detail::HandleNode* node);

  detail::LoopCore* core_;  // Shared with the handles and futures that outlive this.
};

// The loop whose callback the calling task is running, also while it is blocked and after; null in
// any other task. (asyncio: _get_running_loop.)
EventLoop* running_loop();
// The same; throws UsageError where there is none. (asyncio: get_running_loop.)
EventLoop& get_running_loop();

}  // namespace weft::loop
