// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Signals as things to wait for: SIGHUP reads the configuration again, SIGTERM ends the service.
// Here it sends them to itself.
//
// Prints:
//   configured
//   configured
//   goodbye

#include <csignal>
#include <iostream>

#include "weft/fibers/main.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/signals.h"
#include "weft/fibers/timeouts.h"

namespace trio = weft::fibers;

void configure() {
  std::cout << "configured\n";
}

int main() {
  return trio::main([] {
    trio::open_signal_receiver({SIGHUP, SIGTERM}, [](trio::SignalReceiver& signals) {
      trio::open_nursery([&](trio::Nursery& service) {
        service.start_soon([] {  // The service itself.
          std::raise(SIGHUP);
          std::raise(SIGTERM);
          trio::sleep_forever();
        });
        configure();
        for (const int signal : signals) {
          if (signal == SIGHUP) {
            configure();
          } else {
            std::cout << "goodbye\n";
            service.cancel_scope().cancel("SIGTERM");
            return;
          }
        }
      });
    });
  });
}
