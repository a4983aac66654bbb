// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// For tests/gdb/run: tasks that wait in known places, and one in all_are_parked(), which is a place
// for a breakpoint; with an argument the program aborts there, for its core dump.

#include <cstdlib>

#include "weft/fibers/event.h"
#include "weft/fibers/lock.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/run.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/fibers/timeouts.h"

namespace {

namespace fibers = weft::fibers;

// Something for a debugger to show: where, and with which argument.
[[gnu::noinline]] void wait_in_the_cellar(fibers::Event& event, int depth) {
  if (depth > 0) {
    wait_in_the_cellar(event, depth - 1);
  } else {
    event.wait();
  }
  asm volatile("" ::: "memory");  // No tail calls.
}

}  // namespace

extern "C" [[gnu::noinline]] void all_are_parked(bool aborts) {
  if (aborts) std::abort();
  asm volatile("" ::: "memory");
}

int main(int argc, char**) {
  fibers::run([argc] {
    fibers::Event never;
    fibers::Lock lock;
    fibers::open_nursery([&](fibers::Nursery& nursery) {
      nursery.start_soon([&] { wait_in_the_cellar(never, 2); }, {.name = "digger"});
      nursery.start_soon(
          [&] {
            const fibers::LockGuard guard(lock);
            fibers::open_nursery([](fibers::Nursery& inner) {
              inner.start_soon([] { fibers::sleep(std::chrono::hours(1)); }, {.name = "sleeper"});
            });
          },
          {.name = "owner"});
      fibers::testing::wait_all_tasks_blocked();
      nursery.start_soon([] {}, {.name = "newborn"});
      all_are_parked(argc > 1);
      nursery.cancel_scope().cancel();
    });
  });
}
