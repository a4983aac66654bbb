// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Ctrl-C reaches the main task as an exception; what else runs is cancelled, and may tidy up first.
// With an argument it waits for yours, otherwise it presses Ctrl-C itself.
//
// Prints:
//   working
//   progress saved
//   interrupted: everything has ended

#include <chrono>
#include <csignal>
#include <exception>
#include <iostream>

#include "weft/fibers/cancelled.h"
#include "weft/fibers/catch.h"
#include "weft/fibers/main.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/timeouts.h"

using namespace std::chrono_literals;
namespace trio = weft::fibers;

void work() {
  std::cout << "working\n" << std::flush;
  try {
    trio::sleep_forever();
  } catch (const trio::Cancelled&) {
    // Every wait in here would throw again, but for the shield; and no longer than a second.
    trio::CancelScope last({.relative_deadline = 1s, .shield = true});
    last.run([] {
      trio::sleep(10ms);
      std::cout << "progress saved\n";
    });
    throw;
  }
}

int main(int argc, char** /*argv*/) {
  return trio::main([argc] {
    trio::catch_(  // `except*`: the interrupt comes in a group, since other tasks may fail, too
        [argc] {
          trio::open_nursery([argc](trio::Nursery& nursery) {
            nursery.start_soon(work);
            if (argc == 1)
              nursery.start_soon([] {
                trio::sleep(20ms);
                std::raise(SIGINT);
              });
          });
        },
        trio::on<trio::KeyboardInterrupt>(
            [](const std::exception_ptr&) { std::cout << "interrupted: everything has ended\n"; }));
  });
}
