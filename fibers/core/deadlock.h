// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The end of a run in which nothing can ever happen again.

#pragma once

namespace weft::fibers::detail {

class Scheduler;

// Under a clock that jumps nothing is ready, and no deadline is left to jump to. Unless something
// from outside comes after all, raises DeadlockError in the main task, or in another one if that
// has ended or its wait refuses.
void report_deadlock(Scheduler& run);

}  // namespace weft::fibers::detail
