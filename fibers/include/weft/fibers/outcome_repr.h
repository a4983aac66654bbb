// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Outcomes as text, for logs and tests: "Value(3)", "Error(std::runtime_error('no'))". A value that
// has no operator<< is shown as "Value(...)".

#pragma once

#include <ostream>
#include <sstream>
#include <string>
#include <type_traits>

#include "weft/fibers/format_exception.h"
#include "weft/fibers/outcome.h"

namespace weft::fibers {

template <class T>
std::string repr(const Outcome<T>& outcome) {
  if (!outcome.has_value()) return "Error(" + repr(outcome.error()) + ")";
  if constexpr (std::is_void_v<T>) {
    return "Value()";
  } else if constexpr (requires(std::ostream & to, const T& v) { to << v; }) {
    std::ostringstream text;
    text << "Value(" << *outcome.peek() << ")";
    return text.str();
  } else {
    return "Value(...)";
  }
}

template <class T>
std::ostream& operator<<(std::ostream& to, const Outcome<T>& outcome) {
  return to << repr(outcome);
}

}  // namespace weft::fibers
