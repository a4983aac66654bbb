// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The host of a guest run goes away while a task of it waits, and with it all that its stack holds.
//
// Says: a guest run was abandoned
// Says: keeper #[0-9]+  waiting for Event\.wait
// Says: LeakSanitizer: detected memory leaks
// Says: keep_a_buffer.*abandoned\.cc

#include <vector>

#include "tests/canaries/canary.h"
#include "weft/fibers/event.h"
#include "weft/fibers/guest.h"
#include "weft/fibers/nursery.h"

using namespace weft::fibers;

namespace {

// For ever: who waits for it does so when the program ends.
Event& done = *new Event;

[[gnu::noinline]] void keep_a_buffer() {
  const std::vector<char> buffer(100);
  done.wait();
}

}  // namespace

int main() {
  const GuestRun guest = start_guest_run(
      [] {
        open_nursery([](Nursery& nursery) {
          nursery.start_soon([] { keep_a_buffer(); }, {.name = "keeper"});
        });
      },
      {.done_callback = [](Outcome<void>) {}});
  for (int i = 0; i < 10; ++i) guest.tick();
  if (weft::test::planted()) return 0;
  done.set();
  while (guest.tick()) {
  }
}
