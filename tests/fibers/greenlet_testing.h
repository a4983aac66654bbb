// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What the tests of greenlets have in common.

#pragma once

#include <any>
#include <exception>
#include <string>
#include <utility>
#include <vector>

#include "weft/fibers/exception_group.h"
#include "weft/fibers/greenlet.h"

namespace weft::fibers {

class SomeError {};

template <class... Values>
std::any to_parent(Values&&... values) {
  return getcurrent().parent().switch_to(std::forward<Values>(values)...);
}
template <class T, class... Values>
T to_parent_as(Values&&... values) {
  return std::any_cast<T>(to_parent(std::forward<Values>(values)...));
}

inline bool is_exit(const std::any& value) {
  return std::any_cast<GreenletExit>(&value) != nullptr;
}

// Goes to the parent; notes what is thrown in there and lets it pass; throws SomeError in the end.
inline void wait_and_throw(std::vector<std::string>& seen) {
  try {
    to_parent();
  } catch (const GreenletExit&) {
    seen.emplace_back("GreenletExit");
    throw;
  } catch (const SomeError&) {
    seen.emplace_back("SomeError");
    throw;
  } catch (...) {
    seen.push_back(describe_exception(std::current_exception()));
    throw;
  }
  throw SomeError();
}

}  // namespace weft::fibers
