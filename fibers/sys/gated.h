// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What a system call goes through where there is a gate.

#pragma once

#include <sys/mman.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <tuple>
#include <type_traits>

#include "fibers/sys/call.h"

namespace weft::fibers::sys {

template <const auto& kCall, class C = std::remove_cvref_t<decltype(kCall)>>
class GatedCall;

template <const auto& kCall, auto Function, Failure kFailure, class R, class... A>
class GatedCall<kCall, Call<Function, kFailure, Signature<R, A...>>> {
 public:
  static void install() { kCall.gated_.store(&call, std::memory_order_relaxed); }

 private:
  using Taken = std::tuple<A...>;

  static R call(A... arguments) {
    Gate* const present = gate.load(std::memory_order_relaxed);
    if (present == nullptr) return Function(arguments...);
    Taken taken(arguments...);
    const Answer answer = present->before(describe(taken));
    if constexpr (kHasSize) {
      if (answer.size > 0) std::get<2>(taken) = answer.size;
    }
    if (answer.error != 0 && !answer.after) {
      present->after();
      return failed(answer.error, taken);
    }
    if constexpr (std::is_void_v<R>) {
      std::apply(Function, taken);
      told_after(*present);
    } else {
      const R result = std::apply(Function, taken);
      told_after(*present);
      return answer.error != 0 ? failed(answer.error, taken) : result;
    }
  }

  static void told_after(Gate& present) {
    const int error = errno;
    present.after();
    errno = error;
  }

  template <std::size_t kIndex, class T>
  static constexpr bool is_argument() {
    if constexpr (kIndex < sizeof...(A))
      return std::is_same_v<std::tuple_element_t<kIndex, Taken>, T>;
    return false;
  }
  // read(fd, data, size), and those like it.
  static constexpr bool kHasSize = is_argument<0, int>() && is_argument<2, std::size_t>();

  static Asked describe([[maybe_unused]] const Taken& taken) {
    Asked asked{.name = kCall.name_, .failure = kFailure};
    if constexpr (is_argument<0, int>()) asked.fd = std::get<0>(taken);
    if constexpr (is_argument<1, int>()) asked.detail = std::get<1>(taken);
    if constexpr (kHasSize) asked.size = std::get<2>(taken);
    return asked;
  }

  static R failed(int error, [[maybe_unused]] const Taken& taken) {
    if constexpr (kFailure == Failure::kStream) mark_failed(taken);
    if constexpr (kFailure == Failure::kReturnsIt) {
      return static_cast<R>(error);
    } else if constexpr (std::is_same_v<R, void*>) {
      errno = error;
      return MAP_FAILED;
    } else if constexpr (std::is_pointer_v<R>) {
      errno = error;
      return nullptr;
    } else if constexpr (!std::is_void_v<R>) {
      errno = error;
      // What fread() and fwrite() return counts what they did.
      return std::is_unsigned_v<R> ? R{0} : static_cast<R>(-1);
    }
  }

  static void mark_failed(const Taken& taken) {
    constexpr std::size_t kLast = sizeof...(A) - 1;
    if constexpr (std::is_pointer_v<std::tuple_element_t<kLast, Taken>>) {
      std::get<kLast>(taken)->_flags |= _IO_ERR_SEEN;
    } else {
      std::get<0>(taken)->_flags |= _IO_ERR_SEEN;
    }
  }
};

}  // namespace weft::fibers::sys
