// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A loop in a program that is no run: it goes on where it stood, a callback that waits included.
//
// Prints:
//   answer: 42
//   before noon: tea is not ready
//   after noon: tea is ready

#include <chrono>
#include <iostream>
#include <string>

#include "weft/fibers/timeouts.h"
#include "weft/loop/sync_loop.h"

using namespace std::chrono_literals;
using weft::loop::Future;
using weft::loop::SyncLoop;

int main() {
  SyncLoop loop;

  Future<int> answer = loop->create_future<int>();
  loop->call_later(2ms, [&] { answer.set_result(42); });
  std::cout << "answer: " << loop.run_until_complete(answer) << '\n';

  std::string tea = "not ready";
  Future<void> noon = loop->create_future<void>();
  loop->call_soon([&] {
    await(noon);
    weft::fibers::sleep(1ms);
    tea = "ready";
    loop.stop();
  });
  loop.run_once();
  std::cout << "before noon: tea is " << tea << '\n';
  noon.set_result();
  loop.run_forever();
  std::cout << "after noon: tea is " << tea << '\n';
}
