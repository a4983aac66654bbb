// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A call of a Trio-flavoured function from the loop. Not for use outside weft: see trio_as_aio.h.

#pragma once

#include <exception>
#include <functional>
#include <new>
#include <source_location>
#include <string>
#include <type_traits>
#include <utility>

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/context_var.h"
#include "weft/fibers/nursery.h"
#include "weft/loop/event_loop.h"
#include "weft/loop/future.h"

namespace weft::shim {

class LoopBlock;

namespace detail {

// What the call's future adds to a plain one: cancelling it cancels the task, and only the task's
// end ends it.
class TrioCall {
 public:
  explicit TrioCall(loop::detail::FutureCore& future) : future_(future) {}
  TrioCall(const TrioCall&) = delete;
  TrioCall& operator=(const TrioCall&) = delete;

  bool request_cancel(std::string message);
  bool cancel_requested() const { return cancel_requested_; }
  // Runs `fn` in the task, then ends the future: by `finish` if `fn` has put a value in place.
  void run(const std::function<void()>& fn, void (*finish)(loop::detail::FutureCore&));
  // Its turn will never come.
  void drop() noexcept;

 private:
  void end_cancelled();
  // What is left after the task's own scope. Throws what has to reach the scopes outside.
  void end_with(const std::exception_ptr& error);

  loop::detail::FutureCore& future_;
  fibers::CancelScope* scope_ = nullptr;  // While the task runs.
  bool cancel_requested_ = false;
  std::string message_;
};

template <class R>
class TrioFuture final : public loop::detail::FutureBox<R> {
 public:
  using Box = loop::detail::FutureBox<R>;
  TrioFuture(loop::detail::LoopCore& loop, std::source_location site) : Box(loop, site) {}
  bool cancel(std::string message) override { return call.request_cancel(std::move(message)); }

  template <class F>
  void run(F& fn) {
    call.run(
        [&] {
          if constexpr (std::is_void_v<R>) {
            std::invoke(fn);
          } else {
            this->value.emplace(std::invoke(fn));
          }
        },
        [](loop::detail::FutureCore& future) { future.finish(); });
  }

  TrioCall call{*this};

 private:
  void destroy() noexcept override {
    loop::detail::LoopCore& core = this->loop();
    this->~TrioFuture();
    loop::detail::free_block(core, this, sizeof(TrioFuture));
  }
};

// A count on a TrioFuture. What is destroyed before its turn has come ends it as cancelled.
template <class R>
class CallRef {
 public:
  explicit CallRef(TrioFuture<R>* future) noexcept : future_(future) { future->retain(); }
  CallRef(CallRef&& other) noexcept : future_(std::exchange(other.future_, nullptr)) {}
  CallRef(const CallRef&) = delete;
  CallRef& operator=(const CallRef&) = delete;
  ~CallRef() {
    if (future_ == nullptr) return;
    future_->call.drop();
    future_->release();
  }
  TrioFuture<R>* operator->() const { return future_; }

 private:
  TrioFuture<R>* future_;
};

// Lets the loop's task wait until a task that it has started has begun.
class StartGate {
 public:
  StartGate() = default;
  StartGate(const StartGate&) = delete;
  StartGate& operator=(const StartGate&) = delete;
  // The loop's side. Does not hand the loop over: nothing else is to begin meanwhile.
  void wait();
  // The task's side.
  void open();

 private:
  bool opened_ = false;
  fibers::Task* waiting_ = nullptr;
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

template <class F>
auto start_trio_call(F&& fn, std::source_location site) {
  using Fn = std::decay_t<F>;
  using R = std::decay_t<std::invoke_result_t<Fn&>>;
  LoopBlock& block = block_for_tasks();
  loop::detail::LoopCore& core = core_of(block);
  auto* call =
      ::new (loop::detail::allocate_block(core, sizeof(TrioFuture<R>))) TrioFuture<R>(core, site);
  loop::Future<R> future = loop::FutureAccess::wrap<R>(call);
  // A callback runs only while its block is there.
  loop_of(block).call_soon(
      [ref = CallRef<R>(call), fn = Fn(std::forward<F>(fn)), site, &block,
       context = fibers::copy_context()]() mutable {
        fibers::Nursery* tasks = tasks_of(block);
        if (tasks == nullptr || ref->call.cancel_requested()) return;
        StartGate gate;
        context.run([&] {
          tasks->start_soon(
              [ref = std::move(ref), fn = std::move(fn), &gate, &block]() mutable {
                gate.open();
                belong_to(block);
                ref->run(fn);
              },
              {}, site);
        });
        gate.wait();
      },
      site);
  return future;
}

template <class F>
void start_trio_task(F&& fn, std::source_location site) {
  LoopBlock& block = block_for_tasks();
  loop_of(block).call_soon(
      [fn = std::decay_t<F>(std::forward<F>(fn)), site, &block,
       context = fibers::copy_context()]() mutable {
        fibers::Nursery* tasks = tasks_of(block);
        if (tasks == nullptr) return;
        StartGate gate;
        context.run([&] {
          tasks->start_soon(
              [fn = std::move(fn), site, &gate, &block]() mutable {
                gate.open();
                belong_to(block);
                run_monitored([&] { std::invoke(fn); }, site);
              },
              {}, site);
        });
        gate.wait();
      },
      site);
}

}  // namespace detail
}  // namespace weft::shim
