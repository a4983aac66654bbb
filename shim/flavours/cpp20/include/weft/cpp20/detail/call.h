// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A coroutine that waits for a task. Not for use outside weft: see trio_as_awaitable.h.

#pragma once

#include "weft/fibers/detail/requirements.h"  // Before <coroutine> complains.

#include <concepts>
#include <coroutine>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <source_location>
#include <stop_token>
#include <type_traits>
#include <utility>
#include <variant>

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/token.h"
#include "weft/loop/detail/foreign_wait.h"
#include "weft/shim/detail/call_count.h"

namespace weft::cpp20::detail {

class CallTask;

// The coroutine's side of a call. Lies in its frame.
class Call {
 public:
  Call() = default;
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
  // The coroutine is destroyed while it waits: the task is cancelled, and nobody is told.
  ~Call();
  // Cancels the task.
  void request_stop() noexcept;

 protected:
  // Throws what the function has thrown, or CancelledError.
  void throw_if_failed() const;

  // Goes on with the coroutine; `stopped`: if its promise knows unhandled_stopped(), by that.
  void (*resume_)(Call& self, bool stopped) = nullptr;

 private:
  friend class CallTask;
  CallTask* task_ = nullptr;  // While there is one.
  std::exception_ptr error_;
  bool stopped_ = false;
};

// The task's side. It moves to the task's stack.
class CallTask {
 public:
  explicit CallTask(Call& call) noexcept : call_(&call) { call.task_ = this; }
  CallTask(CallTask&& other) noexcept
      : call_(std::exchange(other.call_, nullptr)), cancelled_(other.cancelled_) {
    if (call_ != nullptr) call_->task_ = this;
  }
  CallTask& operator=(CallTask&&) = delete;
  ~CallTask() {
    if (call_ != nullptr) call_->task_ = nullptr;
  }

 protected:
  // Runs `invoke(context)`, and then the coroutine. What nobody waits for goes to the nursery.
  void run(void (*invoke)(void*), void* context);
  // Null if nobody waits any more.
  Call* call() const { return call_; }

 private:
  friend class Call;
  Call* call_;
  fibers::CancelScope* scope_ = nullptr;  // While the function runs.
  bool cancelled_ = false;                // Before that.
};

// Where the task is to live: in the block of open_loop that the caller belongs to, or else as a
// system task.
class Home {
 public:
  // `nursery`: null if the caller has named none.
  explicit Home(fibers::Nursery* nursery);
  fibers::Nursery& nursery() const { return *nursery_; }
  // In the task.
  void enter() const;

 private:
  fibers::Nursery* nursery_;
  std::optional<shim::detail::CallCount> count_;
};

template <class R>
class TypedCall : public Call {
 public:
  using Stored = std::conditional_t<std::is_void_v<R>, std::monostate, R>;
  std::optional<Stored> value;
};

template <class R, class Fn>
class TypedTask final : public CallTask {
 public:
  TypedTask(TypedCall<R>& call, Fn&& fn, Home&& home)
      : CallTask(call), fn_(std::move(fn)), home_(std::move(home)) {}

  void operator()() {
    run([](void* self) { static_cast<TypedTask*>(self)->invoke(); }, this);
  }

 private:
  void invoke() {
    home_.enter();
    if constexpr (std::is_void_v<R>) {
      std::invoke(fn_);
    } else {
      R result = std::invoke(fn_);
      if (call() != nullptr) static_cast<TypedCall<R>*>(call())->value.emplace(std::move(result));
    }
  }
  Fn fn_;
  Home home_;
};

template <class P>
concept OffersStopToken = requires(P& promise) {
  { promise.get_stop_token() } -> std::convertible_to<std::stop_token>;
};
template <class P>
concept KnowsStopped = requires(P& promise) {
  { promise.unhandled_stopped() } -> std::convertible_to<std::coroutine_handle<>>;
};

// Lets a std::stop_token, stopped on any thread, cancel the call. The call may be over when the run
// hears of it: so they share where it is. Allocated, since both ends may go first.
class StopOnToken {
 public:
  StopOnToken(std::stop_token token, Call& call);
  ~StopOnToken() { *call_ = nullptr; }
  StopOnToken(const StopOnToken&) = delete;
  StopOnToken& operator=(const StopOnToken&) = delete;

 private:
  struct Stop {
    fibers::Token run;
    const void* thread;
    std::shared_ptr<Call*> call;
    void operator()() const noexcept;
  };
  std::shared_ptr<Call*> call_;
  std::stop_callback<Stop> on_stop_;
};

template <class R, class Fn>
class CallAwaiter final : public TypedCall<R> {
 public:
  CallAwaiter(Fn&& fn, fibers::Nursery* nursery, std::source_location site)
      : fn_(std::move(fn)), nursery_(nursery), site_(site) {}

  bool await_ready() const noexcept { return false; }
  template <class P>
  void await_suspend(std::coroutine_handle<P> awaiter) {
    address_ = awaiter.address();
    this->resume_ = &resume<P>;
    Home home(nursery_);
    fibers::Nursery& nursery = home.nursery();
    nursery.start_soon(TypedTask<R, Fn>(*this, std::move(fn_), std::move(home)),
                       {.unchecked_captures = true}, site_);
    // The resumer of a ForeignWait calls request_stop().
    if constexpr (OffersStopToken<P> && !std::is_same_v<P, loop::detail::ResumerPromise>) {
      std::stop_token token = awaiter.promise().get_stop_token();
      if (token.stop_possible()) on_token_.emplace(std::move(token), *this);
    }
  }
  R await_resume() {
    this->throw_if_failed();
    if constexpr (!std::is_void_v<R>) return std::move(*this->value);
  }

 private:
  template <class P>
  static void resume(Call& call, bool stopped) {
    auto& self = static_cast<CallAwaiter&>(call);
    const auto awaiter = std::coroutine_handle<P>::from_address(self.address_);
    self.on_token_.reset();
    if constexpr (KnowsStopped<P>) {
      if (stopped) return std::coroutine_handle<>(awaiter.promise().unhandled_stopped()).resume();
    }
    awaiter.resume();
  }

  Fn fn_;
  fibers::Nursery* nursery_;
  std::source_location site_;
  void* address_ = nullptr;
  std::optional<StopOnToken> on_token_;
};

template <class R, class Fn>
class [[nodiscard]] CallAwaitable {
 public:
  CallAwaitable(Fn fn, fibers::Nursery* nursery, std::source_location site)
      : fn_(std::move(fn)), nursery_(nursery), site_(site) {}
  CallAwaiter<R, Fn> operator co_await() && {
    return CallAwaiter<R, Fn>(std::move(fn_), nursery_, site_);
  }

 private:
  Fn fn_;
  fibers::Nursery* nursery_;
  std::source_location site_;
};

}  // namespace weft::cpp20::detail
