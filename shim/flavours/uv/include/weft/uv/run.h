// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// weft as a guest in uv_run, and a loop of libuv's inside a run of weft's.
//
//   uv_loop_t* loop = uv_default_loop();   // with the callbacks that were there
//   weft::uv::run(loop, [] {               // turns it until the body has ended
//     weft::fibers::open_nursery(...);
//   });
//
// In either, tasks use libuv by request.h, handle.h and stream.h. A callback of libuv's must not
// wait, nor throw: it is called by C. It may do all else: set an Event, send_nowait, cancel a
// scope.

#pragma once

#include <uv.h>

#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "weft/fibers/detail/misuse.h"
#include "weft/fibers/guest.h"
#include "weft/fibers/run.h"

namespace weft::uv {

namespace detail {

class Guest;
// A guest whose ticks are watched for by a uv_poll_t of its own.
std::shared_ptr<Guest> make_guest(uv_loop_t* loop);
// In the main task: its run belongs to that loop.
void enter(Guest& guest);
void watch(Guest& guest, fibers::GuestRun run);
// At the end: the uv_poll_t closes, in the turns to come.
void leave(Guest& guest) noexcept;
// Turns the loop until that has come, and until handles whose owners have gone are closed.
void turn_to_the_end(uv_loop_t* loop, const Guest& guest);
void open_loop(const std::function<void(uv_loop_t*)>& body);

}  // namespace detail

// Runs `main` as a guest of `loop`, whose own turns go on: the caller runs uv_run, as ever.
// `done(Outcome)` is called in the loop when `main` has ended; it must not throw. The guest keeps
// the loop alive until then. No thread is needed: libuv waits for the run's descriptor.
//
// Blocks: no.
// Cancel: does not apply.
// Threads: the loop's own, outside a run.
template <class F, class Done>
void start_guest_run(uv_loop_t* loop, F&& main, Done&& done,
                     const fibers::RunOptions& options = {}) {
  using T = std::invoke_result_t<std::decay_t<F>&>;
  // Not shared with asio::start_guest_run(), which looks alike: an io_context may be dropped with
  // the guest in it, so that nobody may keep that, and it brings ticks of its own. A loop of
  // libuv's cannot be closed before the guest has left it.
  const auto guest = detail::make_guest(loop);
  detail::watch(
      *guest,
      fibers::start_guest_run(
          [guest, main = std::forward<F>(main)]() mutable -> T {
            detail::enter(*guest);
            return std::invoke(main);
          },
          {.done_callback =
               [guest, done = std::forward<Done>(done)](fibers::Outcome<T> outcome) mutable {
                 detail::leave(*guest);
                 std::invoke(done, std::move(outcome));
               },
           .run = options}));
}

// The same as one call: runs `loop` until `main` has ended, and returns what that returns or throws
// what it throws. Then it turns the loop on until handles of weft's whose owners have gone are
// closed; whatever else is in the loop stays there.
//
// Blocks: the thread, until main has ended.
// Cancel: does not apply.
// Threads: the loop's own, outside a run.
template <class F>
auto run(uv_loop_t* loop, F&& main, const fibers::RunOptions& options = {})
    -> std::invoke_result_t<std::decay_t<F>&> {
  using T = std::invoke_result_t<std::decay_t<F>&>;
  static_assert(!std::is_reference_v<T>, WEFT_RETURNS_NO_REFERENCE);
  std::optional<fibers::Outcome<T>> outcome;
  const auto guest = detail::make_guest(loop);
  detail::watch(*guest, fibers::start_guest_run(
                            [&]() -> T {
                              detail::enter(*guest);
                              return std::invoke(main);
                            },
                            {.done_callback =
                                 [&](fibers::Outcome<T> ended) {
                                   detail::leave(*guest);
                                   outcome.emplace(std::move(ended));
                                 },
                             .run = options}));
  detail::turn_to_the_end(loop, *guest);
  return outcome->unwrap();
}

// The other way round: inside weft's open_loop, runs `body(uv_loop_t*)` with a loop of libuv's that
// weft's loop turns: it is asked before each wait, and its descriptor is watched. When the body has
// ended, what is left in the loop is closed. After a call of libuv's own in a task, not in a
// callback, call poke(). Throws UsageError if the run has a loop of libuv's already.
//
// Blocks: only if the body does.
// Cancel: passes to the body.
// Threads: the run's own only.
template <class F>
auto open_loop(F&& body) -> std::decay_t<std::invoke_result_t<F&, uv_loop_t*>> {
  using R = std::decay_t<std::invoke_result_t<F&, uv_loop_t*>>;
  if constexpr (std::is_void_v<R>) {
    detail::open_loop([&](uv_loop_t* loop) { std::invoke(body, loop); });
  } else {
    std::optional<R> result;
    detail::open_loop([&](uv_loop_t* loop) { result.emplace(std::invoke(body, loop)); });
    return std::move(*result);
  }
}

// Lets a loop of open_loop's look at what has been started in it. Does nothing in a guest.
//
// Blocks: no.
// Cancel: not a checkpoint.
// Threads: the run's own only.
void poke();

}  // namespace weft::uv
