// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A task loses the last pointer to what it has allocated. It has ended long before that is found
// out; its function is in the report.
//
// Says: LeakSanitizer: detected memory leaks
// Says: lose_a_buffer.*leak\.cc

#include "tests/canaries/canary.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/run.h"

using namespace weft::fibers;

namespace {

[[gnu::noinline]] void lose_a_buffer() {
  char* volatile buffer = new char[100];
  checkpoint();
  if (!weft::test::planted()) delete[] buffer;
  buffer = nullptr;
}

}  // namespace

int main() {
  run([] {
    open_nursery([](Nursery& nursery) {
      for (int i = 0; i < 3; ++i) nursery.start_soon([] { lose_a_buffer(); });
    });
  });
}
