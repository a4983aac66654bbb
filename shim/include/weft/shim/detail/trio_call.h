// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A call of a Trio-flavoured function from the loop. Not for use outside weft: see trio_as_aio.h.

#pragma once

#include <exception>
#include <functional>
#include <new>
#include <optional>
#include <source_location>
#include <string>
#include <type_traits>
#include <utility>

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/context_var.h"
#include "weft/fibers/detail/captures.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/loop/event_loop.h"
#include "weft/loop/future.h"
#include "weft/shim/detail/call_count.h"
#include "weft/shim/detail/start_gate.h"

namespace weft::shim {
namespace detail {

// What the call's future adds to a plain one. Before the task has begun cancelling the future ends
// it at once, and the task never begins. Afterwards it cancels the task, whose end ends the future.
class TrioCall {
 public:
  explicit TrioCall(loop::detail::FutureCore& future) : future_(future) {}
  TrioCall(const TrioCall&) = delete;
  TrioCall& operator=(const TrioCall&) = delete;

  bool request_cancel(std::exception_ptr payload);
  bool begun() const { return begun_; }
  // How to call the function and how to set the future's value.
  struct Steps {
    void (*call)(void* context);
    void (*finish)(void* context);
    void* context;
  };
  // Runs `steps.call` in the task, then ends the future: by `steps.finish` if that has returned.
  void run(const Steps& steps);
  // The task cannot begin.
  void fail(const std::exception_ptr& error);
  // Its turn will never come.
  void drop() noexcept;

 private:
  void end_cancelled();
  // What is left after the task's own scope. Throws what has to reach the scopes outside.
  void end_with(const std::exception_ptr& error);

  loop::detail::FutureCore& future_;
  fibers::CancelScope* scope_ = nullptr;  // While the task runs.
  bool begun_ = false;
  bool cancel_requested_ = false;
  std::exception_ptr payload_;
};

// The function lies here, so that what goes through the queue and into the task is a pointer, and
// none of its constructors runs between a check and what the check is for.
template <class R, class Fn>
class TrioFuture final : public loop::detail::FutureBox<R> {
 public:
  using Box = loop::detail::FutureBox<R>;
  template <class F>
  TrioFuture(loop::detail::LoopCore& loop, std::source_location site, F&& fn)
      : Box(loop, site), fn_(std::in_place, std::forward<F>(fn)) {}

  bool cancel(std::exception_ptr payload) override {
    if (call.begun()) return call.request_cancel(std::move(payload));
    this->retain();  // The function's destructor may drop the last reference.
    const bool cancelled = call.request_cancel(std::move(payload));
    fn_.reset();
    this->release();
    return cancelled;
  }

  void run() {
    Running running{*this, std::nullopt};
    call.run({[](void* context) { static_cast<Running*>(context)->call(); },
              [](void* context) { static_cast<Running*>(context)->finish(); }, &running});
  }
  void drop() noexcept {
    call.drop();
    fn_.reset();
  }
  const void* closure() const { return &*fn_; }

  TrioCall call{*this};

 private:
  void destroy() noexcept override {
    loop::detail::LoopCore& core = this->loop();
    this->~TrioFuture();
    loop::detail::free_block(core, this, sizeof(TrioFuture));
  }

  struct Running {
    TrioFuture& future;
    std::optional<typename Box::Stored> result;
    void call() {
      if constexpr (std::is_void_v<R>) {
        std::invoke(*future.fn_);
        result.emplace();
      } else {
        result.emplace(std::invoke(*future.fn_));
      }
    }
    void finish() { future.set_value(std::move(*result)); }
  };

  std::optional<Fn> fn_;
};

// A count on a TrioFuture. What is destroyed before its turn has come ends it as cancelled.
template <class Call>
class CallRef {
 public:
  explicit CallRef(Call* future) noexcept : future_(future) { future->retain(); }
  CallRef(CallRef&& other) noexcept : future_(std::exchange(other.future_, nullptr)) {}
  CallRef(const CallRef&) = delete;
  CallRef& operator=(const CallRef&) = delete;
  ~CallRef() {
    if (future_ == nullptr) return;
    future_->drop();
    future_->release();
  }
  Call* operator->() const { return future_; }

