// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Waits in a straight line for a C library that calls back from threads of its own, in its own
// time.
//
// Prints:
//   6 * 7 = 42
//   6 * 8: no answer in time

#include <chrono>
#include <iostream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "weft/fibers/timeouts.h"
#include "weft/shim/shim.h"

using namespace std::chrono_literals;

// The library: a function, a callback, and a pointer for the callback's owner.
extern "C" {
using lib_callback = void (*)(int result, void* user);
static std::vector<std::thread> lib_threads;
static void lib_multiply(int a, int b, lib_callback done, void* user) {
  lib_threads.emplace_back([=] {
    if (b == 8) std::this_thread::sleep_for(400ms);  // It does not like eights.
    done(a * b, user);
  });
}
static void lib_close() {
  for (std::thread& thread : lib_threads) thread.join();
}
}

void on_result(int result, void* user) {
  weft::Completion<int>::take_pointer(user).complete_threadsafe(result);
}

int multiply(int a, int b) {
  return weft::wait_for_callback<int>(
      [&](weft::Completion<int> done) {
        lib_multiply(a, b, on_result, std::move(done).into_pointer());
      },
      // The task is cancelled, and this library cannot be told. Its callback comes later, finds
      // what it needs, and is ignored.
      [] { return weft::CancelResult::kAbandoned; });
}

int main() {
  const int status = weft::main([] {
    for (const int b : {7, 8}) {
      const auto product = weft::fibers::move_on_after(200ms, [b] { return multiply(6, b); });
      std::cout << "6 * " << b
                << (product.finished() ? " = " + std::to_string(product.value())
                                       : std::string(": no answer in time"))
                << '\n';
    }
  });
  lib_close();
  return status;
}
