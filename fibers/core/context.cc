// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/core/context.h"

#include <cxxabi.h>

namespace weft::fibers::detail {

ExceptionState* thread_exception_state() noexcept {
  return reinterpret_cast<ExceptionState*>(abi::__cxa_get_globals());
}

}  // namespace weft::fibers::detail
