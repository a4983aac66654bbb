// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// For tests of code that uses to_thread: the counterpart of wait_all_tasks_blocked for threads.
// (Trio: testing.active_thread_count, testing.wait_all_threads_completed.)
//
//   nursery.start_soon([&] { cache.refresh_in_thread(); });
//   checkpoint();
//   wait_all_threads_completed();

#pragma once

#include <cstddef>

#include "weft/fibers/detail/requirements.h"

namespace weft::fibers::testing {

// How many threads the tasks of this run wait for, without abandoned ones. Throws UsageError
// outside a run.
std::size_t active_thread_count();

// Waits until there are none.
//
// Blocks: yes, always a checkpoint.
// Cancel: at once.
// Threads: the run's own only.
void wait_all_threads_completed();

}  // namespace weft::fibers::testing
