// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Runs a program of asyncio's flavour from its first line to its last.
//
//   Coro<int> serve();
//   int main() { return weft::loop::run(serve()); }
//
//   Runner runner({.debug = true});               // the same in parts: one loop, several runs
//   runner.run([] { await(prepare()); });
//   const int status = runner.run(serve());
//
// (asyncio.run, asyncio.Runner. Inside a run of fibers use weft::open_loop.)

#pragma once

#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include "weft/fibers/context_var.h"
#include "weft/loop/ensure_future.h"
#include "weft/loop/event_loop.h"
#include "weft/loop/sync_loop.h"
#include "weft/loop/task.h"

namespace weft::loop {

struct RunnerOptions {
  // Debug mode of the loop; nothing: as the loop comes.
  std::optional<bool> debug = std::nullopt;
  // Makes the loop; empty: `SyncLoop()`. The Runner closes it; it is shared with whoever wants to
  // look at it afterwards. A std::unique_ptr will do.
  std::function<std::shared_ptr<SyncLoop>()> loop_factory = nullptr;
  // False: Ctrl-C is left to others, who may call interrupt(). (EventLoopOptions has the same for a
  // loop of the factory's.)
  bool handle_interrupt = true;
};

// A resource. The loop is made when it is first needed, and closed by close() or the destructor, on
// the same thread.
class Runner {
 public:
  explicit Runner(RunnerOptions options = {});
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;
  // Closes it; an error of that is logged.
  virtual ~Runner();

  // Runs a coroutine, or a function, as the main task, and gives what it returns or throws.
  // Variables that it sets are there in the next run. May be called again.
  //
  // Ctrl-C, if the process has its default action for it and this is the main thread, cancels the
  // main task; if that then ends cancelled, a fibers::KeyboardInterrupt comes out. Another Ctrl-C
  // ends the loop with KeyboardInterrupt at once.
  //
  // Throws UsageError in a callback of a loop or inside a run, and after close().
  //
  // Blocks: the thread, until the main task is done.
  // Cancel: does not apply.
  // Threads: the one that has called it first.
  template <Awaitable A>
  requires(!detail::kIsFuture<A>) Awaited<A> run(A&& main) {
    require_may_run("Runner.run() cannot be called from a running event loop");
    begin();
    Task<Awaited<A>> task = get_loop()->create_task(std::forward<A>(main), {.context = &context_});
    run_until_done(task);
    return detail::take_outcome<Awaited<A>>(std::move(task));
  }
  // Its loop. Throws UsageError after close().
  SyncLoop& get_loop();
  // Cancels the tasks that are left and waits for them, reports their errors to the loop's
  // exception handler ("unhandled exception during asyncio.run() shutdown"), finishes the
  // generators, shuts the default executor down and waits for its jobs, for five minutes at most,
  // and closes the loop, whatever happens before. Idempotent.
  //
  // Blocks: the thread, while all of this unwinds.
  // Cancel: does not apply.
  // Threads: the one that has called run().
  void close();

  // What Ctrl-C does while run() runs, for programs that handle the signal themselves: cancels the
  // main task and wakes the loop. Throws fibers::KeyboardInterrupt the second time, if the main
  // task is done, or if there is none.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the one that has called run(); no signal handlers: it allocates.
  void interrupt();

  // --- For weft's own files. ---
  static void require_may_run(const char* refusal);
  // run() of a task that its loop has already; its result is the task's.
  //
  // Blocks: the thread, until the task is done.
  // Cancel: does not apply.
  // Threads: as run().
  void run_task(const TaskBase& task) { run_until_done(task); }
  // Lets go of the loop and does not close it.
  void abandon() noexcept;
  // Closes it, and throws `error`, or what closing throws.
  void end(const std::exception_ptr& error);
  using SignalAction = void (*)(int);

 protected:
  // close() awaits it in the loop. A class that has its own calls close() in its destructor.
  virtual Coro<void> shut_down_generators();

 private:
  enum class State : std::uint8_t { kCreated, kInitialized, kClosed };
  class Interrupts;

  void begin();
  void run_until_done(TaskBase task);

  RunnerOptions options_;
  State state_ = State::kCreated;
  std::shared_ptr<SyncLoop> loop_;
  Interrupts* interrupts_ = nullptr;  // Of the run() that is going on.
  fibers::Context context_;
  bool takes_interrupts_ = false;  // SIGINT had its default action before the loop was made.
  SignalAction action_ = nullptr;  // And this one afterwards.
};

namespace detail {
template <class A>
using RunnerResult = std::conditional_t<std::is_void_v<Awaited<A>>, std::monostate, Awaited<A>>;
}

// Makes a Runner, runs `main` in it, and closes it.
//
// Blocks: the thread, until the main task is done and everything else has unwound.
// Cancel: does not apply.
// Threads: any that is in no run.
template <Awaitable A>
requires(!detail::kIsFuture<A>) Awaited<A> run(A&& main, RunnerOptions options = {}) {
  Runner::require_may_run("asyncio.run() cannot be called from a running event loop");
  Runner runner(std::move(options));
  std::optional<detail::RunnerResult<A>> result;
  std::exception_ptr error;
  try {
    if constexpr (std::is_void_v<Awaited<A>>) {
      runner.run(std::forward<A>(main));
    } else {
      result.emplace(runner.run(std::forward<A>(main)));
    }
  } catch (...) {
    error = std::current_exception();
  }
  runner.end(error);
  if constexpr (!std::is_void_v<Awaited<A>>) return std::move(*result);
}

}  // namespace weft::loop
