// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A task takes a cancellation for any other error, and ends as if it had done its work.
//
// Says: cancelled at checkpoint [0-9]+, '.*' in task '.*'
// Says: task 'worker' #[0-9]+, started at .*swallowed_cancelled\.cc:[0-9]+, swallowed a Cancelled

#include "tests/canaries/canary.h"
#include "weft/fibers/log.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/cancel_sweep.h"
#include "weft/fibers/timeouts.h"

using namespace weft::fibers;

namespace {

void work() {
  try {
    sleep(std::chrono::seconds(1));
  } catch (...) {
    if (!weft::test::planted()) throw;
  }
}

}  // namespace

int main() {
  return weft::test::report_errors([] {
    testing::cancel_sweep([] {
      open_nursery(
          [](Nursery& nursery) { nursery.start_soon([] { work(); }, {.name = "worker"}); });
    });
  });
}
