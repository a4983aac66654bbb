// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Nurseries: the only way to start a task, and the promise that none is left behind.
//
//   open_nursery([&](Nursery& nursery) {
//     nursery.start_soon([&] { serve(a); });
//     nursery.start_soon([&] { serve(b); });
//   });                                   // both have ended here, whatever happened
//
// open_nursery returns when the body and all tasks have ended. The first error cancels all the
// others; every error arrives, in one ExceptionGroup, also when there is only one. A nursery that
// ends in nothing but Cancelled throws one bare Cancelled. (Trio: open_nursery, Nursery.)
//
// What a task may capture by reference: what is declared outside of open_nursery, which waits for
// the tasks. What the body declares is gone when the body ends, before the tasks do:
//
//   open_nursery([&](Nursery& nursery) {                  std::string s = "...";
//     std::string s = "...";          // wrong            open_nursery([&](Nursery& nursery) {
//     nursery.start_soon([&] { use(s); });                  nursery.start_soon([&] { use(s); });
//   });                                                   });                         // right
//
// A body that waits for its tasks only looks safe: it does not wait when it is cancelled. A task
// that starts others in a nursery which it has not opened itself may also end before them. Move
// such values into the closure: [s = std::move(s)], and [&, i] for the variable of a loop.
//
// In debug builds and in every FIBER_TEST (RunOptions::check_captures) whatever starts a task
// throws UsageError if the closure points into a part of the running stack that may go before the
// task. gather and race wait for their tasks themselves, so their functions may capture anything by
// reference. The check does not see what a closure refers to through the heap, nor closures of more
// than 256 bytes, and with clang none that have padding. It takes plain bytes that nobody has
// written, as in a buffer captured half-filled, for what they look like; set
// TaskOptions::unchecked_captures for such a task, and for one that is certain to end first.

#pragma once

#include <concepts>
#include <cstdint>
#include <exception>
#include <functional>
#include <new>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>
#include <vector>

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/detail/closure.h"
#include "weft/fibers/detail/misuse.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/task.h"

namespace weft::fibers {

template <class T>
class TaskStatus;
class Nursery;

namespace detail {
class TaskBlock;
class StartHandshake;

// A task on its way: its block exists, its closure is being put into place.
struct Spawning {
  TaskBlock* task;
  void* closure;
};
Spawning begin_spawn(Nursery& nursery, const ClosureType& type, const TaskOptions& options,
                     std::source_location site);
void abandon_spawn(const Spawning& spawning) noexcept;
// Throws UsageError if the closure refers to what may go before the task; it has then destroyed the
// closure and abandoned the task.
TaskBlock* commit_spawn(const Spawning& spawning, Nursery& nursery, const ClosureType& type);

// Keeps a nursery open while code of the user's runs in the middle of a spawn.
class HoldOpen {
 public:
  explicit HoldOpen(Nursery& nursery) noexcept;
  HoldOpen(const HoldOpen&) = delete;
  HoldOpen& operator=(const HoldOpen&) = delete;
  ~HoldOpen();

 private:
  Nursery& nursery_;
};

// The closure is built on the new task's own stack: a spawn allocates nothing else. Its constructor
// may wait, and the body of the nursery end meanwhile.
template <class F>
TaskBlock* spawn(Nursery& nursery, F&& fn, const TaskOptions& options, std::source_location site) {
  using Fn = std::decay_t<F>;
  const ClosureType& type = kClosureType<Fn>;
  const Spawning spawning = begin_spawn(nursery, type, options, site);
  if constexpr (std::is_trivially_copyable_v<Fn>) {
    ::new (spawning.closure) Fn(std::forward<F>(fn));
    return commit_spawn(spawning, nursery, type);
  } else {
    const HoldOpen open(nursery);
    try {
      ::new (spawning.closure) Fn(std::forward<F>(fn));
    } catch (...) {
      abandon_spawn(spawning);
      throw;
    }
    return commit_spawn(spawning, nursery, type);
  }
}
}  // namespace detail

class Nursery final {
 public:
  Nursery(const Nursery&) = delete;
  Nursery& operator=(const Nursery&) = delete;

