// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A task whose result somebody wants.
//
//   open_nursery([&](Nursery& nursery) {
//     TaskHandle<Page> page = create_task(nursery, [&] { return fetch(url); });
//     Style style = load_style();
//     show(page.get(), style);             // waits
//   });
//
// The task belongs to the nursery like any other: the nursery waits for it and gets its error. The
// handle is only a way to look: dropping it neither waits nor cancels. (AnyIO:
// TaskGroup.create_task and TaskHandle. Trio has none.)

#pragma once

#include <concepts>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <source_location>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/detail/misuse.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/event.h"
#include "weft/fibers/nursery.h"

namespace weft::fibers {

// The result was asked for of a task that was cancelled. Not a Cancelled: who asks is not.
class TaskCancelledError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

namespace detail {

// What a task and its handles share. One allocation; used by the run's thread.
class HandleCore {
 public:
  HandleCore(std::string name, bool keeps_error)
      : name_(std::move(name)), keeps_error_(keeps_error) {}
  HandleCore(const HandleCore&) = delete;
  HandleCore& operator=(const HandleCore&) = delete;

  // The body of the task.
  template <class Body>
  void run(Body&& body) {
    const Ending ending{*this};
    try {
      scope_.run(std::forward<Body>(body));
    } catch (...) {
      take_error();
    }
  }

  bool done() const { return ended_.is_set(); }
  void wait() { ended_.wait(); }
  void cancel(std::string_view reason) { scope_.cancel(reason); }
  std::exception_ptr error() const { return error_; }
  // Returns only if there is a result.
  void require_result(bool has_value) const;
  bool taken = false;  // A result that cannot be copied has been handed out.

 protected:
  ~HandleCore() = default;

 private:
  struct Ending {
    HandleCore& core;
    ~Ending() { core.ended_.set(); }
  };
  // In a handler. What is not kept goes on.
  void take_error();

  const std::string name_;
  const bool keeps_error_;
  CancelScope scope_;
  Event ended_;
  std::exception_ptr error_;
};

template <class T>
struct HandleState final : HandleCore {
  using HandleCore::HandleCore;
  std::optional<std::conditional_t<std::is_void_v<T>, std::monostate, T>> value;
};

// What the task runs.
template <class F, class T>
struct HandleBody {
  using Checked = CheckedPartOf<F>;
  F fn;
  std::shared_ptr<HandleState<T>> state;
  void operator()() {
    state->run([&] {
      if constexpr (std::is_void_v<T>) {
        std::invoke(fn);
        state->value.emplace();
      } else {
        state->value.emplace(std::invoke(fn));
      }
    });
  }
};

}  // namespace detail

// How to start such a task: as TaskOptions, and more.
struct CreateTaskOptions {
  std::string_view name = {};
  std::size_t stack_size = 0;
  // An error of the task is kept for result() instead of going to the nursery, which then cancels
  // nothing. For tasks whose failure is somebody's business for certain: of a handle that nobody
  // asks, it is lost.
  bool keep_error = false;
  bool unchecked_captures = false;
};

// A value; copies are handles of the same task. Used by the run's own thread.
template <class T>
class TaskHandle {
 public:
  explicit TaskHandle(std::shared_ptr<detail::HandleState<T>> state) : state_(std::move(state)) {}

  // Whether the task has ended, in whatever way.
  bool done() const { return state_->done(); }

  // Waits for the end of the task, whatever comes of it.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: at once; the task goes on.
  // Threads: the run's own only.
  void wait() const {
    const auto state = state_;  // The handle may be dropped meanwhile.
    state->wait();
  }

  // What the task returned: a copy, or the value itself if it can only be moved; that can be had
  // once. Throws what the task threw; TaskCancelledError if it was cancelled; UsageError if it has
  // not ended. (asyncio: Task.result.)
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the run's own only.
  T result() const {
    const auto state = state_;  // The value's constructor may drop the handle.
    state->require_result(state->value.has_value());
    if constexpr (std::is_void_v<T>) {
      return;
    } else if constexpr (std::is_copy_constructible_v<T>) {
      return *state->value;
    } else {
      state->taken = true;
      return std::move(*std::exchange(state->value, std::nullopt));
    }
  }

  // wait(), then result().
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: at once; the task goes on.
  // Threads: the run's own only.
  T get() const {
    const TaskHandle mine = *this;
    mine.wait();
    return mine.result();
  }

  // What the task threw, also if the nursery has got it; null if it threw nothing, or goes on.
  std::exception_ptr error() const { return state_->error(); }

  // Cancels this task alone; the nursery hears nothing of it.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the run's own only.
  void cancel(std::string_view reason = {}) const { state_->cancel(reason); }

 private:
  std::shared_ptr<detail::HandleState<T>> state_;
};

// nursery.start_soon(fn), with a handle to what `fn` returns.
//
// Blocks: no.
// Cancel: not a checkpoint; a task started in a cancelled nursery runs to its first wait.
// Threads: the run's own only.
template <class F>
auto create_task(Nursery& nursery, F&& fn, const CreateTaskOptions& options = {},
                 std::source_location site = std::source_location::current())
    -> TaskHandle<std::invoke_result_t<std::decay_t<F>&>> {
  using T = std::invoke_result_t<std::decay_t<F>&>;
  static_assert(!std::is_reference_v<T>, WEFT_RETURNS_NO_REFERENCE);
  auto state = std::make_shared<detail::HandleState<T>>(
      std::string(options.name.empty() ? site.function_name() : options.name), options.keep_error);
  nursery.start_soon(detail::HandleBody<std::decay_t<F>, T>{std::forward<F>(fn), state},
                     {.name = options.name,
                      .stack_size = options.stack_size,
                      .unchecked_captures = options.unchecked_captures},
                     site);
  return TaskHandle<T>(std::move(state));
}
template <class F, class... Given>
requires(!std::invocable<std::decay_t<F>&> ||
         detail::kGivesArgument<CreateTaskOptions, Given...>) auto create_task(Nursery&, F&&,
                                                                               Given&&...) {
  static_assert(detail::kMisused<F>, WEFT_TAKES_NO_ARGUMENTS);
}

}  // namespace weft::fibers
