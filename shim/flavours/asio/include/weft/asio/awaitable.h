// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Asio's coroutines and weft's tasks, each waiting for the other.
//
//   boost::asio::awaitable<int> ask(tcp::socket& socket);           // as it was
//   int answer = weft::asio::await(ask(socket));                    // in a task
//
//   boost::asio::awaitable<void> coroutine(weft::fibers::Nursery& nursery) {
//     int value = co_await weft::asio::trio_as_asio(              // in a coroutine
//         nursery, [] { return ask_the_network(); }, boost::asio::use_awaitable);
//   }

#pragma once

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "weft/asio/run.h"
#include "weft/asio/use_fiber.h"
#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/nursery.h"

namespace weft::asio {

// Runs `coroutine` in `executor` or in a context, which may be another thread's, waits for it, and
// returns what it returns or throws what it throws. If the task is cancelled, the coroutine gets
// one terminal cancellation and the task waits for its end: a system_error with operation_aborted
// (or channel_cancelled) becomes Cancelled, and anything else that comes counts.
//
// Blocks: yes, always a checkpoint.
// Cancel: before the coroutine begins: it is dropped. Afterwards it is cancelled and waited for; a
// result that comes counts.
// Threads: the run's own only.
// Inline, as all waits of a token are.
template <class T, class Executor, class E>
[[gnu::always_inline]] inline T await(::boost::asio::awaitable<T, Executor> coroutine,
                                      const E& executor) {
  return ::boost::asio::co_spawn(executor, std::move(coroutine), use_fiber);
}
template <class T, class Executor, class Context>
requires detail::kIsContext<Context>
[[gnu::always_inline]] inline T await(::boost::asio::awaitable<T, Executor> coroutine,
                                      Context& context) {
  return asio::await(std::move(coroutine), context.get_executor());
}

// The same in the context that this run is a guest of; UsageError if there is none.
//
// Blocks: yes, always a checkpoint.
// Cancel: before the coroutine begins: it is dropped. Afterwards it is cancelled and waited for; a
// result that comes counts.
// Threads: the run's own only.
template <class T, class Executor>
[[gnu::always_inline]] inline T await(::boost::asio::awaitable<T, Executor> coroutine) {
  fibers::checkpoint_if_cancelled();
  return asio::await(std::move(coroutine), current_context().get_executor());
}

namespace detail {

template <class R>
struct FiberSignature {
  using Type = void(std::exception_ptr, R);
};
template <>
struct FiberSignature<void> {
  using Type = void(std::exception_ptr);
};

struct PartedError {
  std::exception_ptr for_handler;
  std::exception_ptr for_task;  // Null if the error is not a cancellation.
};
// In a handler.
PartedError part_error();
std::exception_ptr aborted_error();

// Where a handler is called: in its own executor, or else in the context of this run's host.
template <class Handler>
auto executor_of(const Handler& handler) {
  struct None {};
  if constexpr (std::is_same_v<::boost::asio::associated_executor_t<Handler, None>, None>) {
    return current_context().get_executor();
  } else {
    return ::boost::asio::get_associated_executor(handler);
  }
}

// A task that a handler waits for.
template <class R, class Fn, class Handler>
class FiberCall {
  using Executor = decltype(detail::executor_of(std::declval<const Handler&>()));
  using Value = std::conditional_t<std::is_void_v<R>, std::nullptr_t, R>;

 public:
  FiberCall(Fn fn, Handler handler)
      : fn_(std::move(fn)),
        handler_(std::move(handler)),
        executor_(detail::executor_of(handler_)),
        work_(executor_) {}
  FiberCall(const FiberCall&) = delete;
  FiberCall& operator=(const FiberCall&) = delete;
  ~FiberCall() { stop_listening(); }

  // If there is no task. Asio's coroutines cannot stand an initiation that throws.
  void fail(std::exception_ptr error) {
    stop_listening();
    deliver(std::move(error), std::nullopt);
  }

  // Before the task starts: afterwards the handler must not be lost for want of memory.
  void listen() {
    slot_ = ::boost::asio::get_associated_cancellation_slot(handler_);
    if (slot_.is_connected())
      slot_.assign([this](::boost::asio::cancellation_type) { scope_.cancel(); });
  }

  void run() {
    PartedError error;
    std::optional<Value> value;
    try {
      const auto ended = scope_.run([&] {
        if constexpr (std::is_void_v<R>) {
          std::invoke(fn_);
          value.emplace();
        } else {
          value.emplace(std::invoke(fn_));
        }
      });
      if (!ended.finished()) error.for_handler = aborted_error();
    } catch (...) {
      error = part_error();
    }
    stop_listening();
    deliver(error.for_handler, std::move(value));
    if (error.for_task != nullptr) std::rethrow_exception(std::move(error.for_task));
  }

 private:
  void stop_listening() noexcept {
    if (auto slot = std::exchange(slot_, {}); slot.is_connected()) slot.clear();
  }
  void deliver(std::exception_ptr error, std::optional<Value> value) {
    ::boost::asio::post(executor_, [handler = std::move(handler_), error = std::move(error),
                                    value = std::move(value), work = std::move(work_)]() mutable {
      if constexpr (std::is_void_v<R>) {
        static_cast<void>(value);  // clang asks for its use.
        std::move(handler)(std::move(error));
      } else {
        std::move(handler)(std::move(error), value ? std::move(*value) : R());
      }
    });
  }

  Fn fn_;
  Handler handler_;
  Executor executor_;
  ::boost::asio::executor_work_guard<Executor> work_;
  ::boost::asio::associated_cancellation_slot<Handler>::type slot_;
  fibers::CancelScope scope_;
};

}  // namespace detail

// An operation of Asio's, for any completion token: calls `fn` in a new task of `nursery`'s. It
// ends with what `fn` returns, which is default-constructible as Asio wants it, or throws. A
// cancellation of the operation cancels the task, and is over when that has ended; it ends with a
// system_error, operation_aborted, also if somebody else cancels the task. What keeps the task from
// starting, as a nursery that is over or is another thread's does, is an error of the operation.
//
// The handler is called in its own executor, as a coroutine has one, which may be a RunExecutor
// (executor.h). One without an executor is called in the context that the run is a guest of;
// UsageError if there is none.
//
// Blocks: no; as the token says.
// Cancel: does not apply: it is not in a task.
// Threads: the run's own only.
template <class F, class Token>
auto trio_as_asio(fibers::Nursery& nursery, F&& fn, Token&& token) {
  using Fn = std::decay_t<F>;
  using R = std::decay_t<std::invoke_result_t<Fn&>>;
  static_assert(
      std::is_void_v<R> || std::is_default_constructible_v<R>,
      "the handler of an operation that fails gets a value all the same: let the function "
      "return one that has a default constructor, such as a std::optional of it");
  return ::boost::asio::async_initiate<Token, typename detail::FiberSignature<R>::Type>(
      [&nursery](auto handler, Fn body) {
        using Call = detail::FiberCall<R, Fn, decltype(handler)>;
        const auto call = std::make_shared<Call>(std::move(body), std::move(handler));
        try {
          call->listen();
          nursery.start_soon([call] { call->run(); }, {.unchecked_captures = true});
        } catch (...) {
          call->fail(std::current_exception());
        }
      },
      token, Fn(std::forward<F>(fn)));
}

}  // namespace weft::asio
