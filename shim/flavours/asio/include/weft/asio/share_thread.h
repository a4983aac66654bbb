// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// An io_context that a run turns on its own thread: for a run that somebody else has begun, such as
// weft::run or a test. The thread waits in io_context::run_one for both; neither polls, and no
// other thread is needed.
//
//   boost::asio::io_context context;
//   weft::run([&] {
//     weft::asio::share_thread(context, [&] {
//       tcp::socket socket(context);
//       socket.async_connect(endpoint, use_fiber);     // the task waits, handlers are called
//     });
//   });
//
// A handler of Asio's is not in a task and must not wait. It may do all else: set an Event,
// send_nowait, cancel a scope. Where the io_context is the host, see run.h; one with a thread of
// its own is open_context.h's.

#pragma once

#include <functional>
#include <optional>
#include <type_traits>
#include <utility>

#include "weft/asio/run.h"

namespace weft::asio {

namespace detail {
void share_thread(IoContext& context, const std::function<void()>& body);
}  // namespace detail

// Calls `body()` while this run turns `context`, and returns what it returns. What is left in the
// context then stays there. stop() does not end it: the context is restarted; cancel a scope
// instead.
//
// If a handler throws meanwhile, the body is cancelled, and that error comes out when it has ended;
// with another one of the body's own in an exception group. Throws UsageError in a guest, whose
// host turns the context, and inside another block of this run that shares its thread.
//
// Blocks: as the body does.
// Cancel: not a checkpoint.
// Threads: the run's own only, and no other thread runs the context meanwhile.
template <class F>
auto share_thread(IoContext& context, F&& body) -> std::decay_t<std::invoke_result_t<F&>> {
  using T = std::decay_t<std::invoke_result_t<F&>>;
  if constexpr (std::is_void_v<T>) {
    detail::share_thread(context, [&] { std::invoke(body); });
  } else {
    std::optional<T> result;
    detail::share_thread(context, [&] { result.emplace(std::invoke(body)); });
    return std::move(*result);
  }
}

}  // namespace weft::asio
