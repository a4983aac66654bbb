// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Two tasks take two locks, each in its own order.
//
// Says: DeadlockError: nothing in this run can ever happen again
// Says: fork #[0-9]+ waits for Lock\.acquire, held by knife #[0-9]+
// Says: knife #[0-9]+ waits for Lock\.acquire, held by fork #[0-9]+
// Says: a cycle: .*fork #[0-9]+

#include "tests/canaries/canary.h"
#include "weft/fibers/lock.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/run.h"
#include "weft/fibers/testing/mock_clock.h"

using namespace weft::fibers;

namespace {

void eat(Lock& first, Lock& second) {
  const Guard one(first);
  checkpoint();
  const Guard other(second);
}

void dine() {
  Lock left;
  Lock right;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { eat(left, right); }, {.name = "fork"});
    nursery.start_soon(
        [&] {
          if (weft::test::planted()) {
            eat(right, left);
          } else {
            eat(left, right);
          }
        },
        {.name = "knife"});
  });
}

}  // namespace

int main() {
  return weft::test::report_errors([] {
    testing::MockClock clock(0.0, Duration::zero());
    run(&dine, {.clock = &clock});
  });
}
