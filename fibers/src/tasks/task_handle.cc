// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/task_handle.h"

#include "weft/fibers/detail/keep_error.h"

namespace weft::fibers::detail {

void HandleCore::take_error() {
  try {
    keep_current_error(error_);
  } catch (...) {
    if (keeps_error_) throw;
  }
  if (!keeps_error_) throw;
}

void HandleCore::require_result(bool has_value) const {
  if (error_ != nullptr) std::rethrow_exception(error_);
  if (has_value) return;
  if (!done()) {
    throw UsageError("result() of the task '" + name_ +
                     "', which has not ended; wait() for it first, or use get()");
  }
  if (taken) {
    throw UsageError("the result of the task '" + name_ +
                     "' cannot be copied, and has been taken already");
  }
  throw TaskCancelledError("the task '" + name_ + "' was cancelled and has no result");
}

}  // namespace weft::fibers::detail
