// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Asks three servers at once and gives each the same 100 ms: a nursery, and a deadline a task.
//
// Prints:
//   fast: 1 ms
//   slow: no answer in time
//   fair: 20 ms
//   all have ended

#include <chrono>
#include <iostream>
#include <map>
#include <string>

#include "weft/fibers/main.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/timeouts.h"

using namespace std::chrono_literals;
namespace trio = weft::fibers;

// Stands for a request. It knows nothing of deadlines, and has no parameter for one.
std::string ask(std::chrono::milliseconds answers_after) {
  trio::sleep(answers_after);
  return std::to_string(answers_after.count()) + " ms";
}

int main() {
  return trio::main([] {
    std::map<std::string, std::string> answers{{"fast", ""}, {"slow", ""}, {"fair", ""}};
    trio::open_nursery([&](trio::Nursery& nursery) {
      const auto start = [&](const std::string& name, std::chrono::milliseconds needs) {
        // The tasks end before `answers` goes: references are safe.
        nursery.start_soon([&answer = answers[name], needs] {
          const auto in_time = trio::move_on_after(100ms, [&] { return ask(needs); });
          answer = in_time.value_or("no answer in time");
        });
      };
      start("fast", 1ms);
      start("slow", 1h);
      start("fair", 20ms);
    });
    for (const char* name : {"fast", "slow", "fair"}) {
      std::cout << name << ": " << answers[name] << '\n';
    }
    std::cout << "all have ended\n";
  });
}
