// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What a compiler says first of a call that no overload is meant for. Where such a call is likely
// there is one more overload that does nothing but to say it; its return type is deduced, so that
// the compiler looks into it before it looks at what becomes of the result. Not for use outside
// weft.

#pragma once

#include <concepts>
#include <type_traits>
#include <variant>

#include "weft/fibers/detail/requirements.h"

#define WEFT_TAKES_NO_ARGUMENTS \
  "weft calls this function without arguments: pass a closure, as in [=] { fn(argument); }"
#define WEFT_TAKES_THE_NURSERY \
  "open_nursery calls its body with the nursery: pass [&](Nursery& nursery) { ... }"
#define WEFT_TAKES_A_STATUS \
  "start calls this function with a TaskStatus&: pass [=](TaskStatus<T>& status) { ... }"
#define WEFT_RETURNS_NO_REFERENCE \
  "a task must not return a reference: return a value or a pointer, as in [&] { return &fn(); }"

namespace weft::fibers::detail {

template <class...>
inline constexpr bool kMisused = false;

// Whether somebody has given an argument for the function where the options belong.
template <class Options, class... Given>
inline constexpr bool kGivesArgument = false;
template <class Options, class First, class... Rest>
inline constexpr bool kGivesArgument<Options, First, Rest...> =
    !std::convertible_to<First, const Options&>;

// What a function gives, where nothing has to stand for something: std::monostate for void.
template <class F, class R = std::invoke_result_t<F&>>
struct ValueOfCall {
  static_assert(!std::is_reference_v<R>, WEFT_RETURNS_NO_REFERENCE);
  using Type = std::conditional_t<std::is_void_v<R> || std::is_reference_v<R>, std::monostate, R>;
};
template <class F>
using ValueOf = typename ValueOfCall<F>::Type;

}  // namespace weft::fibers::detail
