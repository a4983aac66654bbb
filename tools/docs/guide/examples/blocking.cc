// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A library that blocks: its calls are made in worker threads, and the run goes on.
//
// Prints:
//   both look-ups: alpha.example, beta.example
//   one at a time: 2 calls
//   the run went on meanwhile

#include <chrono>
#include <iostream>
#include <string>
#include <thread>

#include "weft/fibers/capacity_limiter.h"
#include "weft/fibers/gather.h"
#include "weft/fibers/main.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/timeouts.h"
#include "weft/fibers/to_thread.h"

using namespace std::chrono_literals;
namespace trio = weft::fibers;

// The library.
std::string lib_look_up(const std::string& name) {
  std::this_thread::sleep_for(20ms);
  return name + ".example";
}

std::string look_up(const std::string& name) {
  return trio::to_thread::run_sync([&] { return lib_look_up(name); });
}

int main() {
  return trio::main([] {
    bool went_on = false;
    trio::open_nursery([&](trio::Nursery& nursery) {
      nursery.start_soon([&] {
        trio::sleep(1ms);
        went_on = true;
      });
      const auto [a, b] =
          trio::gather([] { return look_up("alpha"); }, [] { return look_up("beta"); });
      std::cout << "both look-ups: " << a << ", " << b << '\n';
    });

    // A library that is not thread-safe: a limiter of one lets one call in at a time.
    trio::CapacityLimiter one(1);
    int calls = 0;
    const auto call = [&] { trio::to_thread::run_sync([&] { ++calls; }, {.limiter = &one}); };
    trio::gather(call, call);
    std::cout << "one at a time: " << calls << " calls\n";
    std::cout << (went_on ? "the run went on meanwhile\n" : "the run stood still\n");
  });
}
