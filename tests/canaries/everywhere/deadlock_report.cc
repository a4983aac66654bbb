// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The same in a run under the real clock, which nobody ends: an instrument says it, and here that
// makes the program fail.
//
// Says: nothing in this run can happen any more, unless by a signal
// Says: server #[0-9]+ waits for Lock\.acquire, held by main #[0-9]+
// Says: main #[0-9]+ waits for tasks of a nursery: server #[0-9]+

#include "weft/fibers/deadlock_report.h"
#include "tests/canaries/canary.h"
#include "weft/fibers/lock.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/run.h"

using namespace weft::fibers;

namespace {

void serve(Lock& lock) {
  const Guard guard(lock);
}

}  // namespace

int main() {
  const auto report = std::make_shared<DeadlockReport>([](const std::string& text) {
    std::fputs(text.c_str(), stderr);
    std::exit(1);
  });
  run(
      [] {
        Lock lock;
        lock.acquire();
        if (!weft::test::planted()) lock.release();
        open_nursery([&](Nursery& nursery) {
          nursery.start_soon([&] { serve(lock); }, {.name = "server"});
        });
      },
      {.instruments = {report}});
}
