// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Starting weft: run() turns the calling thread into a scheduler until the main task has ended.
//
//   const int answer = weft::fibers::run([] { return do_everything(); });
//
// For all of a program, main.h: it prints errors and ends as programs do after Ctrl-C.

#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "weft/fibers/clock.h"
#include "weft/fibers/detail/closure.h"
#include "weft/fibers/detail/misuse.h"
#include "weft/fibers/detail/sanitizers.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/instrument.h"

namespace weft::fibers {

class ScheduleSource;

struct RunOptions {
  // Null: the machine's monotonic clock. The caller keeps it alive.
  Clock* clock = nullptr;
  // Bytes of a task's stack where nothing else is said. Address space only: pages are touched one
  // by one. 64 KiB suit a million tasks, but not std::regex.
  std::size_t stack_size = 256 * 1024;
  // Ready tasks run in the order in which they became ready. Otherwise those that something has
  // made ready together may as well run from the last to the first, which is tossed each time:
  // nobody should come to rely on the order. (As in Trio.)
  bool in_order = false;
  // With a seed the order of each batch of ready tasks is shuffled, the same way every time. For
  // tests: correct code does not depend on that order.
  std::optional<std::uint64_t> schedule_seed = std::nullopt;
  // Decides each step's task instead; see schedule_source.h. The caller keeps it alive.
  ScheduleSource* schedule_source = nullptr;
  // Refuse a task whose closure refers to what may be gone before the task ends; see "What a task
  // may capture" in nursery.h. On unless the file that fills in these options is compiled with
  // NDEBUG; always on in FIBER_TEST. Costs about 1.5 ns for each task.
  bool check_captures = detail::kDebugBuild;
  // On the main thread, while SIGINT is at its default: Ctrl-C raises KeyboardInterrupt in the main
  // task.
  bool handle_interrupt = true;
  // Watch the run from its beginning; see instrument.h.
  std::vector<InstrumentRef> instruments = {};
};

namespace detail {
void run_erased(const std::function<void()>& main, const RunOptions& options);
}

// Runs `main` as the first task and returns what it returns, after every task has ended. What it
// throws comes out unchanged; InternalError if a system task crashed. A Ctrl-C that has come too
// late for main's waits comes out as a KeyboardInterrupt, in a group with the error if there is
// one. May be called in destructors of static and thread_local objects. Throws UsageError if this
// thread is already inside a run. Several threads may each have a run of their own.
//
// Blocks: the thread, until the run is over.
// Cancel: does not apply.
// Threads: any.
template <class F>
auto run(F&& main, const RunOptions& options = {}) -> std::invoke_result_t<F> {
  using R = std::invoke_result_t<F>;
  static_assert(!std::is_reference_v<R>, WEFT_RETURNS_NO_REFERENCE);
  if constexpr (std::is_void_v<R>) {
    detail::run_erased([&] { std::invoke(std::forward<F>(main)); }, options);
  } else {
    std::optional<R> result;
    detail::run_erased([&] { result.emplace(std::invoke(std::forward<F>(main))); }, options);
    return std::move(*result);
  }
}
template <class F, class... Given>
requires(!std::invocable<F> || detail::kGivesArgument<RunOptions, Given...>) auto run(F&&,
                                                                                      Given&&...) {
  static_assert(detail::kMisused<F>, WEFT_TAKES_NO_ARGUMENTS);
}

// Who waits for descriptors: tasks and FdWatches.
struct IoStatistics {
  std::size_t tasks_waiting_read = 0;
  std::size_t tasks_waiting_write = 0;
};

// A moment of this run. (Trio: lowlevel.RunStatistics.)
struct RunStatistics {
  std::size_t tasks_living = 0;
  std::size_t tasks_runnable = 0;
  std::size_t tasks_peak = 0;                // The most that lived at once.
  std::size_t deadlines = 0;                 // Scopes with a deadline outstanding.
  std::size_t fds_watched = 0;               // Descriptors somebody waits for.
  IoStatistics io_statistics;                // The same in more detail.
  std::size_t run_sync_soon_queue_size = 0;  // Calls from outside that have not run.
  // Tokens of this run, out somewhere: with one, anybody may call into it.
  std::size_t tokens = 0;
  std::uint64_t ticks = 0;  // Turns of the scheduler: polls for I/O and deadlines.
  Duration until_next_deadline = Duration::max();
};
// Throws UsageError outside a run.
RunStatistics current_statistics();

// The stacks of this thread's tasks; also outside a run.
struct StackStatistics {
  std::size_t in_use = 0;
  std::size_t pooled = 0;
  std::size_t mappings = 0;        // Arenas.
  std::size_t bytes_reserved = 0;  // Address space.
};
StackStatistics stack_statistics();
// Gives the memory of pooled stacks back to the system.
void trim_stacks();

}  // namespace weft::fibers
