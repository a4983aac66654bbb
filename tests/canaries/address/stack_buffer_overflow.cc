// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A task writes behind the end of an array in one of its frames.
//
// Says: AddressSanitizer: stack-buffer-overflow
// Says: weft: in task 'writer' #[0-9]+, started at .*stack_buffer_overflow\.cc:[0-9]+

#include <array>

#include "tests/canaries/canary.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/run.h"

using namespace weft::fibers;

namespace {

// Where nobody sees how large the array is.
[[gnu::noinline]] void put(char* at) {
  asm volatile("" : "+r"(at));
  *at = 'x';
}

}  // namespace

int main() {
  run([] {
    open_nursery([](Nursery& nursery) {
      nursery.start_soon(
          [] {
            std::array<char, 100> buffer{};
            checkpoint();  // The frame stays as it is while others run.
            put(buffer.data() + buffer.size() - (weft::test::planted() ? 0 : 1));
          },
          {.name = "writer"});
    });
  });
}
