// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Coroutines that hand the thread to each other by name, without a scheduler or a nursery. Use them
// to turn a callback interface inside out, for generators, and to keep a whole suspended run at
// hand. Within a run, use tasks.
//
//   Greenlet numbers([] { for (int i = 0; i < 3; ++i) getcurrent().parent().switch_to(i); });
//   for (std::any n = numbers.switch_to(); numbers; n = numbers.switch_to()) use(n);
//
// Each has a parent, by default the greenlet that made it. What its function returns or throws
// arrives there. The thread itself is the main greenlet. (Python's greenlet, and its semantics;
// copies of a Greenlet are the same greenlet.)
//
// A greenlet is outside every run, even if a task has switched to it: a wait there is a UsageError.
// It may start a run of its own. If a switch leaves a run, the whole run stands still, including
// its deadlines, until somebody switches back into the greenlet that it is in.

#pragma once

#include <absl/functional/any_invocable.h>

#include <any>
#include <concepts>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "weft/fibers/context_var.h"
#include "weft/fibers/detail/greenlet_function.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/outcome.h"

namespace weft::fibers {

namespace detail {
struct GreenletBlock;
struct ContextCell;
}  // namespace detail

// Ends the greenlet that it is thrown into; its parent gets it as a value. Do not catch it.
class GreenletExit {
 public:
  const char* what() const noexcept { return "GreenletExit"; }
};

// An impossible switch: to a greenlet of another thread, or to one that has no function. (greenlet:
// greenlet.error.)
class GreenletError : public UsageError {
  using UsageError::UsageError;
};

// The context variables of a greenlet. Greenlets that share one see each other's changes.
// (greenlet: gr_context.)
class GreenletContext {
 public:
  // None: counts as empty until a variable is set.
  GreenletContext() = default;
  explicit GreenletContext(Context values);
  explicit operator bool() const { return cell_ != nullptr; }
  bool operator==(const GreenletContext&) const = default;
  // The values as they are now.
  Context copy() const;

 private:
  friend class Greenlet;
  explicit GreenletContext(std::shared_ptr<detail::ContextCell> cell) : cell_(std::move(cell)) {}
  std::shared_ptr<detail::ContextCell> cell_;
};

struct GreenletOptions {
  // Bytes. Address space only: pages are touched one by one.
  std::size_t stack_size = 256 * 1024;
  // Its context variables. By default none has a value.
  GreenletContext context = {};
};

// A counted reference to a greenlet. Any thread may hold and drop it. When the last reference to a
// suspended greenlet goes, its own thread throws GreenletExit into it: at once, or when that thread
// next uses a greenlet, or when it ends. If the greenlet throws anything else then, that is logged.
class Greenlet {
 public:
  using Function = absl::AnyInvocable<std::any(std::any)>;

