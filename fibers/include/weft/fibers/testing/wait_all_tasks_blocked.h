// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Waiting until all other tasks wait.

#pragma once

#include "weft/fibers/clock.h"

namespace weft::fibers::testing {

// Suspends until every other task of the run has been waiting for `cushion` of real time: no task
// is ready and nothing arrives. With a cushion, an FdWatch that stays ready counts as something
// that keeps arriving; without one, only what makes a task ready counts. If several tasks wait for
// this, those with the smallest cushion go first, together. It takes precedence over a clock that
// jumps. (Trio: testing.wait_all_tasks_blocked.)
//
// Blocks: yes, always a checkpoint.
// Cancel: at once.
// Threads: the run's own only.
void wait_all_tasks_blocked(Duration cushion = Duration::zero());

}  // namespace weft::fibers::testing
