// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What tasks may capture, a service that says when it is ready, and results of several tasks.
//
// Prints:
//   the sum is 6
//   listening on port 8080
//   refused: a task must not refer to what the body declares
//   gathered: 1 and two

#include <chrono>
#include <iostream>
#include <string>
#include <vector>

#include "weft/fibers/errors.h"
#include "weft/fibers/gather.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/run.h"
#include "weft/fibers/timeouts.h"

using namespace std::chrono_literals;
namespace trio = weft::fibers;

void add_up() {
  int sum = 0;  // declared outside of open_nursery: it outlives the tasks
  trio::open_nursery([&](trio::Nursery& nursery) {
    for (int i = 1; i <= 3; ++i) {
      nursery.start_soon([&sum, i] {  // sum by reference, i by value
        trio::sleep(1ms);
        sum += i;  // no lock: tasks of a run change over only where they wait
      });
    }
  });
  std::cout << "the sum is " << sum << '\n';
}

void start_a_service() {
  trio::open_nursery([](trio::Nursery& nursery) {
    const int port = nursery.start<int>([](trio::TaskStatus<int>& status) {
      trio::sleep(1ms);      // binds its socket
      status.started(8080);  // only now start() returns
      trio::sleep_forever();
    });
    std::cout << "listening on port " << port << '\n';
    nursery.cancel_scope().cancel();
  });
}

void capture_too_much() {
  trio::open_nursery([](trio::Nursery& nursery) {
    std::string name = "gone before the task";
    try {
      nursery.start_soon([&] { std::cout << name; });
    } catch (const trio::UsageError&) {
      std::cout << "refused: a task must not refer to what the body declares\n";
    }
  });
}

void gather_results() {
  const auto [number, word] = trio::gather([] { return 1; }, [] { return std::string("two"); });
  std::cout << "gathered: " << number << " and " << word << '\n';
}

int main() {
  trio::run(
      [] {
        add_up();
        start_a_service();
        capture_too_much();
        gather_results();
      },
      {.check_captures = true});
}
