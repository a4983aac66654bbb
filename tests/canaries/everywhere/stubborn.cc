// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A task tries again whatever happens, and so also when it is cancelled: nothing ever ends it.
//
// Says: task 'worker' #[0-9]+, started at .*, swallowed a Cancelled 1000 times and goes on
// Says: cancel_sweep: cancelled at checkpoint [0-9]+, '.*' in task '.*'
// Says: task 'worker' #[0-9]+ never ends, and has come to [0-9]+ waits since, now 'sleep'
// Ends (none): 134

#include <stdexcept>

#include "tests/canaries/canary.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/cancel_sweep.h"
#include "weft/fibers/timeouts.h"

using namespace weft::fibers;

namespace {

void work(int attempts_needed) {
  for (int attempt = 1;; ++attempt) {
    try {
      sleep(std::chrono::seconds(1));
      if (attempt < attempts_needed) throw std::runtime_error("not yet");
      return;
    } catch (const Cancelled&) {
      if (!weft::test::planted()) throw;
    } catch (const std::runtime_error&) {
    }
  }
}

}  // namespace

int main() {
  return weft::test::report_errors([] {
    testing::cancel_sweep([] {
      open_nursery(
          [](Nursery& nursery) { nursery.start_soon([] { work(3); }, {.name = "worker"}); });
    });
  });
}
