// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A task does what is undefined. UBSan's report has the stack of the task, down to where it began.
//
// Says: runtime error: signed integer overflow
// Says: add_one.*undefined\.cc

#include <limits>

#include "tests/canaries/canary.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/run.h"

using namespace weft::fibers;

namespace {

[[gnu::noinline]] int add_one(int number) {
  return number + 1;
}

}  // namespace

int main() {
  run([] {
    open_nursery([](Nursery& nursery) {
      nursery.start_soon([] {
        const volatile int number =
            std::numeric_limits<int>::max() - (weft::test::planted() ? 0 : 1);
        const volatile int more = add_one(number);
        static_cast<void>(more);
      });
    });
  });
}
