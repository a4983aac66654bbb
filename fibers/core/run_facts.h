// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What the parts of a run tell each other.

#pragma once

#include <cstddef>
#include <exception>

#include "fibers/core/run_values.h"

namespace weft::fibers {

class Nursery;

namespace detail {

class TaskBlock;

struct RunFacts {
  // --- Set by the run, once. ---
  TaskBlock* root_task = nullptr;
  Nursery* system_nursery = nullptr;
  std::exception_ptr crash_error;  // The first one.

  RunValues run_values;  // What RunVars hold.

  bool checks_captures = false;  // See RunOptions::check_captures.

  // On the main thread: Ctrl-C asks this run while it is not suspended.
  bool handles_interrupt = false;

  // Deadlines that only warn (of a wait while unwinding): no reason for a clock to jump.
  std::size_t armed_warnings = 0;
};

}  // namespace detail

}  // namespace weft::fibers
