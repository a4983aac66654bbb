// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The part of EventLoop that schedules callbacks. (asyncio.BaseEventLoop.)

#pragma once

#include <source_location>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "weft/fibers/clock.h"
#include "weft/fibers/detail/misuse.h"
#include "weft/loop/handle.h"

namespace weft::loop {

struct LoopAccess;
struct TaskAccess;

class LoopScheduling {
 public:
  LoopScheduling(const LoopScheduling&) = delete;
  LoopScheduling& operator=(const LoopScheduling&) = delete;

  // Schedules `fn` for the next iteration. First in, first out; takes any callable without
  // arguments, also a move-only one, and ignores what it returns. Throws UsageError when closed.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the loop's own only; elsewhere call_soon_threadsafe.
  template <class F>
  Handle call_soon(F&& fn, std::source_location site = std::source_location::current()) {
    return HandleAccess::wrap(
        detail::schedule_soon(detail::make_node(*core_, std::forward<F>(fn), site)));
  }
  template <class F, class... Given>
  requires fibers::detail::kGivesArgument<std::source_location, Given...>
  auto call_soon(F&&, Given&&...) {
    static_assert(fibers::detail::kMisused<F>, WEFT_TAKES_NO_ARGUMENTS);
  }
  // Schedules `fn` for when the loop's time is `when`; never earlier. Equal times in the order of
  // the calls. Past times are fine, and go through the same order. kForever never comes.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the loop's own only.
  template <class F>
  TimerHandle call_at(fibers::Instant when, F&& fn,
                      std::source_location site = std::source_location::current()) {
    return HandleAccess::wrap<TimerHandle>(
        detail::schedule_at(detail::make_node(*core_, std::forward<F>(fn), site), when));
  }
  template <class F, class... Given>
  requires fibers::detail::kGivesArgument<std::source_location, Given...>
  auto call_at(fibers::Instant, F&&, Given&&...) {
    static_assert(fibers::detail::kMisused<F>, WEFT_TAKES_NO_ARGUMENTS);
  }
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the loop's own only.
  template <class F>
  TimerHandle call_later(fibers::Duration delay, F&& fn,
                         std::source_location site = std::source_location::current()) {
    return call_at(fibers::later(time(), delay), std::forward<F>(fn), site);
  }
  template <class F, class... Given>
  requires fibers::detail::kGivesArgument<std::source_location, Given...>
  auto call_later(fibers::Duration, F&&, Given&&...) {
    static_assert(fibers::detail::kMisused<F>, WEFT_TAKES_NO_ARGUMENTS);
  }
  // call_soon for other threads; wakes the loop. Keeps the order with the calls of its own thread
  // and with call_soon. Throws UsageError when closed.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: any, but no signal handlers: it allocates.
  ThreadsafeHandle call_soon_threadsafe(
      absl::AnyInvocable<void()> fn, std::source_location site = std::source_location::current());
  // The time of the run's clock.
  fibers::Instant time() const;

  // Calls `fn` in every iteration before the loop waits, for libraries that want to be asked then.
  // It may schedule, and may return the fibers::Instant at which the loop is to ask again at the
  // latest. It must not wait: UsageError. Work that such a library gets from outside the loop's
  // callbacks needs a call_soon, so that the loop asks again. (asyncio has no such hook.)
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the loop's own only.
  template <class F>
  PrepareHandle add_prepare(F&& fn, std::source_location site = std::source_location::current()) {
    return add_prepare_node(
        detail::make_node<detail::CallPrepare>(*core_, std::forward<F>(fn), site));
  }

 protected:
  // Shared with the handles and futures that outlive the loop.
  explicit LoopScheduling(detail::LoopCore* core) noexcept : core_(core) {}
  ~LoopScheduling() = default;

  detail::LoopCore* const core_;

 private:
  friend struct LoopAccess;
  friend struct TaskAccess;
  PrepareHandle add_prepare_node(detail::HandleNode* node);
};

}  // namespace weft::loop
