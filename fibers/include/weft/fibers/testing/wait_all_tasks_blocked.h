// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Waiting until everybody else waits.

#pragma once

#include "weft/fibers/clock.h"

namespace weft::fibers::testing {

// Suspends until every other task of the run has been waiting for `cushion` of real time: nobody is
// ready and nothing arrives. With a cushion, an FdWatch that stays ready counts as something that
// arrives, for ever; without one, only what makes a task ready does. Of several who wait for this,
// those with the smallest cushion go first, together. Takes precedence over a clock that jumps.
// (Trio: testing.wait_all_tasks_blocked.)
//
// Blocks: yes, always a checkpoint.
// Cancel: at once.
// Threads: the run's own only.
void wait_all_tasks_blocked(Duration cushion = Duration::zero());

}  // namespace weft::fibers::testing
