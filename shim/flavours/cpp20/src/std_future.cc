// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/cpp20/std_future.h"

#include "shim/src/cancelled_parts.h"
#include "weft/fibers/errors.h"
#include "weft/loop/errors.h"

namespace weft::cpp20::detail {

void require_future(bool valid) {
  if (valid) return;
  throw fibers::UsageError(
      "std_future_as_trio() was given a std::future without a state: it is empty, moved from, or "
      "its value has been taken");
}

void require_not_abandoned(const fibers::to_thread::ThreadOptions& options) {
  if (!options.abandon_on_cancel) return;
  throw fibers::UsageError(
      "a std::future that is to be abandoned must be owned by its thread; move it: "
      "std_future_as_trio(std::move(future), ...)");
}

PartedError part_error() {
  shim::detail::CancelledParts parts = shim::detail::split_cancelled(std::current_exception());
  if (parts.rest == nullptr) parts.rest = std::make_exception_ptr(loop::CancelledError());
  return {std::move(parts.rest), std::move(parts.cancelled)};
}

}  // namespace weft::cpp20::detail
