// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A service that ends as one should: at SIGTERM it takes no more work, finishes what it has, and
// cuts short what does not finish in the grace period. Here it sends the signal to itself.
//
// Prints:
//   serving
//   SIGTERM: no more work, a second for what is under way
//   the request under way is answered
//   goodbye

#include <chrono>
#include <csignal>
#include <iostream>

#include "weft/fibers/graceful_scope.h"
#include "weft/fibers/main.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/signals.h"
#include "weft/fibers/timeouts.h"

using namespace std::chrono_literals;
namespace trio = weft::fibers;

void answer_request() {
  std::raise(SIGTERM);  // comes while a request is under way
  trio::sleep(20ms);
  std::cout << "the request under way is answered\n";
}

void serve() {
  std::cout << "serving\n";
  for (;;) {
    const bool has_request = trio::until_stopping([] { trio::sleep(1ms); }).finished();
    if (!has_request) return;
    answer_request();
  }
}

int main() {
  return trio::main([] {
    trio::open_signal_receiver({SIGTERM}, [](trio::SignalReceiver& signals) {
      trio::GracefulScope service;
      trio::open_nursery([&](trio::Nursery& nursery) {
        nursery.start_soon([&] {
          signals.receive();
          std::cout << "SIGTERM: no more work, a second for what is under way\n";
          service.stop(1s);
        });
        service.run(serve);
        nursery.cancel_scope().cancel();
      });
      std::cout << "goodbye\n";
    });
  });
}
