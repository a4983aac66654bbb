// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A limit of time for a part of a task: asyncio's `async with timeout(1)`.
//
//   co_await timeout(1s).run(ask(question));               // a coroutine, inside a coroutine
//   co_await timeout(1s).run([&]() -> Coro<int> { ... });  // the same, written in place
//   timeout(1s).run([&] { return await(answer); });        // on a stack: runs here and now
//   auto limit = timeout(1s);
//   limit.run([&] { limit.reschedule(loop.time() + 2s); ... });
//
// When the time is up the task is cancelled, once; if that cancellation comes out of what was run,
// and nobody else has cancelled the task, it becomes TimeoutError. In Trio's tasks use
// fibers::fail_after. C++ has no `async with`, and a destructor can neither wait nor replace what
// it is passed by: so the body is an argument. (asyncio.timeout, asyncio.Timeout.)

#pragma once

#include <concepts>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

#include "weft/fibers/clock.h"
#include "weft/loop/coro.h"
#include "weft/loop/detail/empty.h"
#include "weft/loop/detail/timeout_core.h"

namespace weft::loop {

// A value: copies are the same timeout. Used once.
class Timeout {
 public:
  // When the time is up; fibers::kForever for never.
  fibers::Instant when() const;
  // Sets that anew, by the loop's clock. A time that has passed expires in the next iteration.
  // Throws UsageError unless what it limits is going on and has not expired.
  void reschedule(fibers::Instant when);
  // The time was up before the body had ended, whether or not TimeoutError came of it.
  bool expired() const;

  // Limits a coroutine, or a function that returns one and is kept until that has ended. A time
  // that has passed cancels it where it waits first. Throws UsageError if this was used before, or
  // outside the tasks of a loop.
  //
  // Blocks: whoever awaits it: where the coroutine waits.
  // Cancel: as the coroutine.
  // Threads: the loop's own only.
  template <class T>
  Coro<T> run(Coro<T> body);
  template <detail::ReturnsCoro F>
  auto run(F body) -> std::invoke_result_t<F&>;
  // Limits a function, called here and now, whatever it waits for: a wait of fibers is cancelled,
  // too, and stays so within `body`.
  //
  // Blocks: as `body` does.
  // Cancel: as `body`.
  // Threads: the loop's own only.
  template <class F>
  requires(std::invocable<F&> && !detail::ReturnsCoro<F>) auto run(F&& body)
      -> std::invoke_result_t<F&>;

 private:
  friend Timeout timeout_at(fibers::Instant when);
  explicit Timeout(std::shared_ptr<detail::TimeoutCore> core) noexcept : core_(std::move(core)) {}
  const std::shared_ptr<detail::TimeoutCore>& core() const {
    if (core_ == nullptr) detail::throw_moved_from("Timeout");
    return core_;
  }

  std::shared_ptr<detail::TimeoutCore> core_;
};

// From now on, by the clock of the running loop: throws UsageError where there is none.
// Duration::max(): no limit.
Timeout timeout(fibers::Duration delay);
Timeout timeout_at(fibers::Instant when);

template <class T>
Coro<T> Timeout::run(Coro<T> body) {
  return detail::run_limited<T>(core(), std::move(body));
}
template <detail::ReturnsCoro F>
auto Timeout::run(F body) -> std::invoke_result_t<F&> {
  return detail::run_limited_function(core(), std::move(body));
}
template <class F>
requires(std::invocable<F&> && !detail::ReturnsCoro<F>) auto Timeout::run(F&& body)
    -> std::invoke_result_t<F&> {
  const std::shared_ptr<detail::TimeoutCore> core = this->core();  // `body` may drop this.
  return detail::run_limited_here(core, body);
}

}  // namespace weft::loop
