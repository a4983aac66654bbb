// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Waits for something that is not to be cancelled with whoever waits.
//
//   int answer = co_await shield(save(document));          // or await(shield(...)) on a stack
//
// Cancelling whoever awaits this ends the wait, and the inner one goes on. (asyncio.shield.)

#pragma once

#include <source_location>
#include <type_traits>
#include <utility>

#include "weft/loop/detail/gathering_core.h"
#include "weft/loop/ensure_future.h"
#include "weft/loop/future.h"

namespace weft::loop {

namespace detail {

// The callback of the inner future. Holds the outer one, which knows nothing of the inner.
class ShieldLink {
 public:
  // Copies the value of the first into the second.
  using Transfer = void (*)(const FutureBase&, FutureCore&);
  ShieldLink(FutureBase outer, Transfer transfer) noexcept
      : outer_(std::move(outer)), transfer_(transfer) {}
  ShieldLink(ShieldLink&& other) noexcept = default;
  ShieldLink& operator=(ShieldLink&&) = delete;
  // Nobody can end the inner one any more: the outer is cancelled.
  ~ShieldLink();
  void operator()(const FutureBase& inner);
  AwaitedFor awaited_for() const noexcept {
    return {.future = &FutureAccess::core(outer_), .part = true};
  }

 private:
  FutureBase outer_;
  Transfer transfer_;
};

template <class T>
void transfer_value(const FutureBase& from, FutureCore& to) {
  auto& box = static_cast<FutureBox<T>&>(to);
  if constexpr (std::is_void_v<T>) {
    box.set_value();
  } else {
    box.set_value(value_of<T>(from));
  }
}

}  // namespace detail

// A future that ends as the inner one does: with its value, copied if that can be, its exception,
// or cancelled. The inner one itself if that is done. Cancelling the outer future leaves the inner
// one alone; an exception of that is reported to the exception handler then. A coroutine or
// function becomes a task of the running loop.
//
// Blocks: no; awaiting the future does.
// Cancel: not a checkpoint; cancelling whoever awaits the future ends only that wait.
// Threads: the loop's own only.
template <Awaitable A>
auto shield(A&& awaitable, std::source_location site = std::source_location::current())
    -> Future<Awaited<A>> {
  using T = Awaited<A>;
  Future<T> inner = ensure_future(std::forward<A>(awaitable));
  if (inner.done()) return inner;
  Future<T> outer =
      FutureAccess::wrap(detail::make_future_box<T>(FutureAccess::core(inner).loop(), site));
  static_cast<FutureBase&>(inner).add_done_callback(
      detail::ShieldLink(outer, &detail::transfer_value<T>));
  return outer;
}

}  // namespace weft::loop
