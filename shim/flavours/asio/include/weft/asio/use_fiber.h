// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A completion token: a task waits for any operation of Asio's, or of a library built on it.
//
//   using weft::asio::use_fiber;
//   std::size_t count = socket.async_read_some(buffer(data), use_fiber);
//   weft::fibers::fail_after(5s, [&] { http::async_read(stream, buffer, request, use_fiber); });
//
// Results: what stands behind an error_code or exception_ptr is returned, several as a tuple. An
// error is thrown, an error_code as boost::system::system_error. Asio's adapters go around it as
// ever: redirect_error, as_tuple, bind_executor, bind_allocator and bind_cancellation_slot.
//
// Cancelled: the operation's cancellation slot gets the signal, with all types, so it does what it
// can; the task waits for its end. operation_aborted, or a channel's channel_cancelled, becomes
// Cancelled, and anything else that comes counts: a result that won the race is returned. Through
// redirect_error and as_tuple the error_code comes unchanged, and it is the next checkpoint that
// throws. An operation that has no use for its slot, as a name look-up, is waited for; so is one
// whose token is bound to another slot by bind_cancellation_slot: that alone cancels it then.
//
// Nothing of weft's is allocated. Where the io_context runs does not matter, but Asio's objects
// belong to one thread at a time: see use_fiber_t::on for those of another thread's.

#pragma once

#include <boost/asio/async_result.hpp>
#include <boost/asio/dispatch.hpp>
#include <exception>
#include <tuple>
#include <type_traits>
#include <utility>

#include "weft/asio/detail/executor_among.h"
#include "weft/asio/detail/fiber_handler.h"
#include "weft/asio/detail/fiber_wait.h"
#include "weft/fibers/detail/outside_task.h"

namespace weft::asio {

// The token's type. `Executor` is void unless on() has named one.
template <class Executor = void>
class use_fiber_t;

template <>
class use_fiber_t<void> {
 public:
  constexpr use_fiber_t() = default;

  // A token for objects of another thread's io_context, or of a strand: the operation is started,
  // carried on and cancelled in `executor`, where its handler belongs. Only the task waits here.
  template <class Executor>
  constexpr use_fiber_t<Executor> on(const Executor& executor) const {
    return use_fiber_t<Executor>(executor);
  }
  // The same in an io_context, a thread_pool.
  template <class Context>
  requires detail::kIsContext<Context>
  constexpr auto on(Context& context) const { return on(context.get_executor()); }

  // Asio's way of default tokens: use_fiber_t<>::as_default_on_t<tcp::socket>, whose operations
  // need no token.
  template <class Inner>
  // NOLINTNEXTLINE(readability-identifier-naming): the name that Asio's own tokens give it.
  struct executor_with_default : Inner {
    using default_completion_token_type = use_fiber_t;
    template <class Other>
    requires(!std::is_same_v<Other, executor_with_default> && std::is_convertible_v<Other, Inner>)
        // NOLINTNEXTLINE(google-explicit-constructor): Asio converts its executors.
        executor_with_default(const Other& other)
    noexcept : Inner(other) {}
  };
  template <class T>
  using as_default_on_t =
      typename T::template rebind_executor<executor_with_default<typename T::executor_type>>::other;
  template <class T>
  static auto as_default_on(T&& object) {
    return as_default_on_t<std::decay_t<T>>(std::forward<T>(object));
  }
};

template <class Executor>
class use_fiber_t {
 public:
  explicit constexpr use_fiber_t(const Executor& executor) : executor_(executor) {}
  const Executor& get_executor() const noexcept { return executor_; }

 private:
  Executor executor_;
};

// An operation that this token is given to:
// Blocks: yes, always a checkpoint.
// Cancel: before the operation: it is not started. Later see above; a result that comes counts.
// Threads: the run's own only, in a task.
// NOLINTNEXTLINE(readability-identifier-naming): a token, named as Asio's are.
inline constexpr use_fiber_t<> use_fiber;

namespace detail {

// What Asio runs at once, as the first steps of a coroutine, is not in the task and must not wait.
template <class... T>
struct Operation {
  using Wait = FiberWait<T...>;
  using Result = typename Wait::Result;

  // Inline, as the kernel's own waits are: see FiberWait.
  template <class Initiation, class... Args>
  [[gnu::always_inline]] static Result run(const use_fiber_t<void>&, Initiation&& initiation,
                                           Args&&... args) {
    Wait wait;
    auto executor = executor_among(initiation, args...);
    // The operation's own, told to whoever composes operations: without it Beast associates its
    // inner handlers with one that counts their work, by which Asio then submits each of their ends
    // instead of calling them. post() and its like have no arguments, and would only submit twice.
    using Executor = std::conditional_t<sizeof...(Args) == 0, Here, decltype(executor)>;
    auto start = [&]() noexcept {
      try {
        std::forward<Initiation>(initiation)(FiberHandler<Executor, T...>(wait, {&executor}),
                                             std::forward<Args>(args)...);
      } catch (...) {
        wait.fail(std::current_exception());
      }
    };
    fibers::detail::call_outside_task(start);
    return wait.await(&cancel_in<decltype(executor)>, &executor);
  }

  template <class Executor, class Initiation, class... Args>
  static Result run(const use_fiber_t<Executor>& token, Initiation&& initiation, Args&&... args) {
    Wait wait;
    Executor executor = token.get_executor();
    auto start = [&](FiberHandler<Executor, T...> handler) {
      std::forward<Initiation>(initiation)(std::move(handler), std::forward<Args>(args)...);
    };
    using Start = Starter<decltype(start), FiberHandler<Executor, T...>>;
    wait.add_party();
    auto dispatch = [&]() noexcept {
      try {
        ::boost::asio::dispatch(executor, Start{Party(wait), &start, {wait, {&executor}}});
      } catch (...) {
        wait.fail(std::current_exception());
      }
    };
    fibers::detail::call_outside_task(dispatch);
    return wait.await(&cancel_in<Executor>, &executor);
  }
};

}  // namespace detail
}  // namespace weft::asio

namespace boost::asio {

template <class Executor, class R, class... Args>
class async_result<::weft::asio::use_fiber_t<Executor>, R(Args...)> {
  using Operation = ::weft::asio::detail::Operation<std::decay_t<Args>...>;

 public:
  using return_type = typename Operation::Result;

  template <class Initiation, class Token, class... InitArgs>
  [[gnu::always_inline]] static return_type initiate(Initiation&& initiation, Token&& token,
                                                     InitArgs&&... args) {
    return Operation::run(token, std::forward<Initiation>(initiation),
                          std::forward<InitArgs>(args)...);
  }
};

}  // namespace boost::asio
