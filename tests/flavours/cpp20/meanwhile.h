// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What a test does from outside while a task of it waits.

#pragma once

#include <new>

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"

namespace weft::test {

inline void let_others_wait() {
  fibers::CancelScope shield({.shield = true});
  try {
    shield.run([] { fibers::testing::wait_all_tasks_blocked(); });
  } catch (const std::bad_alloc&) {
    // Then not.
  }
}

// Runs `end` when `body` waits; whatever happens, also once more without memory, for nothing else
// would end that.
template <class Body, class End>
void meanwhile(Body&& body, End&& end) {
  fibers::open_nursery([&](fibers::Nursery& nursery) {
    nursery.start_soon(
        [&] {
          let_others_wait();
          try {
            end();
          } catch (const std::bad_alloc&) {
            end();
            throw;
          }
        },
        {.unchecked_captures = true});
    body();
  });
}

}  // namespace weft::test
