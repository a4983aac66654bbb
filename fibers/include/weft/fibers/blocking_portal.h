// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A door into a run for code that knows nothing of runs: threads of a framework, a synchronous API
// around an asynchronous library.
//
//   start_blocking_portal([](BlockingPortal& portal) {          // a run in a thread of its own
//     Page page = portal.call([] { return fetch("..."); });     // blocks this thread
//     std::future<Page> other = portal.start_task_soon([] { return fetch("..."); });
//     ...
//   });                                                         // waits for what still runs
//
// Trio has nothing like it; the names are those of AnyIO. Where a run's own worker calls back,
// from_thread is the better way: it knows the task that waits.

#pragma once

#include <exception>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>

#include "weft/fibers/nursery.h"
#include "weft/fibers/run.h"

namespace weft::fibers {

namespace detail {
class PortalDoor;

// A call on its way to the portal's nursery. One of the two is called, once, in the run.
class PortalCall {
 public:
  PortalCall() = default;
  PortalCall(const PortalCall&) = delete;
  PortalCall& operator=(const PortalCall&) = delete;
  virtual ~PortalCall() = default;
  // Throws Cancelled only.
  virtual void run() = 0;
  virtual void refuse(std::exception_ptr error) = 0;

 protected:
  // In a handler. Gives the caller the error, of which what is Cancelled goes on through the task.
  void fail();
};

struct PortalState;
void submit_to_portal(const std::shared_ptr<PortalState>& portal, std::shared_ptr<PortalCall> call);
void require_outside_run();

template <class Fn>
class TypedPortalCall final : public PortalCall {
  using R = std::invoke_result_t<Fn&>;

 public:
  template <class F>
  TypedPortalCall(std::in_place_t, F&& fn) : fn_(std::forward<F>(fn)) {}
  std::future<R> result() { return promise_.get_future(); }
  void run() override;
  void refuse(std::exception_ptr error) override { promise_.set_exception(std::move(error)); }

 private:
  Fn fn_;
  std::promise<R> promise_;
};

}  // namespace detail

// A value: copy it, hand it to other threads, keep it after the run. Made by open_blocking_portal
// and start_blocking_portal.
class BlockingPortal {
 public:
  // Calls `fn` in a new task of the portal and returns what it returns, or throws what it throws:
  // Cancelled if the portal's tasks are cancelled. Throws ClosedResourceError if the portal is
  // closed, RunFinishedError if its run is over, UsageError if this thread is inside a run.
  //
  // Blocks: the thread, until `fn` has returned.
  // Cancel: not possible; give `fn` a deadline, or use start_task_soon with a scope of yours.
  // Threads: any, outside runs.
  template <class F>
  auto call(F&& fn) const -> std::invoke_result_t<std::decay_t<F>&> {
    detail::require_outside_run();
    return start_task_soon(std::forward<F>(fn)).get();
  }

  // The same without waiting: the future gets the result or the error, also that the portal is
  // closed; RunFinishedError is thrown at once. An error concerns only who
  // asks for it; it does not touch the other tasks of the portal.
  //
  // Blocks: no; the future's get() blocks its thread, so do not call that inside a run.
  // Cancel: not a checkpoint.
  // Threads: any.
  template <class F>
  auto start_task_soon(F&& fn) const -> std::future<std::invoke_result_t<std::decay_t<F>&>> {
    using Call = detail::TypedPortalCall<std::decay_t<F>>;
    const auto call = std::make_shared<Call>(std::in_place, std::forward<F>(fn));
    auto result = call->result();
    detail::submit_to_portal(state_, call);
    return result;
  }

 private:
  friend class detail::PortalDoor;
  explicit BlockingPortal(std::shared_ptr<detail::PortalState> state) : state_(std::move(state)) {}

  std::shared_ptr<detail::PortalState> state_;
};

namespace detail {

// A portal into `nursery`, open as long as this lives.
class PortalDoor {
 public:
  explicit PortalDoor(Nursery& nursery);
  PortalDoor(const PortalDoor&) = delete;
  PortalDoor& operator=(const PortalDoor&) = delete;
  ~PortalDoor();

  BlockingPortal& portal() { return portal_; }
  const std::shared_ptr<PortalState>& state() const { return portal_.state_; }

 private:
  BlockingPortal portal_;
};

void run_blocking_portal(const std::function<void(BlockingPortal&)>& body,
                         const RunOptions& options);

}  // namespace detail

// In a task: calls `body(BlockingPortal&)` and returns what it returns, after the portal has closed
// and all tasks that came through it have ended. If the body throws, they are cancelled.
//
// Blocks: yes, always a schedule point.
// Cancel: cancels the portal's tasks, and waits.
// Threads: the run's own only.
template <class Body>
auto open_blocking_portal(Body&& body,
                          std::source_location site = std::source_location::current()) {
  return open_nursery(
      [&](Nursery& nursery) {
        detail::PortalDoor door(nursery);
        return std::invoke(std::forward<Body>(body), door.portal());
      },
      site);
}

// Starts a run in a new thread and calls `body(BlockingPortal&)` in this one. Returns what it
// returns, after all tasks that came through the portal have ended, and the run with them. If the
// body throws, they are cancelled; an error of the run itself comes out too.
//
// Blocks: the thread.
// Cancel: does not apply.
// Threads: any, outside runs.
template <class Body>
auto start_blocking_portal(Body&& body, const RunOptions& options = {})
    -> std::invoke_result_t<Body, BlockingPortal&> {
  using R = std::invoke_result_t<Body, BlockingPortal&>;
  if constexpr (std::is_void_v<R>) {
    detail::run_blocking_portal([&](BlockingPortal& portal) { std::invoke(body, portal); },
                                options);
  } else {
    std::optional<R> result;
    detail::run_blocking_portal(
        [&](BlockingPortal& portal) { result.emplace(std::invoke(body, portal)); }, options);
    return std::move(*result);
  }
}

template <class Fn>
void detail::TypedPortalCall<Fn>::run() {
  try {
    if constexpr (std::is_void_v<R>) {
      std::invoke(fn_);
      promise_.set_value();
    } else {
      promise_.set_value(std::invoke(fn_));
    }
  } catch (...) {
    fail();
  }
}

}  // namespace weft::fibers
