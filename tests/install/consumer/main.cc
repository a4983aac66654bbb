// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Uses each component that it was given; exit status 0 when all of them work.
#include <cstdio>

#include "loop/future.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/run.h"

int main() {
  int sum = 0;
  weft::fibers::run([&] {
    weft::fibers::open_nursery([&](weft::fibers::Nursery& nursery) {
      nursery.start_soon([&] { sum += consumer::the_future(); });
      nursery.start_soon([&] { sum += 1; });
    });
  });
  std::printf("two tasks and somebody's own loop/future.h: %d\n", sum);
  return sum == 42 ? 0 : 1;
}
