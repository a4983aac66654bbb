// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A function in another thread, with the caller's context variables.
//
//   const std::string text = co_await to_thread([path] { return slurp(path); });
//
// (asyncio.to_thread. fibers::to_thread::run_sync is for code with a stack: there the function may
// use the caller's variables, because cancellation waits for its end.)

#pragma once

#include <functional>
#include <type_traits>
#include <utility>

#include "weft/loop/coro.h"
#include "weft/loop/event_loop.h"

namespace weft::fibers::detail {
struct TaskLocals;
}

namespace weft::loop {

namespace detail {

// The variables of whoever makes it, for the thread in which it is entered and destroyed.
class CarriedContext {
 public:
  CarriedContext();
  CarriedContext(CarriedContext&& other) noexcept
      : locals_(std::exchange(other.locals_, nullptr)) {}
  CarriedContext& operator=(CarriedContext&&) = delete;
  ~CarriedContext();

  class Inside {
   public:
    explicit Inside(CarriedContext& context) noexcept;
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;
    ~Inside();

   private:
    fibers::detail::TaskLocals** const before_;
  };

 private:
  fibers::detail::TaskLocals* locals_;
};

template <class Fn>
struct CallInContext {
  std::invoke_result_t<Fn&> operator()() {
    const CarriedContext::Inside inside(context);
    return std::invoke(fn);
  }
  Fn fn;
  CarriedContext context = {};
};

template <class Fn>
Coro<std::invoke_result_t<Fn&>> start_in_thread(Fn fn) {
  EventLoop& loop = get_running_loop();
  auto future = loop.run_in_executor(nullptr, CallInContext<Fn>{std::move(fn)});
  co_return co_await std::move(future);
}

}  // namespace detail

// Calls `fn`, which may be move-only, in a thread of the running loop's default executor, and gives
// what it returns. It begins when it is awaited, and then takes a copy of the context variables.
// Throws UsageError where no loop runs.
//
// Blocks: whoever awaits it, until `fn` has returned.
// Cancel: at once; an `fn` that runs goes on alone, so it must own what it uses.
// Threads: the loop's own only.
template <class F>
auto to_thread(F&& fn) -> Coro<std::invoke_result_t<std::decay_t<F>&>> {
  return detail::start_in_thread<std::decay_t<F>>(std::forward<F>(fn));
}

}  // namespace weft::loop