 private:
  Call* future_;
};

// The block of open_loop that the calling code belongs to, and its parts.
LoopBlock& block_for_tasks();
loop::EventLoop& loop_of(LoopBlock& block);
loop::detail::LoopCore& core_of(LoopBlock& block);
// Null if no task can be started any more.
fibers::Nursery* tasks_of(LoopBlock& block);
// In a new task, which has the context variables of whoever asked for it: makes the block's loop
// its current_loop().
void belong_to(LoopBlock& block);
void run_monitored(const std::function<void()>& fn, std::source_location site);

template <class Call, class F>
Call* make_trio_call(loop::detail::LoopCore& core, F&& fn, std::source_location site) {
  void* block = loop::detail::allocate_block(core, sizeof(Call));
  try {
    return ::new (block) Call(core, site, std::forward<F>(fn));
  } catch (...) {
    loop::detail::free_block(core, block, sizeof(Call));
    throw;
  }
}

// What the task does.
template <class Call>
struct RunTrioCall {
  CallRef<Call> call;
  StartGate* gate;
  CallCount count;

  void operator()() const {
    gate->open();
    try {
      belong_to(count.block());
    } catch (...) {
      return call->call.fail(std::current_exception());
    }
    call->run();
  }
};

// In the callback: starts the task and waits until it has begun.
template <class Call>
void begin_trio_call(CallCount& count, CallRef<Call>& call, fibers::Context& context,
                     std::source_location site) {
  fibers::Nursery* tasks = tasks_of(count.block());
  if (tasks == nullptr || call->done()) return;
  StartGate gate;
  RunTrioCall<Call> task{std::move(call), &gate, std::move(count)};
  try {
    context.run([&] { tasks->start_soon(std::move(task), {.unchecked_captures = true}, site); });
  } catch (...) {
    // Nothing has been moved: the only thing that fails is to make a task.
    return task.call->call.fail(std::current_exception());
  }
  gate.wait();
}

// Nobody waits for it: what the user's function refers to has to outlive the loop's tasks.
template <class F>
struct MonitoredBody {
  using Checked = fibers::detail::CheckedPartOf<F>;
  F fn;
  std::source_location site;
  void operator()() {
    run_monitored([&] { std::invoke(fn); }, site);
  }
};
template <class Fn>
inline constexpr bool kIsMonitored = false;
template <class F>
inline constexpr bool kIsMonitored<MonitoredBody<F>> = true;

template <class F>
auto start_trio_call(F&& fn, std::source_location site) {
  using Fn = std::decay_t<F>;
  using R = std::decay_t<std::invoke_result_t<Fn&>>;
  using Call = TrioFuture<R, Fn>;
  LoopBlock& block = block_for_tasks();
  auto* call = make_trio_call<Call>(core_of(block), std::forward<F>(fn), site);
  loop::Future<R> future = loop::FutureAccess::wrap<R>(call);
  if constexpr (kIsMonitored<Fn>) {
    if (const fibers::Nursery* tasks = tasks_of(block)) {
      fibers::detail::require_lasting_captures(call->closure(), fibers::detail::kClosureType<Fn>,
                                               *tasks, site);
    }
  }
  // A callback runs only while its block is there.
  loop_of(block).call_soon(
      [ref = CallRef<Call>(call), site, count = CallCount(block),
       context = fibers::copy_context()]() mutable { begin_trio_call(count, ref, context, site); },
      site);
  return future;
}

// A call whose future nobody holds.
template <class F>
void start_trio_task(F&& fn, std::source_location site) {
  static_cast<void>(
      start_trio_call(MonitoredBody<std::decay_t<F>>{std::forward<F>(fn), site}, site));
}

}  // namespace detail
}  // namespace weft::shim
