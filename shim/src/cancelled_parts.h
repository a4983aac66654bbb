// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What crosses the border goes two ways: errors to whoever waits on the other side, Cancelled on to
// the scope it belongs to.

#pragma once

#include <exception>
#include <utility>

#include "weft/fibers/cancelled.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/lone_error.h"

namespace weft::shim::detail {

// The Cancelled in an error, and the rest; each null if there is none.
struct CancelledParts {
  std::exception_ptr cancelled;
  std::exception_ptr rest;
};

inline CancelledParts split_cancelled(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const fibers::Cancelled&) {
    return {error, nullptr};
  } catch (const fibers::BaseExceptionGroup& group) {
    auto [cancelled, rest] = group.split(&fibers::holds<fibers::Cancelled>);
    return {fibers::detail::bare_cancelled(std::move(cancelled)), std::move(rest)};
  } catch (...) {
    return {nullptr, error};
  }
}

}  // namespace weft::shim::detail
