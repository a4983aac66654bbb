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
// Callbacks run one after the other; one that waits, on any operation of fibers or on
// await(future), suspends only itself. (asyncio.BaseEventLoop, with trio-asyncio's additions.)

#pragma once

#include <functional>
#include <source_location>

#include "weft/fibers/clock.h"
#include "weft/fibers/nursery.h"
#include "weft/loop/errors.h"
#include "weft/loop/exception_context.h"
#include "weft/loop/future.h"
#include "weft/loop/handle.h"
#include "weft/loop/loop_generators.h"
#include "weft/loop/loop_resolver.h"
#include "weft/loop/loop_sendfile.h"
#include "weft/loop/loop_statistics.h"
#include "weft/loop/loop_tasks.h"
#include "weft/loop/slow_callback.h"

namespace weft::loop {

// A resource. Made and destroyed inside one run, or by a SyncLoop outside. Its thread may schedule
// on it also while that run is suspended in a greenlet. Its methods come in parts:
// loop_scheduling.h, loop_descriptors.h, loop_signals.h, loop_tasks.h, loop_sockets.h,
// loop_resolver.h, loop_generators.h, loop_executor.h, loop_transports.h, loop_servers.h,
// loop_pipes.h, loop_subprocess.h, loop_datagrams.h, loop_sendfile.h and this
// header.
class EventLoop : public LoopSendfile {
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
  // Drops everything scheduled, cancels blocked callbacks and sends the tasks home. Transports and
  // servers that are open are closed without a word to their protocols; in debug mode the exception
  // handler is told of each, "unclosed transport ...", before anything is closed, and must not
  // wait. Destroying the loop does the same, and the log is told. Idempotent. Throws UsageError
  // while running.
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

  // Cancels every callback that is blocked now, as Handle::cancel does.
  void cancel_blocked();
  // Waits until no callback is blocked.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: at once.
  // Threads: the run's own only.
  void wait_blocked();

  // Called instead of the default, in the Context of what has failed, for errors that have nobody
  // to go to. An empty one restores the default, which also hears what a handler throws.
  void set_exception_handler(ExceptionHandler handler);
  const ExceptionHandler& get_exception_handler() const;
  void call_exception_handler(const ExceptionContext& context);
  // Logs the context as an error, then tells the loop's owner: open_loop, say, lets the error end
  // its block. What the owner throws comes out if called by hand; else the loop logs it.
  void default_exception_handler(const ExceptionContext& context);
  void set_default_exception_handler(ExceptionHandler owner);
  // For the loop's owner, say open_loop, which then runs its loop again: called when a fiber is
  // about to wait, without a deadline, for a future of a loop that is stopped.
  void set_needed_handler(std::function<void()> owner);

  // In debug mode a callback that occupies the loop for longer than slow_callback_duration is
  // logged, with its place; and close() reports what is left open. Off at first; 100 ms.
  void set_debug(bool enabled);
  bool get_debug() const;
  fibers::Duration slow_callback_duration() const;
  void set_slow_callback_duration(fibers::Duration duration);
  // Called instead of logging it. An empty one restores the log.
  void set_slow_callback_handler(SlowCallbackHandler handler);
  LoopStatistics statistics() const;
};

// The loop whose callback this is, also while it is blocked; else null. (_get_running_loop.)
EventLoop* running_loop();
// The same; throws UsageError where there is none. (asyncio: get_running_loop.)
EventLoop& get_running_loop();

}  // namespace weft::loop
