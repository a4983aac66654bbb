// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Exceptions to fill groups with, and groups as short texts.

#pragma once

#include <exception>
#include <stdexcept>
#include <string>

#include "weft/fibers/exception_group.h"

namespace weft::fibers {

inline std::exception_ptr value_error(const char* text) {
  return std::make_exception_ptr(std::invalid_argument(text));
}
inline std::exception_ptr type_error(const char* text) {
  return std::make_exception_ptr(std::domain_error(text));
}

// A group as text: its message, and what is in it in brackets.
inline std::string shape(const std::exception_ptr& error) {
  if (error == nullptr) return "nothing";
  try {
    std::rethrow_exception(error);
  } catch (const BaseExceptionGroup& group) {
    std::string text = group.message() + "[";
    for (const auto& e : group.exceptions()) text += (text.back() == '[' ? "" : " ") + shape(e);
    return text + "]";
  } catch (const std::exception& e) {
    return e.what();
  } catch (int i) {
    return std::to_string(i);
  }
}

}  // namespace weft::fibers
