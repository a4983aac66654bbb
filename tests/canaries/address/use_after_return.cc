// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What a task uses is declared inside the nursery's body, which has ended before the task has.
//
// Options: ASAN_OPTIONS=detect_stack_use_after_return=1
// Says: AddressSanitizer: stack-use-after-return
// Says: weft: in task 'reader' #[0-9]+, started at .*use_after_return\.cc:[0-9]+

#include "tests/canaries/canary.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/run.h"

using namespace weft::fibers;

int main() {
  run([] {
    const volatile int outside = 1;
    open_nursery([&](Nursery& nursery) {
      const volatile int inside = 2;
      const volatile int& seen = weft::test::planted() ? inside : outside;
      nursery.start_soon(
          [&seen] {
            checkpoint();
            static_cast<void>(seen + 0);
          },
          {.name = "reader", .unchecked_captures = true});
    });
  });
}
