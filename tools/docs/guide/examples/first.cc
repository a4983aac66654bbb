// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Two tasks in a nursery.
//
// Prints:
//   waiting for both
//   quick: done
//   slow: done
//   both have ended

#include <chrono>
#include <iostream>
#include <string>

#include "weft/fibers/main.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/timeouts.h"

using namespace std::chrono_literals;
namespace trio = weft::fibers;

void work(const std::string& name, std::chrono::milliseconds needs) {
  trio::sleep(needs);  // suspends this task; the thread runs the other one meanwhile
  std::cout << name << ": done\n";
}

int main() {
  return trio::main([] {
    trio::open_nursery([](trio::Nursery& nursery) {
      nursery.start_soon([] { work("slow", 20ms); });
      nursery.start_soon([] { work("quick", 5ms); });
      std::cout << "waiting for both\n";
    });
    std::cout << "both have ended\n";
  });
}
