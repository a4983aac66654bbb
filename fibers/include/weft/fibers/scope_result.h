// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What came of a body that may have been cut short: by CancelScope::run, move_on_after,
// until_stopping and their kin.
//
//   if (!move_on_after(2s, [&] { stream.send_all(data); })) retry();     // a void body
//
//   auto line = move_on_after(2s, [&] { return lines.receive_line(); }); // an optional of its own
//   if (!line.finished()) return give_up();
//   if (!line.value()) return;                                           // the end of the stream
//
// In a condition it stands for finished(), but only where nobody could take that for the value:
// there is no such conversion if the value is a bool, an optional, a pointer, a number or whatever
// else may stand in a condition itself. `if (move_on_after(1s, [] { return false; }))` does not
// compile: ask finished() or value().

#pragma once

#include <optional>
#include <type_traits>
#include <utility>

#include "weft/fibers/errors.h"

namespace weft::fibers {

namespace detail {
[[noreturn]] void throw_cut_short();
}

// R is what the body returns. A value; copied and moved as R is.
template <class R>
class ScopeResult {
 public:
  using value_type = std::decay_t<R>;

  // Cut short.
  ScopeResult() = default;

  // Whether the body has returned.
  bool finished() const { return value_.has_value(); }
  // What it has returned. Throws UsageError if it was cut short.
  value_type& value() & { return *checked(); }
  const value_type& value() const& { return *checked(); }
  value_type&& value() && { return std::move(*checked()); }
  template <class Other>
  value_type value_or(Other&& other) const& {
    return value_.value_or(std::forward<Other>(other));
  }
  template <class Other>
  value_type value_or(Other&& other) && {
    return std::move(value_).value_or(std::forward<Other>(other));
  }

  // finished(), for values that cannot stand in a condition themselves.
  explicit operator bool() const requires(!std::is_constructible_v<bool, const value_type&>) {
    return finished();
  }
  // value().
  value_type& operator*() & { return *checked(); }
  const value_type& operator*() const& { return *checked(); }
  value_type&& operator*() && { return std::move(*checked()); }
  value_type* operator->() { return &*checked(); }
  const value_type* operator->() const { return &*checked(); }

  // For CancelScope::run.
  template <class Value>
  void finish(Value&& value) {
    value_.emplace(std::forward<Value>(value));
  }

 private:
  std::optional<value_type>& checked() {
    if (!value_) detail::throw_cut_short();
    return value_;
  }
  const std::optional<value_type>& checked() const {
    if (!value_) detail::throw_cut_short();
    return value_;
  }

  std::optional<value_type> value_;
};

// Of a body that returns nothing: whether it finished.
template <>
class ScopeResult<void> {
 public:
  ScopeResult() = default;

  bool finished() const { return finished_; }
  // NOLINTNEXTLINE(google-explicit-constructor): there is nothing else that it could mean.
  operator bool() const { return finished_; }

  // For CancelScope::run.
  void finish() { finished_ = true; }

 private:
  bool finished_ = false;
};

}  // namespace weft::fibers
