// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A task computes for so long that no other gets its turn. The dog's time is the program's, so that
// none has to pass.
//
// Says: task 'cruncher' #[0-9]+ has kept the thread for 100 ms without a wait:
// Says (none): compute_everything

#include <atomic>
#include <memory>
#include <thread>

#include "tests/canaries/canary.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/run.h"
#include "weft/fibers/watchdog.h"

using namespace weft::fibers;
using std::chrono::milliseconds;

namespace {

std::atomic<Duration> now{Duration::zero()};
bool reported = false;

// While 300 ms pass, which another thread makes pass, and lets the dog look.
[[gnu::noinline]] void compute_everything(Watchdog& dog) {
  for (int i = 0; i < 6; ++i) {
    std::thread([&] {
      dog.look();
      now = now.load() + milliseconds(50);
    }).join();
    // Often enough, for the run looks at the world every so many turns only.
    for (int turn = 0; turn < 1000 && !weft::test::planted(); ++turn) checkpoint();
  }
}

}  // namespace

int main() {
  const auto dog = std::make_shared<Watchdog>(
      WatchdogOptions{.limit = milliseconds(100),
                      .report =
                          [](const HogReport& hog) {
                            std::fprintf(stderr, "%s\n", hog.describe().c_str());
                            reported = true;
                          },
                      .clock = [] { return now.load(); }});
  run(
      [&] {
        open_nursery([&](Nursery& nursery) {
          nursery.start_soon([&] { compute_everything(*dog); }, {.name = "cruncher"});
        });
      },
      {.instruments = {dog}});
  return reported ? 1 : 0;
}
