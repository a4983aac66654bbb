// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// weft as a guest in an io_context: handlers and coroutines of Asio's and tasks of weft's on one
// thread, which waits in io_context::run_one for both. Neither polls, and no thread is needed.
//
//   boost::asio::io_context io;            // with the handlers that were there
//   weft::asio::run(io, [&] {              // turns it until the body has ended
//     weft::fibers::open_nursery(...);
//   });
//
// A handler of Asio's is not in a task and must not wait. It may do all else: set an Event,
// send_nowait, cancel a scope. What it throws comes out of whoever turns the io_context, as ever.
//
// Inside a run that somebody else has begun an io_context is turned by the run, see share_thread.h,
// or has a thread of its own, see open_context.h.

#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "weft/fibers/detail/misuse.h"
#include "weft/fibers/guest.h"
#include "weft/fibers/run.h"

namespace weft::asio {

using IoContext = ::boost::asio::io_context;

namespace detail {

class Guest;
std::shared_ptr<Guest> make_guest(IoContext& context);
void post(Guest& guest, fibers::GuestTick tick);
// In the main task: its run belongs to that context.
void enter(Guest& guest);
void watch(Guest& guest, fibers::GuestRun run);
void leave(Guest& guest) noexcept;
void run(IoContext& context, const std::function<void()>& main, const fibers::RunOptions& options);

}  // namespace detail

// Runs `main` as a guest of `context`: the caller runs that, as ever. `done(Outcome)` is called in
// it when `main` has ended. Until then the guest is work of the context's, which keeps its run()
// from returning.
//
// Who drops the context earlier, or stops it for good, abandons the guest: see GuestRun.
//
// Blocks: no.
// Cancel: does not apply.
// Threads: the one that runs the context, and no other does; outside a run.
template <class F, class Done>
void start_guest_run(IoContext& context, F&& main, Done&& done,
                     const fibers::RunOptions& options = {}) {
  using T = std::invoke_result_t<std::decay_t<F>&>;
  const auto guest = detail::make_guest(context);
  // The context keeps it, by the wait that is always pending. The run must not: it keeps the run.
  const std::weak_ptr<detail::Guest> here = guest;
  detail::watch(
      *guest,
      fibers::start_guest_run(
          [here, main = std::forward<F>(main)]() mutable -> T {
            detail::enter(*here.lock());
            return std::invoke(main);
          },
          {.done_callback =
               [here, done = std::forward<Done>(done)](fibers::Outcome<T> outcome) mutable {
                 detail::leave(*here.lock());
                 std::invoke(done, std::move(outcome));
               },
           .run_sync_soon_not_threadsafe =
               [here](fibers::GuestTick tick) { detail::post(*here.lock(), std::move(tick)); },
           .run = options}));
}

// The same as one call: runs `context` until `main` has ended, and returns what that returns or
// throws what it throws. Whatever else is in the context stays there. stop() does not end it: the
// context is restarted; cancel a scope of `main`'s instead.
//
// If a handler throws meanwhile, `main` is cancelled, and that error comes out when it has ended;
// with another one of `main`'s own in an exception group.
//
// Blocks: the thread, until main has ended.
// Cancel: does not apply.
// Threads: any that no other thread shares the context with; outside a run.
template <class F>
auto run(IoContext& context, F&& main, const fibers::RunOptions& options = {})
    -> std::invoke_result_t<std::decay_t<F>&> {
  using T = std::invoke_result_t<std::decay_t<F>&>;
  static_assert(!std::is_reference_v<T>, WEFT_RETURNS_NO_REFERENCE);
  if constexpr (std::is_void_v<T>) {
    detail::run(
        context, [&] { std::invoke(main); }, options);
  } else {
    std::optional<T> result;
    detail::run(
        context, [&] { result.emplace(std::invoke(main)); }, options);
    return std::move(*result);
  }
}

// The context that this run is a guest of. Throws UsageError if there is none.
//
// Blocks: no.
// Cancel: not a checkpoint.
// Threads: the run's own only.
IoContext& current_context();

}  // namespace weft::asio
