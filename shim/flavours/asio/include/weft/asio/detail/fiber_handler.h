// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What Asio gets and calls of an operation that a task waits for. Not for use outside weft: see
// use_fiber.h.

#pragma once

#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/dispatch.hpp>
#include <cstddef>
#include <exception>
#include <new>
#include <thread>
#include <type_traits>
#include <utility>

#include "weft/asio/detail/executor_among.h"
#include "weft/asio/detail/fiber_wait.h"
#include "weft/fibers/guest.h"

namespace weft::asio::detail {

// What cancels, in the operation's executor.
struct Emission {
  Party party;
  void operator()() const { party->emit(); }
};

template <class Executor>
void cancel_in(WaitCore& wait, void* executor) {
  if constexpr (std::is_same_v<Executor, Here>) {
    wait.add_party();
    Emission{Party(wait)}();
  } else {
    // It cannot be told that there was no memory for it, so that this is waited out.
    for (;; std::this_thread::yield()) {
      try {
        wait.add_party();
        return ::boost::asio::dispatch(*static_cast<Executor*>(executor), Emission{Party(wait)});
      } catch (const std::bad_alloc&) {
        continue;
      }
    }
  }
}

// The executor of a handler lies beside its FiberWait, so that moving the handler costs no copy.
template <class Executor>
struct HandlerExecutor {
  using executor_type = Executor;
  const Executor* executor;
  const executor_type& get_executor() const noexcept { return *executor; }
};
template <>
struct HandlerExecutor<Here> {
  const void* none;
};

// The handler that Asio gets. When it goes without having been called, so is the wait told. It
// makes the tick that a guest needs for the end of the operation itself, where a coroutine of
// Asio's would go on, too: a turn of the context's less.
template <class Executor, class... T>
class FiberHandler : public HandlerExecutor<Executor> {
 public:
  using cancellation_slot_type = ::boost::asio::cancellation_slot;

  FiberHandler(FiberWait<T...>& wait, HandlerExecutor<Executor> where)
      : HandlerExecutor<Executor>(std::move(where)), task_(&wait.task()), party_(wait) {}

  cancellation_slot_type get_cancellation_slot() const noexcept { return party_->slot(); }

  template <class... V>
  void operator()(V&&... values) {
    prefetch();
    WaitCore& wait = *party_;
    static_cast<FiberWait<T...>&>(wait).complete(std::forward<V>(values)...);
    std::move(party_).let_go_in_handler();
  }

 private:
  // Among many tasks none of this is in the cache, and one would lead to the next.
  void prefetch() const noexcept {
    constexpr std::ptrdiff_t kLine = 64;
    const auto* const task = static_cast<const std::byte*>(task_);
    const auto* const wait = reinterpret_cast<const std::byte*>(&*party_);
    __builtin_prefetch(task, 1);
    __builtin_prefetch(task + kLine, 1);
    __builtin_prefetch(wait, 1);
    __builtin_prefetch(wait - kLine, 1);  // The frame that waits.
  }
  const void* task_;  // To be looked at before the wait is.
  Party party_;
};

// In the executor of use_fiber.on(): starts the operation.
template <class Start, class Handler>
struct Starter {
  Party party;
  Start* start;
  Handler handler;
  void operator()() {
    try {
      (*start)(std::move(handler));
    } catch (...) {
      party->fail(std::current_exception());
    }
  }
};

}  // namespace weft::asio::detail
