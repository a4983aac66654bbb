// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A run that says who waits for whom, and how busy it is.
//
// Prints:
//     root #1 waits for tasks of a nursery: main #2
//     writer #3 waits for sleep_forever; no task is known that would end this
//     reader #4 waits for Lock.acquire, held by writer #3
//   waiting for descriptors: 0

#include <iostream>

#include "weft/fibers/inspect.h"
#include "weft/fibers/lock.h"
#include "weft/fibers/main.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/run.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/fibers/timeouts.h"

namespace trio = weft::fibers;

int main() {
  return trio::main([] {
    trio::Lock lock;
    trio::open_nursery([&](trio::Nursery& nursery) {
      const auto hold_lock = [&lock] {
        trio::LockGuard guard(lock);
        trio::sleep_forever();
      };
      nursery.start_soon(hold_lock, {.name = "writer"});
      nursery.start_soon(hold_lock, {.name = "reader"});
      trio::testing::wait_all_tasks_blocked();
      std::cout << trio::dump_waits();
      const trio::RunStatistics now = trio::current_statistics();
      std::cout << "waiting for descriptors: " << now.io_statistics.tasks_waiting_read << '\n';
      nursery.cancel_scope().cancel();
    });
  });
}
