// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The part of timeout() that does not depend on types, and how it runs what it limits. Not for use
// outside weft.

#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/clock.h"
#include "weft/loop/coro.h"
#include "weft/loop/handle.h"
#include "weft/loop/task.h"

namespace weft::loop::detail {

template <class T>
struct CoroValue {};
template <class T>
struct CoroValue<Coro<T>> {
  using Type = T;
};
template <class F>
concept ReturnsCoro = requires {
  typename CoroValue<std::invoke_result_t<F&>>::Type;
};

// asyncio's Timeout: enter() and leave() are its `async with`.
class TimeoutCore {
 public:
  explicit TimeoutCore(fibers::Instant when) noexcept : when_(when) {}
  TimeoutCore(const TimeoutCore&) = delete;
  TimeoutCore& operator=(const TimeoutCore&) = delete;
  ~TimeoutCore() { disarm(); }

  // `scope`: around a body on a stack. It is cancelled where the body waits for something of
  // fibers, which an asyncio cancellation would end once for the whole task.
  void enter(fibers::CancelScope* scope = nullptr);
  // What the body has ended with, or null. Throws TimeoutError instead if that is due.
  void leave(const std::exception_ptr& error);
  fibers::Instant when() const { return when_; }
  void reschedule(fibers::Instant when);
  bool expired() const { return state_ == State::kExpiring || state_ == State::kExpired; }
  // "created", "active", "expiring", "expired" or "finished".
  const char* state_name() const;

 private:
  enum class State { kCreated, kEntered, kExpiring, kExpired, kExited };
  void expire();
  void arm();
  void disarm() noexcept;

  State state_ = State::kCreated;
  fibers::Instant when_;
  Handle handle_;
  TaskBase task_;  // Whose body it is, while it goes on.
  std::uint32_t cancelling_ = 0;
  bool cancelled_task_ = false;  // And not its scope.
  fibers::CancelScope* scope_ = nullptr;
};

// Leaves it if the coroutine goes, without having ended.
struct TimeoutEntered {
  explicit TimeoutEntered(std::shared_ptr<TimeoutCore> c) : core(std::move(c)) { core->enter(); }
  TimeoutEntered(const TimeoutEntered&) = delete;
  TimeoutEntered& operator=(const TimeoutEntered&) = delete;
  ~TimeoutEntered() {
    if (core != nullptr) core->leave(nullptr);
  }
  void leave(const std::exception_ptr& error) { std::exchange(core, nullptr)->leave(error); }
  std::shared_ptr<TimeoutCore> core;
};

// Awaits `body`, a Coro or a Future.
template <class T, class A>
Coro<T> run_limited(std::shared_ptr<TimeoutCore> core, A body) {
  TimeoutEntered entered(std::move(core));
  std::exception_ptr error;
  try {
    if constexpr (std::is_void_v<T>) {
      co_await std::move(body);
      entered.leave(nullptr);
      co_return;
    } else {
      T value = co_await std::move(body);
      entered.leave(nullptr);
      co_return value;
    }
  } catch (...) {
    error = std::current_exception();
  }
  if (entered.core != nullptr) entered.leave(error);
  std::rethrow_exception(error);
}

template <class F>
auto run_limited_function(std::shared_ptr<TimeoutCore> core, F body) -> std::invoke_result_t<F&> {
  // Returned by `co_return co_await`, so that `body` lives until it has ended.
  using T = typename CoroValue<std::invoke_result_t<F&>>::Type;
  co_return co_await run_limited<T>(std::move(core), std::invoke(body));
}

// Calls `body` here and now.
template <class F>
auto run_limited_here(const std::shared_ptr<TimeoutCore>& core, F& body)
    -> std::invoke_result_t<F&> {
  using R = std::invoke_result_t<F&>;
  fibers::CancelScope scope;
  core->enter(&scope);
  std::exception_ptr error;
  std::optional<std::conditional_t<std::is_void_v<R>, std::monostate, R>> value;
  const auto keep = [&] {
    try {
      if constexpr (std::is_void_v<R>) {
        body();
        value.emplace();
      } else {
        value.emplace(body());
      }
    } catch (...) {
      error = std::current_exception();
      throw;
    }
  };
  try {
    scope.run(keep);
  } catch (...) {
    error = std::current_exception();
  }
  core->leave(error);
  if (error != nullptr) std::rethrow_exception(error);
  if constexpr (!std::is_void_v<R>) return std::move(*value);
}

}  // namespace weft::loop::detail
