// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What a function did: a value or an error, to be carried elsewhere and unwrapped there.
//
//   Outcome<int> outcome = capture(compute, 42);   // or Value(6), or Error(an exception_ptr)
//   ...
//   use(outcome.unwrap());                         // what it returned; or throws what it threw
//
// (outcome: Value, Error, Outcome, Maybe, capture, AlreadyUsedError. There is no acapture: a wait
// is a plain call. For text: outcome_repr.h.)

#pragma once

#include <compare>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include "weft/fibers/errors.h"

namespace weft::fibers {

// An Outcome was unwrapped before.
class AlreadyUsedError : public UsageError {
 public:
  AlreadyUsedError() : UsageError("this Outcome has already been unwrapped") {}
};

// An Outcome<T> may be made of one: a function returned `value`.
template <class T = void>
struct Value {
  T value;
};
template <>
struct Value<void> {};
template <class T>
Value(T) -> Value<T>;
Value()->Value<void>;

// Any Outcome may be made of one: a function threw.
struct Error {
  // Throws UsageError if `e` is null.
  explicit Error(std::exception_ptr e) : error(std::move(e)) {
    if (error == nullptr) throw UsageError("an Error needs an exception");
  }
  std::exception_ptr error;
};

namespace detail {
template <class T>
struct OutcomeStorage {
  using Type = T;
};
template <>
struct OutcomeStorage<void> {
  using Type = std::monostate;
};
template <class T>
struct OutcomeStorage<T&> {
  using Type = std::reference_wrapper<T>;
};
std::size_t hash_of(const std::exception_ptr& error);
}  // namespace detail

// A value type; T may be void, a reference, or one that can only be moved. unwrap() may be called
// once: an Outcome is for delivery.
template <class T>
class Outcome {
  using Stored = typename detail::OutcomeStorage<T>::Type;

 public:
  static Outcome value(Stored v) requires(!std::is_void_v<T>) {
    return Outcome(std::in_place_index<0>, std::move(v));
  }
  static Outcome value(Stored v = Stored{}) requires std::is_void_v<T> {
    return Outcome(std::in_place_index<0>, v);
  }
  static Outcome error(std::exception_ptr e) {
    return Outcome(std::in_place_index<1>, std::move(e));
  }
  template <class U>
  requires(std::is_constructible_v<Stored, U> || (std::is_void_v<T> && std::is_void_v<U>))
      Outcome(Value<U> v)  // NOLINT(google-explicit-constructor): each Value is an Outcome.
      : Outcome(from(std::move(v))) {}
  Outcome(Error e)  // NOLINT(google-explicit-constructor)
      : Outcome(std::in_place_index<1>, std::move(e.error)) {}

  bool has_value() const { return state_.index() == 0; }
  // Null unless this is an error.
  std::exception_ptr error() const {
    return state_.index() == 1 ? std::get<1>(state_) : std::exception_ptr{};
  }
  // The value, to look at; null if this is an error. Does not count as use.
  const Stored* peek() const { return std::get_if<0>(&state_); }

  // Returns the value or throws the error. Throws AlreadyUsedError the second time.
  T unwrap() {
    if (unwrapped_) throw AlreadyUsedError();
    unwrapped_ = true;
    if (state_.index() == 1) std::rethrow_exception(std::get<1>(state_));
    if constexpr (!std::is_void_v<T>) return std::move(std::get<0>(state_));
  }

  // Two values are compared as such; two errors are equal if they are the same exception. Whether
  // one has been unwrapped does not count.
  friend bool operator==(const Outcome& a,
                         const Outcome& b) requires std::equality_comparable<Stored> {
    return a.state_ == b.state_;
  }
  // Values have their own order; an error is neither before nor after anything.
  friend std::partial_ordering operator<=>(const Outcome& a, const Outcome& b) requires
      std::three_way_comparable<Stored, std::partial_ordering> {
    if (a.has_value() && b.has_value()) return *a.peek() <=> *b.peek();
    return a.state_ == b.state_ ? std::partial_ordering::equivalent
                                : std::partial_ordering::unordered;
  }

 private:
  template <std::size_t I, class V>
  Outcome(std::in_place_index_t<I> which, V&& v) : state_(which, std::forward<V>(v)) {}
  template <class U>
  static Outcome from(Value<U> v) {
    if constexpr (std::is_void_v<T>) {
      return value();
    } else {
      return value(Stored(std::move(v.value)));
    }
  }

  std::variant<Stored, std::exception_ptr> state_;
  bool unwrapped_ = false;
};

// Calls `fn` and keeps what it did, whatever it throws.
template <class F, class... Args>
auto capture(F&& fn, Args&&... args) -> Outcome<std::invoke_result_t<F, Args...>> {
  using T = std::invoke_result_t<F, Args...>;
  try {
    if constexpr (std::is_void_v<T>) {
      std::invoke(std::forward<F>(fn), std::forward<Args>(args)...);
      return Outcome<T>::value();
    } else {
      return Outcome<T>::value(std::invoke(std::forward<F>(fn), std::forward<Args>(args)...));
    }
  } catch (...) {
    return Outcome<T>::error(std::current_exception());
  }
}

namespace detail {
// capture(), for who has nobody to tell that the value could not be moved to its place: then that
// is the error. The place is empty.
template <class T, class F>
void capture_in(std::optional<Outcome<T>>& place, F& fn) noexcept {
  try {
    place.emplace(capture(fn));
  } catch (...) {
    place.emplace(Outcome<T>::error(std::current_exception()));
  }
}
}  // namespace detail

}  // namespace weft::fibers

template <class T>
requires requires(const T& v) {
  std::hash<T>()(v);
}
struct std::hash<weft::fibers::Outcome<T>> {
  std::size_t operator()(const weft::fibers::Outcome<T>& outcome) const {
    if (outcome.has_value()) return std::hash<T>()(*outcome.peek());
    return weft::fibers::detail::hash_of(outcome.error());
  }
};
