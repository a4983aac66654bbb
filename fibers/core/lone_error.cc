// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/detail/lone_error.h"

#include "weft/fibers/cancelled.h"

namespace weft::fibers::detail {

std::exception_ptr lone_error(const BaseExceptionGroup& group) {
  std::exception_ptr only;
  int errors = 0;
  for (const std::exception_ptr& error : group.exceptions()) {
    if (holds<KeyboardInterrupt>(error)) return error;
    if (holds<Cancelled>(error)) continue;
    only = error;
    ++errors;
  }
  if (errors == 0) return group.exceptions().front();
  return errors == 1 ? only : nullptr;
}

}  // namespace weft::fibers::detail
