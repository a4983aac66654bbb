// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Where an operation of Asio's is carried on. Not for use outside weft: see use_fiber.h.

#pragma once

#include <boost/asio/execution_context.hpp>
#include <type_traits>

#include "weft/fibers/detail/requirements.h"

namespace weft::asio::detail {

template <class T>
inline constexpr bool kIsContext = std::is_base_of_v<::boost::asio::execution_context, T>;

// Where an operation is told that it is cancelled if nobody knows better: here.
struct Here {};

template <class T>
inline constexpr bool kKnowsExecutor = requires(const T& t) {
  t.get_executor();
};
template <class T>
inline constexpr bool kRefersToExecutor = requires(const T& t) {
  t->get_executor();
};

// What Beast's WebSocket operations get: the part of the stream that they share.
template <class T>
inline constexpr bool kRefersToStream = requires(const T& t) {
  t->stream().get_executor();
};

// The operation's own executor: the initiation tells it, or an object among the arguments.
inline Here executor_among() {
  return {};
}
template <class First, class... Rest>
auto executor_among(const First& first, const Rest&... rest) {
  if constexpr (kKnowsExecutor<First>) {
    return first.get_executor();
  } else if constexpr (kRefersToExecutor<First>) {
    return first->get_executor();
  } else if constexpr (kRefersToStream<First>) {
    return first->stream().get_executor();
  } else {
    return executor_among(rest...);
  }
}

}  // namespace weft::asio::detail
