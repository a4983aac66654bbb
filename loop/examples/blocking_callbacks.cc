// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Callbacks that wait as if they had threads of their own: each suspends only itself.
//
// Prints:
//   first waits
//   second waits
//   a timer fires meanwhile
//   second goes on
//   first goes on
//   third is cancelled

#include <chrono>
#include <iostream>

#include "weft/fibers/cancelled.h"
#include "weft/fibers/main.h"
#include "weft/fibers/timeouts.h"
#include "weft/loop/event_loop.h"

using namespace std::chrono_literals;
namespace trio = weft::fibers;

void callbacks(weft::loop::EventLoop& loop) {
  loop.call_soon([] {
    std::cout << "first waits\n";
    trio::sleep(60ms);
    std::cout << "first goes on\n";
  });
  loop.call_soon([] {
    std::cout << "second waits\n";
    trio::sleep(40ms);
    std::cout << "second goes on\n";
  });
  loop.call_later(20ms, [] { std::cout << "a timer fires meanwhile\n"; });
  auto third = loop.call_soon([] {
    try {
      trio::sleep_forever();
    } catch (const trio::Cancelled&) {
      std::cout << "third is cancelled\n";
      throw;
    }
  });
  loop.call_later(80ms, [third]() mutable { third.cancel(); });
  loop.call_later(100ms, [&loop] { loop.stop(); });
}

int main() {
  return trio::main([] {
    trio::open_nursery([](trio::Nursery& nursery) {
      weft::loop::EventLoop loop(nursery);
      callbacks(loop);
      loop.main_loop();  // until stop()
    });
  });
}
