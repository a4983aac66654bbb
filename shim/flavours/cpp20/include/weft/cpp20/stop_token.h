// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// std::stop_token, both ways.
//
//   // A cancel scope stops a token: a deadline reaches code that knows the standard library only.
//   weft::fibers::move_on_after(1s, [&] {
//     weft::with_stop_token([&](std::stop_token token) {
//       weft::fibers::to_thread::run_sync([=] { while (!token.stop_requested()) step(); });
//     });
//   });
//
//   // A token, stopped on any thread, cancels a cancel scope.
//   weft::move_on_when_stopped(thread.get_stop_token(), [&] { serve(); });

#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <type_traits>
#include <utility>

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/token.h"

namespace weft::cpp20 {

namespace detail {
void with_stop_token(const std::function<void(std::stop_token)>& body);
}

// Calls `body(std::stop_token)`, and returns what it returns. The token is stopped as soon as the
// task is cancelled, also while the body waits for what is not cancelled, such as a thread. The
// token's callbacks run at that moment, in the middle of whatever cancels, and must not wait.
// Afterwards nothing stops it.
//
// Blocks: yes, always a schedule point.
// Cancel: before the body: at once. Passes to the body, and to the token.
// Threads: the run's own only.
template <class F>
auto with_stop_token(F&& body) -> std::decay_t<std::invoke_result_t<F&, std::stop_token>> {
  using R = std::decay_t<std::invoke_result_t<F&, std::stop_token>>;
  if constexpr (std::is_void_v<R>) {
    detail::with_stop_token([&](std::stop_token token) { std::invoke(body, std::move(token)); });
  } else {
    std::optional<R> result;
    detail::with_stop_token(
        [&](std::stop_token token) { result.emplace(std::invoke(body, std::move(token))); });
    return std::move(*result);
  }
}

// While it lives, the token cancels the scope, at once if it is stopped already: on the run's
// thread in the middle of request_stop(), from another thread soon. The scope may be a nursery's.
class CancelOnStop {
 public:
  // Throws UsageError outside a run.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the run's own only; the token's, any.
  CancelOnStop(fibers::CancelScope& scope, std::stop_token token);
  CancelOnStop(const CancelOnStop&) = delete;
  CancelOnStop& operator=(const CancelOnStop&) = delete;
  ~CancelOnStop() { *scope_ = nullptr; }

 private:
  struct Stop {
    fibers::Token run;
    const void* thread;
    std::shared_ptr<fibers::CancelScope*> scope;
    void operator()() const noexcept;
  };
  // Shared with calls that are on their way to the run, which may come too late.
  std::shared_ptr<fibers::CancelScope*> scope_;
  std::stop_callback<Stop> on_stop_;
};

// Runs `body` in a cancel scope that the token cancels. Returns what move_on_after returns: the
// body's value, unless it was cut short.
//
// Blocks: only if the body does.
// Cancel: passes to the body.
// Threads: the run's own only.
template <class F>
auto move_on_when_stopped(std::stop_token token, F&& body) {
  fibers::CancelScope scope;
  const CancelOnStop link(scope, std::move(token));
  return scope.run(std::forward<F>(body));
}

}  // namespace weft::cpp20

namespace weft {
using cpp20::CancelOnStop;
using cpp20::move_on_when_stopped;
using cpp20::with_stop_token;
}  // namespace weft
