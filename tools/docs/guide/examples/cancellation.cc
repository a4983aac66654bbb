// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Deadlines around code that knows nothing of them, and cleaning up when one has passed.
//
// Prints:
//   no answer in time
//   too slow: the time is up
//   goodbye is said, in spite of the cancellation
//   the inner deadline has passed: no, the outer one: yes
//   a loop that computes was cancelled at a checkpoint

#include <chrono>
#include <iostream>
#include <string>

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/main.h"
#include "weft/fibers/timeouts.h"

using namespace std::chrono_literals;
namespace trio = weft::fibers;

std::string ask() {
  trio::sleep(1h);
  return "42";
}

void deadlines() {
  const auto answer = trio::move_on_after(10ms, [] { return ask(); });
  std::cout << answer.value_or("no answer in time") << '\n';
  try {
    trio::fail_after(10ms, [] { return ask(); });
  } catch (const trio::TooSlowError& error) {
    std::cout << "too slow: " << error.what() << '\n';
  }
}

void talk() {
  try {
    ask();
  } catch (const trio::Cancelled&) {
    trio::CancelScope last_words({.relative_deadline = 1s, .shield = true});
    last_words.run([] {
      trio::sleep(1ms);  // sends something; without the shield this would throw at once
      std::cout << "goodbye is said, in spite of the cancellation\n";
    });
    throw;  // never keep a Cancelled: it belongs to the scope that sent it
  }
}

void nested() {
  bool inner = true;
  const bool outer =
      trio::move_on_after(10ms, [&] { inner = trio::move_on_after(1h, [] { ask(); }); });
  std::cout << "the inner deadline has passed: " << (inner ? "no" : "yes")
            << ", the outer one: " << (outer ? "no" : "yes") << '\n';
}

void compute() {
  trio::move_on_after(5ms, [] {
    for (;;) trio::checkpoint();  // lets others run, and is where a cancellation arrives
  });
  std::cout << "a loop that computes was cancelled at a checkpoint\n";
}

int main() {
  return trio::main([] {
    deadlines();
    trio::move_on_after(10ms, [] { talk(); });
    nested();
    compute();
  });
}
