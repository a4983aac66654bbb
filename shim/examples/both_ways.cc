// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Across the border and back: a callback starts a task and gets a future; a task calls a function
// that was written for the loop; a deadline reaches through both.
//
// Prints:
//   the callback got: hello from a task
//   the task got: hello from the loop
//   the loop's code was cancelled, and tidies up
//   the deadline passed

#include <chrono>
#include <iostream>
#include <string>

#include "weft/fibers/timeouts.h"
#include "weft/loop/errors.h"
#include "weft/shim/shim.h"

using namespace std::chrono_literals;
namespace trio = weft::fibers;

int main() {
  return weft::main([](weft::EventLoop& loop) {
    const auto greet = weft::trio_as_aio([](const std::string& who) {
      trio::sleep(10ms);  // A task: it may wait, open nurseries, be cancelled.
      return "hello from " + who;
    });
    loop.call_soon([&] {
      greet("a task").add_done_callback([](const weft::Future<std::string>& greeting) {
        std::cout << "the callback got: " << greeting.result() << '\n';
      });
    });
    trio::sleep(50ms);

    auto later = weft::aio_as_trio([&loop](std::chrono::milliseconds needs) {
      auto answer = loop.create_future<std::string>();
      loop.call_later(needs, [answer]() mutable {
        if (!answer.done()) answer.set_result("hello from the loop");
      });
      try {
        return await(answer);
      } catch (const weft::loop::CancelledError&) {  // asyncio's: once
        std::cout << "the loop's code was cancelled, and tidies up\n";
        trio::sleep(10ms);
        throw;
      }
    });
    std::cout << "the task got: " << later(10ms) << '\n';
    if (!trio::move_on_after(100ms, [&] { later(1h); })) std::cout << "the deadline passed\n";
  });
}
