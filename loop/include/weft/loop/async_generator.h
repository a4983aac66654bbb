// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Asynchronous generators: functions that yield values, and wait in between.
//
//   AsyncGenerator<std::string> lines(EventLoop& loop, int fd) {      // a coroutine
//     std::string rest;
//     for (;;) {
//       std::string data = co_await loop.sock_recv(fd, 4096);
//       if (data.empty()) co_return;
//       for (std::string& line : cut(rest, data)) co_yield std::move(line);
//     }
//   }
//   auto rows = async_generator<Row>([&](Yield<Row>& yield) {         // on a stack of its own
//     while (fetch(cursor)) yield(row_of(cursor));
//   });
//
//   while (auto line = co_await all.next()) use(*line);               // in a coroutine
//   for (const Row& row : rows) use(row);                             // on a stack
//
// Leaving such a loop early leaves the generator suspended. Close it, by `co_await all.aclose()`,
// or drop it: then its loop closes it, in a task. (Python: async def with yield; asyncio:
// shutdown_asyncgens.)

#pragma once

#include "weft/fibers/detail/requirements.h"  // Before <coroutine> complains.

#include <concepts>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>

#include "weft/loop/coro.h"
#include "weft/loop/detail/generator_core.h"
#include "weft/loop/detail/generator_types.h"

namespace weft::loop {

// Thrown at a yield when the generator is to end: by aclose(), and when it is dropped. Let it pass,
// or catch it to wait while cleaning up and throw it on. To yield another value then is an error.
// Not a std::exception. (Python: GeneratorExit.)
class GeneratorExit {};

// Yields values of T. `S`: what asend() sends, which `co_yield` then gives as a std::optional<S>,
// empty after next(). Each method returns a coroutine, whose effect begins when it is awaited; one
// at a time, otherwise UsageError. A generator begins in the first next(), and belongs to the loop
// in whose callback or task that is; outside of those to none, and if it is dropped while it is
// suspended, then its frame is destroyed, and nothing is thrown at its yield.
template <class T, class S = void>
class [[nodiscard]] AsyncGenerator {
  static_assert(!std::is_reference_v<T>, "a generator yields values; yield pointers instead");

 public:
  class promise_type;  // NOLINT(readability-identifier-naming): the language's name.

  AsyncGenerator() = default;
  AsyncGenerator(AsyncGenerator&&) noexcept = default;
  AsyncGenerator& operator=(AsyncGenerator&&) noexcept = default;
  ~AsyncGenerator() = default;
  explicit operator bool() const { return static_cast<bool>(core_); }

  // The next value; empty once the generator has ended, and from then on. Throws what its code
  // throws, which ends it. (Python: __anext__, anext.)
  //
  // Blocks: whoever awaits it, where the code waits.
  // Cancel: as the code does that waits: a cancellation arrives there.
  // Threads: the loop's own only.
  Coro<std::optional<T>> next() {
    return detail::run_generator<T, S>(core(), detail::GeneratorCall::kNext, nullptr);
  }
  // The same; the yield that the generator is suspended at gives it `value`. Throws UsageError if
  // it has not begun.
  //
  // Blocks: as next().
  // Cancel: as next().
  // Threads: the loop's own only.
  template <class V>
  requires(!std::is_void_v<S> &&
           std::convertible_to<V, S>) Coro<std::optional<T>> asend(V&& value) {
    return detail::send_to_generator<T, S, S>(core(), S(std::forward<V>(value)));
  }
  // The same; the yield throws `error`. Before the generator has begun it ends it, and comes out.
  //
  // Blocks: as next().
  // Cancel: as next().
  // Threads: the loop's own only.
  Coro<std::optional<T>> athrow(std::exception_ptr error) {
    return detail::run_generator<T, S>(core(), detail::GeneratorCall::kThrow, std::move(error));
  }
  template <class E>
  requires(!std::is_same_v<std::decay_t<E>, std::exception_ptr>) Coro<std::optional<T>> athrow(
      E&& error) {
    return athrow(std::make_exception_ptr(std::forward<E>(error)));
  }
  // Ends it: throws GeneratorExit at its yield, and returns when the code has ended. Throws what
  // the code throws instead; UsageError if it yields. Harmless when repeated.
  //
  // Blocks: whoever awaits it, where the code waits.
  // Cancel: as next().
  // Threads: the loop's own only.
  Coro<void> aclose() { return detail::GeneratorCore::close(core()); }

  // For code on a stack: a range-for waits by await(next()).
  class Iterator {
   public:
    explicit Iterator(AsyncGenerator& generator) : generator_(&generator) { ++*this; }
    T& operator*() { return *value_; }
    Iterator& operator++() {
      value_ = await(generator_->next());
      return *this;
    }
    bool operator==(std::default_sentinel_t) const { return !value_.has_value(); }

