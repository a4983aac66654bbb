// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// An event loop for code that is in no run: asyncio as a program of callbacks knows it.
//
//   SyncLoop loop;
//   Future<int> answer = loop->create_future<int>();
//   loop->call_later(1s, [&] { answer.set_result(42); });
//   return loop.run_until_complete(answer);
//
// A run of its own lives in it, suspended between two calls, and with it everything that the loop's
// callbacks have begun. Several may be used in turn on one thread, beside fibers::run(). (asyncio:
// new_event_loop, and the methods that run it; trio-asyncio: SyncTrioEventLoop.)

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <source_location>
#include <utility>
#include <vector>

#include "weft/fibers/clock.h"
#include "weft/fibers/instrument.h"
#include "weft/loop/ensure_future.h"
#include "weft/loop/event_loop.h"
#include "weft/loop/future.h"

namespace weft::loop {

class Runner;

// Whose stack a callback runs on.
enum class CallbackStack : std::uint8_t {
  kTask,    // A task's: a callback may block.
  kCaller,  // That of who has called run_forever(); a callback that waits gets a UsageError. For
            // interpreters and others that know their thread by its stack.
};

struct EventLoopOptions {
  // Bytes of the stack of each task, and of the one that waits for I/O. Address space only.
  std::size_t stack_size = 256 * 1024;
  // Null: the machine's monotonic clock. The caller keeps it alive.
  fibers::Clock* clock = nullptr;
  CallbackStack callback_stack = CallbackStack::kTask;
  // Watch the run. One that overrides before_io_wait() and after_io_wait() may let go there of what
  // the waiting thread should not hold, an interpreter's lock say.
  std::vector<fibers::InstrumentRef> instruments = {};
  // On the main thread, while SIGINT is at its default: Ctrl-C ends the method that runs the loop,
  // with KeyboardInterrupt.
  bool handle_interrupt = true;
};

// A resource. Belongs to the thread that made it.
class SyncLoop {
 public:
  // Also inside a run, where it cannot run itself: the tasks of that would stand still.
  explicit SyncLoop(EventLoopOptions options = {});
  SyncLoop(const SyncLoop&) = delete;
  SyncLoop& operator=(const SyncLoop&) = delete;
  // Closes it. Not while it runs.
  ~SyncLoop();

  // The loop itself, to schedule on, at any time until close(): then UsageError, "Event loop is
  // closed". Its own methods that run it are for tasks; from here use those below.
  EventLoop& loop() const;
  EventLoop* operator->() const { return &loop(); }

  // Runs callbacks until stop(). May be called again. What a callback throws goes to the exception
  // handler; a fibers::KeyboardInterrupt ends the iteration at once and comes out here, and what
  // was scheduled stays so. Throws UsageError if this loop is running, or another one on this
  // thread.
  //
  // Blocks: the thread, until stop().
  // Cancel: does not apply.
  // Threads: the loop's own only.
  void run_forever();
  // Exactly one iteration, which waits for nothing: the same as stop() and run_forever().
  //
  // Blocks: no, but the thread is the callbacks' meanwhile.
  // Cancel: does not apply.
  // Threads: the loop's own only.
  void run_once();
  // Runs callbacks until `future` is done, and returns its result or throws its error. UsageError
  // if the loop stops before, or if the future is another loop's.
  //
  // Blocks: the thread, until the future is done.
  // Cancel: does not apply.
  // Threads: the loop's own only.
  template <class T>
  T run_until_complete(Future<T> future) {
    run_until_done(future);
    return future.result();
  }
  // The same of a coroutine or a function, which it makes a task. If KeyboardInterrupt leaves the
  // loop, it is not also reported as the error of that task, which nobody else knows.
  //
  // Blocks: the thread, until the task is done.
  // Cancel: does not apply.
  // Threads: the loop's own only.
  template <Awaitable A>
  requires(!detail::kIsFuture<A>) auto run_until_complete(A&& code) -> Awaited<A> {
    require_may_run();
    auto task = loop().create_task(std::forward<A>(code));
    run_new_task(task);
    return detail::take_outcome(std::move(task));
  }
  // Ends run_forever() after the iteration that is going on, or after one if it is called before.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the loop's own only; elsewhere call_soon_threadsafe([&] { loop.stop(); }).
  void stop();
  bool is_running() const;
  bool is_closed() const;
  // Drops everything scheduled, cancels callbacks that are blocked, waits until they have unwound,
  // and ends the run. Idempotent. UsageError while it runs.
  //
  // Blocks: the thread, while blocked callbacks unwind.
  // Cancel: does not apply.
  // Threads: the loop's own only.
  void close();

 private:
  friend class Runner;
  class Run;
  void run_until_done(FutureBase& future);
  void run_new_task(FutureBase& task);
  void require_may_run() const;

  std::unique_ptr<Run> run_;
};

}  // namespace weft::loop
