// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Errors of several tasks: none is lost, and the first cancels the others.
//
// Prints:
//   the third is cancelled
//   handled: 2 errors
//   not found: apple
//   first success: the backup answers

#include <chrono>
#include <functional>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

#include "weft/fibers/cancelled.h"
#include "weft/fibers/catch.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/main.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/race.h"
#include "weft/fibers/timeouts.h"
#include "weft/fibers/unwrapped.h"

using namespace std::chrono_literals;
namespace trio = weft::fibers;

struct NotFound : std::runtime_error {
  using std::runtime_error::runtime_error;
};

void three_tasks() {
  trio::open_nursery([](trio::Nursery& nursery) {
    for (const char* name : {"apple", "pear"}) {
      nursery.start_soon([name] { throw NotFound(name); });
    }
    nursery.start_soon([] {
      try {
        trio::sleep_forever();
      } catch (const trio::Cancelled&) {
        std::cout << "the third is cancelled\n";
        throw;
      }
    });
  });
}

void look_up(const std::string& name) {
  trio::open_unwrapped_nursery([&](trio::Nursery& nursery) {
    nursery.start_soon([&] { throw NotFound(name); });  // name is outside: it may be captured
  });
}

int main() {
  return trio::main([] {
    trio::catch_(three_tasks, trio::on<NotFound>([](const trio::ExceptionGroup& errors) {
                   std::cout << "handled: " << errors.exceptions().size() << " errors\n";
                 }));
    try {
      look_up("apple");
    } catch (const NotFound& error) {
      std::cout << "not found: " << error.what() << '\n';
    }
    const auto won = trio::first_success(std::vector<std::function<std::string()>>{
        []() -> std::string { throw NotFound("the server"); },
        [] { return std::string("the backup answers"); }});
    std::cout << "first success: " << won.value << '\n';
  });
}
