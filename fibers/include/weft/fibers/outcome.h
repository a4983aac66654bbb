// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What a function did: a value or an error, to be carried elsewhere and unwrapped there.
// (Python's outcome: Value, Error, capture, unwrap.)

#pragma once

#include <exception>
#include <functional>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include "weft/fibers/errors.h"

namespace weft::fibers {

// A value type; moving it moves the value. unwrap() may be called once: an Outcome is for delivery.
template <class T>
class Outcome {
  using Stored = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

 public:
  static Outcome value(Stored v = Stored{}) {
    return Outcome(std::in_place_index<0>, std::move(v));
  }
  static Outcome error(std::exception_ptr e) {
    return Outcome(std::in_place_index<1>, std::move(e));
  }

  bool has_value() const { return state_.index() == 0; }
  // Null unless this is an error.
  std::exception_ptr error() const {
    return state_.index() == 1 ? std::get<1>(state_) : std::exception_ptr{};
  }
  // Returns the value or throws the error. Throws UsageError the second time.
  T unwrap() {
    if (unwrapped_) throw UsageError("this Outcome has already been unwrapped");
    unwrapped_ = true;
    if (state_.index() == 1) std::rethrow_exception(std::get<1>(state_));
    if constexpr (!std::is_void_v<T>) return std::move(std::get<0>(state_));
  }

 private:
  template <std::size_t I, class V>
  Outcome(std::in_place_index_t<I> which, V&& v) : state_(which, std::forward<V>(v)) {}
  std::variant<Stored, std::exception_ptr> state_;
  bool unwrapped_ = false;
};

// Calls `fn` and keeps what it did.
template <class F>
auto capture(F&& fn) -> Outcome<std::invoke_result_t<F>> {
  using T = std::invoke_result_t<F>;
  try {
    if constexpr (std::is_void_v<T>) {
      std::invoke(std::forward<F>(fn));
      return Outcome<T>::value();
    } else {
      return Outcome<T>::value(std::invoke(std::forward<F>(fn)));
    }
  } catch (...) {
    return Outcome<T>::error(std::current_exception());
  }
}

}  // namespace weft::fibers
