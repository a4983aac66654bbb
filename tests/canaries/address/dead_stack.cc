// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A task uses what lay on the stack of another that has ended. ASan knows of no function that has
// returned, for a task's first one never does: the pool says that nobody may use the stack.
//
// Says: AddressSanitizer: use-after-poison
// Says: weft: in task 'reader' #[0-9]+, started at .*dead_stack\.cc:[0-9]+

#include "tests/canaries/canary.h"
#include "weft/fibers/event.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/run.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"

using namespace weft::fibers;

int main() {
  run([] {
    const volatile int* seen = nullptr;
    Event go_on;
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon(
          [&] {
            const volatile int own = 3;
            seen = &own;
            if (!weft::test::planted()) go_on.wait();
          },
          {.name = "owner"});
      nursery.start_soon(
          [&] {
            testing::wait_all_tasks_blocked();
            static_cast<void>(*seen + 0);
            go_on.set();
          },
          {.name = "reader"});
    });
  });
}