  // The first switch calls `run` with the values of that switch: none, one, or as many as it takes;
  // a std::any takes whatever comes. The parent is the current greenlet, which this does not keep
  // alive.
  template <class F>
  requires(!std::is_convertible_v<F, Greenlet> &&
           !std::is_same_v<F, GreenletOptions>) explicit Greenlet(F run,
                                                                  GreenletOptions options = {})
      : Greenlet(std::move(options)) {
    set_run(std::move(run));
  }
  template <class F>
  Greenlet(F run, const Greenlet& parent, GreenletOptions options = {})
      : Greenlet(std::move(run), std::move(options)) {
    set_parent(parent);
  }
  // Gets its function later.
  explicit Greenlet(GreenletOptions options);
  Greenlet() : Greenlet(GreenletOptions{}) {}
  // No greenlet.
  Greenlet(std::nullptr_t) noexcept {}  // NOLINT(google-explicit-constructor)
  Greenlet(const Greenlet& other) noexcept;
  Greenlet(Greenlet&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
  Greenlet& operator=(Greenlet other) noexcept {
    std::swap(block_, other.block_);
    return *this;
  }
  ~Greenlet();
  bool operator==(const Greenlet& other) const = default;
  bool operator==(std::nullptr_t) const { return block_ == nullptr; }

  // Continues in that greenlet, and returns when somebody switches back. Returns the values of that
  // switch, packed into one std::any (several into a std::tuple), or throws what was thrown in. A
  // switch to a dead greenlet goes to its parent, or to the next one that lives; a parent that has
  // not started yet is started with the value. A switch to the current greenlet returns at once. A
  // temporary, as in `getcurrent().parent().switch_to()`, is dropped on arrival and kept by nobody
  // who waits.
  //
  // Blocks: no, but this greenlet stands still, and with it the run it is in.
  // Cancel: not a checkpoint.
  // Threads: the greenlet's own only; GreenletError on others.
  template <class... Values>
  std::any switch_to(Values&&... values) const& {
    return do_switch(detail::pack_values(std::forward<Values>(values)...));
  }
  template <class... Values>
  std::any switch_to(Values&&... values) && {
    return std::move(*this).do_switch(detail::pack_values(std::forward<Values>(values)...));
  }
  // As switch_to(), but throws `error` where that greenlet waits. A greenlet that has not started
  // dies of it at once. In that case, and if the greenlet is dead, the error goes to the parent.
  //
  // Blocks: no, but this greenlet stands still, and with it the run it is in.
  // Cancel: not a checkpoint.
  // Threads: the greenlet's own only; GreenletError on others.
  std::any throw_into(std::exception_ptr error) const;
  std::any throw_into() const { return throw_into(std::make_exception_ptr(GreenletExit())); }
  template <class E>
  requires(!std::convertible_to<E, std::exception_ptr>) std::any throw_into(E error)
  const { return throw_into(std::make_exception_ptr(std::move(error))); }
  // Delivers what a function did, by switch_to() or throw_into(); the outcome counts as unwrapped.
  //
  // Blocks: no, but this greenlet stands still, and with it the run it is in.
  // Cancel: not a checkpoint.
  // Threads: the greenlet's own only; GreenletError on others.
  template <class T>
  std::any send(Outcome<T>& outcome) const {
    if (!outcome.has_value()) {
      take_error([&outcome] { static_cast<void>(outcome.unwrap()); }, outcome.error());
      return throw_into(outcome.error());
    }
    if constexpr (std::is_void_v<T>) {
      outcome.unwrap();
      return switch_to();
    } else {
      return switch_to(outcome.unwrap());
    }
  }

  // Only before it has started.
  template <class F>
  void set_run(F run) {
    do_set_run(
        [run = std::move(run)](std::any values) mutable { return detail::call_with(run, values); });
  }
  bool has_run() const;

  // Where the thread continues when this greenlet ends; null for the main greenlet. A parent that
  // was set is kept alive. set_parent() throws GreenletError if this is a main greenlet, and for a
  // parent of another thread or one that descends from this.
  Greenlet parent() const&;
  Greenlet parent() &&;
  void set_parent(const Greenlet& parent) const;

  // Whether it has been switched to. The greenlet itself is true when it has started and is not
  // dead.
  bool started() const;
  explicit operator bool() const { return started() && !dead(); }
  // Its function has returned or thrown, or its thread has ended.
  bool dead() const;

  // From any thread while it is suspended. GreenletError while it runs on another thread.
  GreenletContext context() const;
  void set_context(GreenletContext context) const;

  // The return addresses on its stack, if it is suspended and belongs to this thread; empty
  // otherwise. See backtrace.h. (greenlet: gr_frame.)
  std::vector<const void*> backtrace(std::size_t most = 64) const;

  // "<Greenlet 0x... suspended active started>"
  std::string repr() const;

 private:
  friend Greenlet getcurrent();
  friend struct detail::GreenletBlock;
  explicit Greenlet(detail::GreenletBlock* block) noexcept;
  // Calls `unwrap` for its effect; lets out what it throws unless that is `error`.
  static void take_error(const std::function<void()>& unwrap, const std::exception_ptr& error);
  std::any do_switch(std::any value) const&;
  std::any do_switch(std::any value) &&;
  void do_set_run(Function run) const;
  detail::GreenletBlock& block() const;

  detail::GreenletBlock* block_ = nullptr;
};

// The current greenlet; inside a run, the one that the run is in. Throws GreenletError while the
// thread is ending.
Greenlet getcurrent();

enum class GreenletEvent : unsigned char { kSwitch, kThrow };
using GreenletTracer = std::function<void(GreenletEvent, const Greenlet& origin, const Greenlet&)>;

// Calls `tracer` after each switch of this thread, in the greenlet that was switched to, which is
// the last argument. Null ends the tracing. Returns the previous tracer. If the tracer throws, the
// error is thrown in that greenlet, and the tracing ends.
GreenletTracer settrace(GreenletTracer tracer);
GreenletTracer gettrace();

}  // namespace weft::fibers
