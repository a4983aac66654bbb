// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Values that follow the flow of a program: each task has its own, and a new task starts with those
// of the task that started it. So has each call of to_thread and from_thread; a system task starts
// with none. (Python: contextvars.ContextVar; Trio: task contexts.)
//
//   ContextVar<std::string> request_id("request_id");
//   request_id.set("42");              // this task, and what it starts from now on
//   log(request_id.get_or("none"));

#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "weft/fibers/detail/task_locals.h"
#include "weft/fibers/detail/variable_id.h"
#include "weft/fibers/errors.h"

namespace weft::fibers {

namespace detail {
TaskLocals* share_own_locals();
// The same for whoever schedules a call: null on the scheduler's own stack.
TaskLocals* share_locals_here() noexcept;
// Whether any variable has ever been set in this process. Until then there is nothing to share.
// Relaxed: what a thread has set itself it sees, and others' values are not its own.
extern constinit std::atomic<bool> any_variable_set;
inline bool context_in_use() noexcept {
  return any_variable_set.load(std::memory_order_relaxed);
}
// Where the values are kept that set_local() changes here, of a task for as long as it lives; null
// if nobody's are current.
TaskLocals** place_of_own_locals() noexcept;
// Gives the running task other values; returns those it had.
TaskLocals* exchange_locals(TaskLocals* locals);
// The values as they are here, for another thread to own: counts are not atomic. Null if nobody has
// any here.
TaskLocals* detach_own_locals();
// Where the values of this thread are as long as it is in no run; null: there is no such place.
// Returns the one before.
TaskLocals** set_thread_locals(TaskLocals** place) noexcept;
// The same for a callback of the scheduler, in which no task runs.
TaskLocals** set_callback_locals(TaskLocals** place) noexcept;
const void* find_local(std::uint64_t var);
std::shared_ptr<const void> hold_local(std::uint64_t var);
void set_local(std::uint64_t var, std::shared_ptr<void> value);
}  // namespace detail

// A resource, usually of static lifetime.
template <class T>
class ContextVar {
 public:
  constexpr explicit ContextVar(const char* name) : name_(name) {}
  ContextVar(const ContextVar&) = delete;
  ContextVar& operator=(const ContextVar&) = delete;

  const char* name() const { return name_; }
  // The running task's value, or nothing; outside a run that of the call of to_thread or of the
  // greenlet, of which each thread has at least one. Throws UsageError in callbacks of the
  // scheduler, as the others do, except in a call of from_thread::run_sync, which has its thread's.
  std::optional<T> get() const {
    // Held while it is copied, for its copy constructor may set the variable.
    const auto value = detail::hold_local(id_.get());
    return value == nullptr ? std::nullopt : std::optional<T>(*static_cast<const T*>(value.get()));
  }
  // The same without a copy, or null. Good until this task sets the variable, or ends.
  const T* find() const { return static_cast<const T*>(detail::find_local(id_.get())); }
  T get_or(T otherwise) const { return get().value_or(std::move(otherwise)); }
  void set(T value) { detail::set_local(id_.make(), std::make_shared<T>(std::move(value))); }

 private:
  const char* name_;
  detail::VariableId id_;
};

// The values that a task had at some moment, to be used by another one or later. A value: copies go
// their own ways; one made while somebody is inside has the values from before. Used and destroyed
// by one thread. (Python: contextvars.Context.)
class Context {
 public:
  // One in which no variable has a value.
  Context() = default;
  Context(const Context& other) : locals_(detail::share_locals(other.locals_)) {}
  Context(Context&& other) noexcept : locals_(std::exchange(other.locals_, nullptr)) {}
  Context& operator=(Context other) noexcept {
    std::swap(locals_, other.locals_);
    return *this;
  }
  ~Context() { detail::release_locals(locals_); }

  // Calls `fn` with these values; what it sets is kept here and is not the caller's. Throws
  // UsageError if somebody is inside already.
  //
  // Blocks: only if `fn` does.
  // Cancel: not a checkpoint.
  // Threads: the run's own only.
  template <class F>
  decltype(auto) run(F&& fn) {
    const Inside inside(*this);
    return std::invoke(std::forward<F>(fn));
  }

 private:
  friend Context copy_context();
  friend struct ContextAccess;
  explicit Context(detail::TaskLocals* locals) noexcept : locals_(locals) {}

  class Inside {
   public:
    explicit Inside(Context& context) : context_(context) {
      if (context.entered_) {
        throw UsageError("cannot enter a Context that somebody is in already; copy it first");
      }
      outside_ = detail::exchange_locals(detail::share_locals(context.locals_));
      context.entered_ = true;
    }
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;
    ~Inside() {
      context_.entered_ = false;
      detail::release_locals(std::exchange(context_.locals_, detail::exchange_locals(outside_)));
    }

   private:
    Context& context_;
    detail::TaskLocals* outside_ = nullptr;
  };

  detail::TaskLocals* locals_ = nullptr;  // Counted.
  bool entered_ = false;
};

// For weft's own files.
struct ContextAccess {
  // Takes over one use.
  static Context make(detail::TaskLocals* locals) noexcept { return Context(locals); }
  static detail::TaskLocals* locals(const Context& context) noexcept { return context.locals_; }
};

// The running task's values. (Python: contextvars.copy_context.)
//
// Blocks: no.
// Cancel: not a checkpoint.
// Threads: the run's own only.
inline Context copy_context() {
  return Context(detail::share_own_locals());
}

}  // namespace weft::fibers
