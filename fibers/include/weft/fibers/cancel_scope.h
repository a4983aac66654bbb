// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Cancel scopes: the one way to cancel, and the one way to have a deadline.
//
//   CancelScope scope({.relative_deadline = 2s});
//   scope.run([&] { talk_to_the_server(); });       // cut short after two seconds
//   if (scope.cancelled_caught()) ...
//
// Everything that runs inside, down to the tasks of nurseries opened there, is covered. When the
// scope is cancelled, by cancel() or by its deadline, every wait inside it throws Cancelled, and
// goes on doing so; the scope swallows that exception at its end. A scope is a closure and not a
// guard because a destructor can neither swallow an exception nor wait. See timeouts.h for the
// short forms. (Trio: CancelScope.)

#pragma once

#include <functional>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>

#include "weft/fibers/clock.h"
#include "weft/fibers/detail/scope_state.h"
#include "weft/fibers/scope_result.h"

namespace weft::fibers {

struct CancelScopeOptions {
  // At most one of the two. A relative deadline counts from the moment of entry.
  std::optional<Instant> deadline = std::nullopt;
  std::optional<Duration> relative_deadline = std::nullopt;
  // Hide cancellation from outside.
  bool shield = false;
};

// A resource: neither copied nor moved. Good for one run() only. May be cancelled, shielded or
// given another deadline before, during and after, from any task of the run. Destroying it while a
// task is inside ends the process.
class CancelScope final {
 public:
  explicit CancelScope(const CancelScopeOptions& options = {});
  CancelScope(const CancelScope&) = delete;
  CancelScope& operator=(const CancelScope&) = delete;
  ~CancelScope();

  // Runs `body` inside the scope. What the body throws goes on, except for the Cancelled that
  // belongs to this scope (also when it is inside a group, of which the rest goes on).
  // Throws UsageError if the scope was used before, or outside a task.
  //
  // Blocks: only if the body does.
  // Cancel: this is where cancellation ends.
  // Threads: the run's own only.
  template <class F>
  auto run(F&& body) -> ScopeResult<std::invoke_result_t<F>>;

  // Cancels everything inside, at once: waiting tasks are made ready with a Cancelled, others get
  // it at their next wait. The first call's reason stays. Never fails: without memory for the
  // reason it cancels without one.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the run's own only; elsewhere use Token::run_sync_soon.
  void cancel(std::string_view reason = {});

  // The absolute deadline; kForever if there is none. Setting one takes effect at once, but takes
  // nothing back. Throws UsageError for a relative scope that has not been entered.
  Instant deadline() const;
  void set_deadline(Instant deadline);
  // Before entry: counted from entry. Afterwards: from now.
  Duration relative_deadline() const;
  void set_relative_deadline(Duration length);
  // Whether the deadline is still relative; nothing once the scope has been entered.
  std::optional<bool> is_relative() const;

  bool shield() const { return status_.shield; }
  void set_shield(bool shield);

  // True from cancel() on, or as soon as the deadline has passed by the clock.
  bool cancel_called();
  // True if this scope has swallowed a Cancelled.
  bool cancelled_caught() const { return cancelled_caught_; }

 private:
  friend class Nursery;
  friend struct detail::CancelStatus;
  friend struct ScopeAccess;

  void enter();
  // The body returned.
  void leave();
  // The body threw `error`; what is left of it, null if the scope swallowed all of it.
  std::exception_ptr leave_with(std::exception_ptr error);
  // The same for a lone Cancelled, without one at hand. True if it is swallowed.
  bool leave_with_cancelled();
  bool absorbs() const;
  void close_status();
  void arm();

  detail::CancelStatus status_;
  detail::DeadlineNode timer_;
  Duration relative_ = Duration::max();
  bool is_relative_ = false;
  bool entered_ = false;
  bool cancelled_caught_ = false;
};

namespace detail {
// Called in a handler: closes `leave_with`'s way for the exception being handled. True if
// swallowed, else throws what is left.
bool swallow_current(CancelScope& scope,
                     std::exception_ptr (CancelScope::*leave)(std::exception_ptr));
}  // namespace detail

template <class F>
auto CancelScope::run(F&& body) -> ScopeResult<std::invoke_result_t<F>> {
  using R = std::invoke_result_t<F>;
  ScopeResult<R> result;
  enter();
  try {
    if constexpr (std::is_void_v<R>) {
      std::invoke(std::forward<F>(body));
      result.finish();
    } else {
      result.finish(std::invoke(std::forward<F>(body)));
    }
  } catch (...) {
    detail::swallow_current(*this, &CancelScope::leave_with);
    return ScopeResult<R>();
  }
  leave();
  return result;
}

}  // namespace weft::fibers