  // Starts `fn` as a task. It runs at the next turn of the scheduler, under the nursery's cancel
  // scope (not the caller's). Throws UsageError when the nursery is closed, std::bad_alloc when
  // there is no room for its stack.
  //
  // Blocks: no.
  // Cancel: not a checkpoint; a task started in a cancelled nursery runs to its first wait.
  // Threads: the run's own only.
  template <class F>
  void start_soon(F&& fn, const TaskOptions& options = {},
                  std::source_location site = std::source_location::current()) {
    static_assert(std::invocable<std::decay_t<F>&>, WEFT_TAKES_NO_ARGUMENTS);
    detail::spawn(*this, std::forward<F>(fn), options, site);
  }
  template <class F, class... Given>
  requires detail::kGivesArgument<TaskOptions, Given...>
  auto start_soon(F&&, Given&&...) { static_assert(detail::kMisused<F>, WEFT_TAKES_NO_ARGUMENTS); }

  // Starts `fn(status)` as a task and waits until it calls `status.started(value)`, or fails.
  // Before that the task belongs to the caller: its errors come out of start() itself and the
  // caller's cancellation reaches it. Afterwards it belongs to this nursery. Throws UsageError if
  // `fn` returns without having called started().
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: cancels the task and waits for it.
  // Threads: the run's own only.
  template <class T = void, class F>
  T start(F&& fn, const TaskOptions& options = {},
          std::source_location site = std::source_location::current());
  template <class T = void, class F, class... Given>
  requires detail::kGivesArgument<TaskOptions, Given...>
  auto start(F&&, Given&&...) { static_assert(detail::kMisused<F>, WEFT_TAKES_A_STATUS); }

  CancelScope& cancel_scope() { return scope_; }
  Task& parent_task() const;
  std::vector<Task*> child_tasks() const;

  // For open_nursery and for those who build something like it; a body has no use for these.
  explicit Nursery(std::source_location site);
  ~Nursery();
  // Takes in an error and cancels the rest. Without memory for it std::bad_alloc comes instead.
  void add_error(std::exception_ptr error) noexcept;
  // Waits for all tasks, closes, and throws what has to be thrown.
  void close();
  void close_with_errors();
  // The stack of the opening task ends here, downwards, for those who start tasks: what lies below
  // may go first. `local` is a variable of the frame that this is the address of.
  void set_body_frame(const void* frame, const void* local);

 private:
  friend struct NurseryAccess;
  friend class detail::StartHandshake;
  friend class detail::HoldOpen;
  void begin_start();
  void end_start() noexcept;
  void let_close() noexcept;
  std::exception_ptr collect_errors();
  bool has_work() const { return first_child_ != nullptr || pending_starts_ > 0; }

  CancelScope scope_;
  detail::TaskBlock* parent_ = nullptr;
  Nursery* next_of_parent_ = nullptr;  // The next older nursery of the same task.
  detail::TaskBlock* first_child_ = nullptr;
  std::vector<std::exception_ptr> errors_;
  const void* body_frame_ = nullptr;  // See set_body_frame().
  std::source_location site_;
  std::uint32_t pending_starts_ = 0;
  bool parent_waiting_ = false;  // In close().
  bool cancelled_inside_ = false;
  bool errors_lost_ = false;  // There was no memory for them.
  bool closed_ = false;       // Refuses new tasks: the body and all tasks have ended.
};

// Runs `body(nursery)` and waits for every task of it; returns what the body returned. If the
// nursery's own scope cut a body with a result short there is none to return: UsageError; let such
// a body return void.
//
// Blocks: yes, always a schedule point.
// Cancel: the closing itself is not a cancel point; being cancelled cancels the tasks, and waits.
// Threads: the run's own only.
template <class F>
auto open_nursery(F&& body, std::source_location site = std::source_location::current())
    -> std::invoke_result_t<F, Nursery&>;

}  // namespace weft::fibers

#include "weft/fibers/detail/nursery_inl.h"  // IWYU pragma: export
