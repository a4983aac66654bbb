// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// An io_context that a run has, with a thread of its own: for a run that is nobody's guest, or for
// code of Asio's that keeps its thread busy.
//
//   weft::asio::open_context([&](boost::asio::io_context& context) {
//     const auto token = use_fiber.on(context.get_executor());
//     tcp::socket socket(context);
//     socket.async_connect(endpoint, token);      // there; the task waits here
//   });
//
// Asio's objects belong to that thread: use them by use_fiber.on(), or post what uses them. Without
// a thread of its own it is turned by the run, see share_thread.h, or is the run's host, see run.h.

#pragma once

#include <functional>
#include <optional>
#include <type_traits>
#include <utility>

#include "weft/asio/run.h"

namespace weft::asio {

namespace detail {
void open_context(const std::function<void(IoContext&)>& body);
}  // namespace detail

// Calls `body(io_context&)` while a thread runs that context, and returns what it returns. Ends in
// this order: the body has ended; the context has no work left, which is waited for; the thread has
// left it; the context is destroyed.
//
// If the body throws, or the task is cancelled, the context is stopped: its work is not waited for,
// and handlers that are left are destroyed without being called. If a handler throws, the context
// stops too, the body is cancelled, and the error comes out, with another one of the body's own in
// an exception group.
//
// The thread is one of to_thread's, but takes no token of the limiter.
//
// Blocks: yes, always a checkpoint.
// Cancel: first of all, before the body is called. Later as said.
// Threads: the run's own only.
template <class F>
auto open_context(F&& body) -> std::decay_t<std::invoke_result_t<F&, IoContext&>> {
  using T = std::decay_t<std::invoke_result_t<F&, IoContext&>>;
  if constexpr (std::is_void_v<T>) {
    detail::open_context([&](IoContext& context) { std::invoke(body, context); });
  } else {
    std::optional<T> result;
    detail::open_context([&](IoContext& context) { result.emplace(std::invoke(body, context)); });
    return std::move(*result);
  }
}

}  // namespace weft::asio
