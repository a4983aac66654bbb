// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/errors.h"

#include <string>

#include "weft/fibers/errors.h"
#include "weft/fibers/exception_group.h"
#include "weft/loop/detail/empty.h"

namespace weft::loop {

std::string CancelledError::what() const {
  return message_.empty() ? "the future was cancelled" : "the future was cancelled: " + message_;
}

std::exception_ptr without_cancelled_errors(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const CancelledError&) {
    return nullptr;
  } catch (const fibers::BaseExceptionGroup& group) {
    auto [cancelled, rest] = group.split(&fibers::holds<CancelledError>);
    return cancelled == nullptr ? error : rest;
  } catch (...) {
    return error;
  }
}

namespace detail {

void throw_empty(const char* what, const char* why) {
  throw fibers::UsageError(std::string("this ") + what + " is empty: " + why);
}

}  // namespace detail

}  // namespace weft::loop
