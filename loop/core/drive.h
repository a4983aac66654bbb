// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#pragma once

#include <exception>

#include "weft/fibers/task.h"

namespace weft::loop::detail {

// One call of LoopCore::drive(). Lies on its stack.
struct Drive {
  fibers::Task* task;
  bool woken = false;  // Made ready, and has not run since.
  bool ended = false;
  std::exception_ptr error = nullptr;
};

}  // namespace weft::loop::detail
