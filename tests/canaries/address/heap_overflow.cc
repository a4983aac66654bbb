// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A task writes behind the end of its buffer.
//
// Says: AddressSanitizer: heap-buffer-overflow
// Says: weft: in task 'writer' #[0-9]+, started at .*heap_overflow\.cc:[0-9]+

#include <vector>

#include "tests/canaries/canary.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/run.h"

using namespace weft::fibers;

int main() {
  run([] {
    open_nursery([](Nursery& nursery) {
      nursery.start_soon(
          [] {
            std::vector<char> buffer(100);
            volatile char* const end = buffer.data() + buffer.size();
            end[weft::test::planted() ? 0 : -1] = 'x';
          },
          {.name = "writer"});
    });
  });
}