   private:
    AsyncGenerator* generator_;
    std::optional<T> value_;
  };
  // Blocks: as await(next()), as each step of the iterator does.
  // Cancel: as next().
  // Threads: the loop's own only.
  Iterator begin() { return Iterator(*this); }
  std::default_sentinel_t end() const { return {}; }

 private:
  friend struct GeneratorAccess;
  explicit AsyncGenerator(detail::GeneratorRef core) noexcept : core_(std::move(core)) {}
  const detail::GeneratorRef& core() const {
    if (!core_) detail::throw_empty_generator();
    return core_;
  }
  detail::GeneratorRef core_;
};

template <class T, class S>
class AsyncGenerator<T, S>::promise_type  // NOLINT(readability-identifier-naming): as above.
    : public detail::PromiseBase {
 public:
  explicit promise_type(std::source_location where = std::source_location::current()) noexcept
      : PromiseBase(where), generator_(where) {}
  AsyncGenerator get_return_object() noexcept {
    check_promise<promise_type>();
    generator_.set_promise(*this);
    return AsyncGenerator(detail::GeneratorRef(&generator_));
  }
  template <class V>
  requires std::constructible_from<T, V&&>
  auto yield_value(V&& value) { return generator_.yield(std::forward<V>(value)); }
  void return_void() const noexcept {}

 private:
  detail::CoroGenerator<T, S, promise_type> generator_;
};

// What the function of a generator with a stack yields by.
template <class T, class S = void>
class Yield {
 public:
  Yield(const Yield&) = delete;
  Yield& operator=(const Yield&) = delete;
  // Hands the value to whoever awaits next(), and waits until somebody asks again. Returns what
  // asend() has sent, as a std::optional<S>, if there is an S. Throws GeneratorExit when the
  // generator is to end, and what athrow() was given.
  //
  // Blocks: until the next call.
  // Cancel: as await(); somebody has cancelled the generator's task.
  // Threads: the loop's own only, in the generator's function.
  template <class V>
  requires std::constructible_from<T, V&&>
  auto operator()(V&& value) {
    state_.slots.value.emplace(std::forward<V>(value));
    state_.wait_for_next_call();
    return state_.slots.take_sent();
  }

 private:
  friend struct GeneratorAccess;
  explicit Yield(detail::StackState<T, S>& state) noexcept : state_(state) {}
  detail::StackState<T, S>& state_;
};

// For weft's own files.
struct GeneratorAccess {
  template <class T, class S, class F>
  static AsyncGenerator<T, S> make(EventLoop* loop, F&& fn, std::size_t stack_size,
                                   std::source_location site) {
    auto state = std::make_shared<detail::StackState<T, S>>();
    auto body = [&slots = *state, fn = std::decay_t<F>(std::forward<F>(fn))]() mutable {
      Yield<T, S> yield(slots);
      std::invoke(fn, yield);
    };
    auto* const made =
        new detail::StackGenerator<T, S>(std::move(state), std::move(body), stack_size, site);
    AsyncGenerator<T, S> generator{detail::GeneratorRef(made)};
    if (loop != nullptr) made->bind_to(*loop);
    return generator;
  }
};

struct GeneratorOptions {
  // Bytes of stack; 0: the run's default.
  std::size_t stack_size = 0;
};

// A generator whose code is `fn(yield)`, which has a stack of its own and may wait for futures and
// for whatever fibers waits for. It runs in a task of the loop, made by the first next(): so
// current_task() and context variables are its own. What cancels whoever awaits next() is thrown
// where the function waits. Without a running loop, when that begins: UsageError.
//
// Blocks: no; next() does.
// Cancel: not a checkpoint.
// Threads: the loop's own only.
template <class T, class S = void, class F>
requires std::invocable < std::decay_t<F>
&, Yield<T, S>& > AsyncGenerator<T, S> async_generator(
                      F&& fn, GeneratorOptions options = {},
                      std::source_location site = std::source_location::current()) {
  return GeneratorAccess::make<T, S>(nullptr, std::forward<F>(fn), options.stack_size, site);
}
// Of this loop, also if none is running.
//
// Blocks: no; next() does.
// Cancel: not a checkpoint.
// Threads: the loop's own only.
template <class T, class S = void, class F>
requires std::invocable < std::decay_t<F>
&, Yield<T, S>& > AsyncGenerator<T, S> async_generator(
                      EventLoop& loop, F&& fn, GeneratorOptions options = {},
                      std::source_location site = std::source_location::current()) {
  return GeneratorAccess::make<T, S>(&loop, std::forward<F>(fn), options.stack_size, site);
}

}  // namespace weft::loop
