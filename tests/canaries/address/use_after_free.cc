// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// One task frees what another still reads.
//
// Says: AddressSanitizer: heap-use-after-free
// Says: weft: in task 'reader' #[0-9]+, started at .*use_after_free\.cc:[0-9]+

#include <memory>

#include "tests/canaries/canary.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/run.h"

using namespace weft::fibers;

int main() {
  run([] {
    auto order = std::make_unique<int>(42);
    const volatile int& seen = *order;
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon(
          [&] {
            if (weft::test::planted()) order.reset();
          },
          {.name = "owner"});
      nursery.start_soon(
          [&] {
            checkpoint();
            static_cast<void>(seen + 0);
          },
          {.name = "reader"});
    });
  });
}
