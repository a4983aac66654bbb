// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// How values become the one std::any that a switch carries, and back: none is an empty one, one is
// itself, several are a tuple.

#pragma once

#include <any>
#include <cstddef>
#include <tuple>
#include <type_traits>
#include <typeinfo>
#include <utility>

#include "weft/fibers/detail/requirements.h"

namespace weft::fibers::detail {

// The function of a greenlet takes other values than it was switched to with.
[[noreturn]] void throw_wrong_values(const std::type_info& wanted, const std::any& given);

inline std::any pack_values() {
  return {};
}
template <class A>
std::any pack_values(A&& value) {
  return std::any(std::forward<A>(value));
}
template <class A, class B, class... More>
std::any pack_values(A&& a, B&& b, More&&... more) {
  return std::make_tuple(std::forward<A>(a), std::forward<B>(b), std::forward<More>(more)...);
}

template <class T>
T unpack_value(std::any& value) {
  if constexpr (std::is_same_v<T, std::any>) {
    return std::move(value);
  } else {
    T* found = std::any_cast<T>(&value);
    if (found == nullptr) throw_wrong_values(typeid(T), value);
    return std::move(*found);
  }
}

// The parameters of a function, or of an object with one operator(). Void for other objects.
template <class F>
struct Parameters {
  using Type = void;
};
template <class F>
requires requires {
  &F::operator();
}
struct Parameters<F> : Parameters<decltype(&F::operator())> {};
template <class R, class... A>
struct Parameters<R (*)(A...)> {
  using Type = std::tuple<std::decay_t<A>...>;
};
template <class C, class R, class... A>
struct Parameters<R (C::*)(A...)> : Parameters<R (*)(A...)> {};
template <class C, class R, class... A>
struct Parameters<R (C::*)(A...) const> : Parameters<R (*)(A...)> {};
template <class C, class R, class... A>
struct Parameters<R (C::*)(A...) noexcept> : Parameters<R (*)(A...)> {};
template <class C, class R, class... A>
struct Parameters<R (C::*)(A...) const noexcept> : Parameters<R (*)(A...)> {};

template <class Call>
std::any result_of(Call&& call) {
  if constexpr (std::is_void_v<decltype(call())>) {
    call();
    return {};
  } else {
    return std::any(call());
  }
}

template <class F>
std::any call_with(F& function, std::any& values) {
  using P = typename Parameters<F>::Type;
  if constexpr (std::is_void_v<P>) {
    return result_of([&] { return function(std::move(values)); });
  } else if constexpr (std::tuple_size_v<P> == 0) {
    if (values.has_value()) throw_wrong_values(typeid(void), values);
    return result_of([&] { return function(); });
  } else if constexpr (std::tuple_size_v<P> == 1) {
    using A = std::tuple_element_t<0, P>;
    return result_of([&] { return function(unpack_value<A>(values)); });
  } else {
    return result_of([&] { return std::apply(function, unpack_value<P>(values)); });
  }
}

}  // namespace weft::fibers::detail
