// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The three forms of code on a loop, and each waiting for the others.
//
// Prints:
//   callback: a timer has fired
//   coroutine: 42
//   stackful: 43
//   task: 44

#include <chrono>
#include <iostream>

#include "weft/loop/coro.h"
#include "weft/shim/shim.h"

using namespace std::chrono_literals;
namespace loops = weft::loop;

// A callback ends soon, and hands on what it has. It may also wait: that suspends only itself.
weft::Future<int> by_callback(weft::EventLoop& loop) {
  auto answer = loop.create_future<int>();
  loop.call_later(1ms, [answer]() mutable {
    std::cout << "callback: a timer has fired\n";
    if (!answer.done()) answer.set_result(41);
  });
  return answer;
}

// A coroutine has no stack. Whoever wants to wait for it must be one too, or a task.
loops::Coro<int> by_coroutine(weft::EventLoop& loop) {
  const int answer = co_await by_callback(loop);
  std::cout << "coroutine: " << answer + 1 << '\n';
  co_return answer + 1;
}

// A stackful task of the loop is an ordinary function, and so is all that it calls.
int on_a_stack(weft::EventLoop& loop) {
  const int answer = loops::await(by_coroutine(loop));
  std::cout << "stackful: " << answer + 1 << '\n';
  return answer + 1;
}

int main() {
  return weft::main([](weft::EventLoop& loop) {
    auto task = loop.create_task([&loop] { return on_a_stack(loop); });
    const int answer = weft::run_aio_future(task);
    std::cout << "task: " << answer + 1 << '\n';
  });
}
