// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Sleeping, and the short forms of cancel scopes with a deadline.
//
//   if (!move_on_after(2s, [&] { stream.send_all(data); })) retry();
//   auto reply = fail_after(500ms, [&] { return client.ask(question); });   // or TooSlowError

#pragma once

#include <concepts>
#include <type_traits>
#include <utility>

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/clock.h"
#include "weft/fibers/detail/misuse.h"
#include "weft/fibers/errors.h"

namespace weft::fibers {

// Suspends for `length`; sleep(0) is a checkpoint. Throws UsageError if it is negative.
//
// Blocks: yes, always a checkpoint.
// Cancel: at once.
// Threads: the run's own only.
void sleep(Duration length);
// Until the run's clock shows `deadline`; a checkpoint if that is past.
//
// Blocks: yes, always a checkpoint.
// Cancel: at once.
// Threads: the run's own only.
void sleep_until(Instant deadline);
// Until cancelled.
//
// Blocks: yes, always a checkpoint.
// Cancel: at once.
// Threads: the run's own only.
[[noreturn]] void sleep_forever();

// The earliest deadline over the running task, up to the first shield; kLongAgo if it is cancelled
// already, kForever if there is none.
//
// Blocks: no.
// Cancel: not a checkpoint.
// Threads: the run's own only.
Instant current_effective_deadline();

namespace detail {
Duration checked_timeout(Duration length);
template <class R>
R value_or_too_slow(ScopeResult<R> result, const CancelScope& scope) {
  if (scope.cancelled_caught()) throw TooSlowError();
  if constexpr (!std::is_void_v<R>) return std::move(result).value();
}
}  // namespace detail

struct TimeoutOptions {
  // Hide cancellation from outside.
  bool shield = false;
};

// Runs `body`, for `length` at most, and returns a ScopeResult: finished(), value(). A body that
// ends without being cut short has finished, also late.
//
// Blocks: only if the body does.
// Cancel: the body gets Cancelled at its waits when the time is up.
// Threads: the run's own only.
template <class F>
auto move_on_after(Duration length, F&& body, const TimeoutOptions& options = {}) {
  static_assert(std::invocable<F>, WEFT_TAKES_NO_ARGUMENTS);
  CancelScope scope(
      {.relative_deadline = detail::checked_timeout(length), .shield = options.shield});
  return scope.run(std::forward<F>(body));
}
template <class F>
auto move_on_at(Instant deadline, F&& body, const TimeoutOptions& options = {}) {
  static_assert(std::invocable<F>, WEFT_TAKES_NO_ARGUMENTS);
  CancelScope scope({.deadline = deadline, .shield = options.shield});
  return scope.run(std::forward<F>(body));
}

// The same, but throws TooSlowError when the body was cut short, and returns its value.
//
// Blocks: only if the body does.
// Cancel: the body gets Cancelled at its waits when the time is up.
// Threads: the run's own only.
template <class F>
auto fail_after(Duration length, F&& body, const TimeoutOptions& options = {})
    -> std::invoke_result_t<F> {
  CancelScope scope(
      {.relative_deadline = detail::checked_timeout(length), .shield = options.shield});
  return detail::value_or_too_slow<std::invoke_result_t<F>>(scope.run(std::forward<F>(body)),
                                                            scope);
}
template <class F>
auto fail_at(Instant deadline, F&& body, const TimeoutOptions& options = {})
    -> std::invoke_result_t<F> {
  CancelScope scope({.deadline = deadline, .shield = options.shield});
  return detail::value_or_too_slow<std::invoke_result_t<F>>(scope.run(std::forward<F>(body)),
                                                            scope);
}

}  // namespace weft::fibers
