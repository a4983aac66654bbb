// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A task needs more stack than it has.
//
// Says (none): weft: task 'deep' overflowed its stack of 60 KiB
// Says (none): \(started at .*stack_overflow\.cc:[0-9]+\); give it a larger one
// Says (thread): weft: task 'deep' overflowed its stack of 60 KiB
// Says (address): AddressSanitizer: stack-overflow
// Says (address): weft: in task 'deep' #[0-9]+, started at .*stack_overflow\.cc:[0-9]+
// Ends (none): 139

#include "tests/canaries/canary.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/run.h"

using namespace weft::fibers;

namespace {

[[gnu::noinline]] int recurse(int depth) {
  volatile char frame[200];
  frame[0] = static_cast<char>(depth);
  return depth == 0 ? 0 : recurse(depth - 1) + frame[0];
}

}  // namespace

int main() {
  run([] {
    open_nursery([](Nursery& nursery) {
      nursery.start_soon([] { recurse(weft::test::planted() ? 1'000'000 : 10); },
                         {.name = "deep", .stack_size = 64 * 1024});
    });
  });
}
