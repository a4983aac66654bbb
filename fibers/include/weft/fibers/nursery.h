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
// others; every error arrives, in one ExceptionGroup, also when there is only one. Capturing by
// reference is safe: the frame outlives the tasks. (Trio: open_nursery, Nursery.)

#pragma once

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
// How to make room for a closure on the new task's stack, and how to run and destroy it there.
struct ClosureType {
  std::size_t size;
  std::size_t align;
  void (*run_and_destroy)(void* closure);
};
Spawning begin_spawn(Nursery& nursery, const ClosureType& type, const TaskOptions& options,
                     std::source_location site);
void abandon_spawn(const Spawning& spawning) noexcept;
TaskBlock* commit_spawn(const Spawning& spawning, Nursery& nursery);

template <class F>
void run_and_destroy_closure(void* closure) {
  struct Destroyer {
    F* f;
    ~Destroyer() { f->~F(); }
  } owned{static_cast<F*>(closure)};
  static_cast<void>(std::invoke(*owned.f));
}
template <class F>
inline constexpr ClosureType kClosureType{sizeof(F), alignof(F), &run_and_destroy_closure<F>};

// The closure is built on the new task's own stack: a spawn allocates nothing else.
template <class F>
TaskBlock* spawn(Nursery& nursery, F&& fn, const TaskOptions& options, std::source_location site) {
  using Fn = std::decay_t<F>;
  const Spawning spawning = begin_spawn(nursery, kClosureType<Fn>, options, site);
  if constexpr (std::is_nothrow_constructible_v<Fn, F>) {
    ::new (spawning.closure) Fn(std::forward<F>(fn));
  } else {
    try {
      ::new (spawning.closure) Fn(std::forward<F>(fn));
    } catch (...) {
      abandon_spawn(spawning);
      throw;
    }
  }
  return commit_spawn(spawning, nursery);
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
    detail::spawn(*this, std::forward<F>(fn), options, site);
  }

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

 private:
  friend struct NurseryAccess;
  friend class detail::StartHandshake;
  void begin_start();
  void end_start() noexcept;
  std::exception_ptr collect_errors();

  CancelScope scope_;
  detail::TaskBlock* parent_ = nullptr;
  Nursery* next_of_parent_ = nullptr;  // The next older nursery of the same task.
  detail::TaskBlock* first_child_ = nullptr;
  std::vector<std::exception_ptr> errors_;
  std::source_location site_;
  std::uint32_t pending_starts_ = 0;
  bool parent_waiting_ = false;  // In close().
  bool cancelled_inside_ = false;
  bool errors_lost_ = false;  // There was no memory for them.
  bool closed_ = false;
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
