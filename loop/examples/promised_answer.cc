// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A callback API made into one that returns futures, and three ways to use those: a done callback,
// a callback that awaits, a task that awaits with a deadline.
//
// Prints:
//   awaited: 49
//   done callback: 64
//   too late, and the future knows: cancelled

#include <chrono>
#include <functional>
#include <iostream>
#include <utility>

#include "weft/fibers/main.h"
#include "weft/fibers/timeouts.h"
#include "weft/loop/event_loop.h"

using namespace std::chrono_literals;
namespace trio = weft::fibers;
using weft::loop::EventLoop;
using weft::loop::Future;

// What somebody's library has: the answer comes in a callback, later.
void ask(EventLoop& loop, int x, std::chrono::milliseconds needs, std::function<void(int)> done) {
  loop.call_later(needs, [x, done = std::move(done)] { done(x * x); });
}

Future<int> square(EventLoop& loop, int x, std::chrono::milliseconds needs) {
  Future<int> answer = loop.create_future<int>();
  ask(loop, x, needs, [answer](int value) mutable {
    if (!answer.done()) answer.set_result(value);  // Somebody may have cancelled it.
  });
  return answer;
}

int main() {
  return trio::main([] {
    trio::open_nursery([](trio::Nursery& nursery) {
      EventLoop loop(nursery);
      loop.start();
      loop.call_soon([&] { std::cout << "awaited: " << await(square(loop, 7, 5ms)) << '\n'; });
      Future<int> answer = square(loop, 8, 100ms);
      answer.add_done_callback(
          [](const Future<int>& done) { std::cout << "done callback: " << done.result() << '\n'; });
      await(answer);
      Future<int> late = square(loop, 9, 1h);
      if (!trio::move_on_after(20ms, [&] { await(late); })) {
        std::cout << "too late, and the future knows: "
                  << (late.cancelled() ? "cancelled" : "pending") << '\n';
      }
      loop.stop();
    });
  });
}
