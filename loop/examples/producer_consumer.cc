// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A queue between a producer and two consumers. In Python:
//
//   async def produce(queue):
//       for number in range(1, 5):
//           await queue.put(number)
//           print("made", number)
//       queue.shutdown()
//
//   async def consume(name, queue):
//       try:
//           while True:
//               number = await queue.get()
//               await asyncio.sleep(0)  # Dealing with it lets others run.
//               print(name, "has dealt with", number)
//               queue.task_done()
//       except asyncio.QueueShutDown:
//           print(name, "goes home")
//
//   async def main():
//       queue = asyncio.Queue(maxsize=1)
//       await asyncio.gather(produce(queue), consume("Ann", queue), consume("Bob", queue))
//
//   asyncio.run(main())
//
// Prints:
//   made 1
//   made 2
//   Ann has dealt with 1
//   made 3
//   Ann has dealt with 2
//   made 4
//   Ann has dealt with 3
//   Bob goes home
//   Ann has dealt with 4
//   Ann goes home

#include <chrono>
#include <iostream>
#include <string>

#include "weft/loop/coro.h"
#include "weft/loop/gather.h"
#include "weft/loop/queue.h"
#include "weft/loop/runner.h"

using namespace std::chrono_literals;
using namespace weft::loop;

Coro<void> produce(Queue<int>& queue) {
  for (int number = 1; number < 5; ++number) {
    co_await queue.put(number);
    std::cout << "made " << number << '\n';
  }
  queue.shutdown();
}

Coro<void> consume(std::string name, Queue<int>& queue) {
  try {
    for (;;) {
      const int number = co_await queue.get();
      co_await sleep(0ms);
      std::cout << name << " has dealt with " << number << '\n';
      queue.task_done();
    }
  } catch (const QueueShutDown&) {
    std::cout << name << " goes home\n";
  }
}

Coro<void> run_shop() {
  Queue<int> queue(1);
  co_await gather(produce(queue), consume("Ann", queue), consume("Bob", queue));
}

int main() {
  run(run_shop());
}
