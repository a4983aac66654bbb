// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A pipeline: one task numbers the orders, three work on them, the last adds up. Each channel
// closes when the last task that sends into it has ended, so every stage ends by itself.
//
// Prints:
//   100 orders, 338350 in all

#include <iostream>
#include <utility>

#include "weft/fibers/lowlevel.h"
#include "weft/fibers/main.h"
#include "weft/fibers/memory_channel.h"
#include "weft/fibers/nursery.h"

namespace trio = weft::fibers;
using Orders = trio::MemoryReceiveChannel<int>;
using Results = trio::MemorySendChannel<int>;

void work(Orders& orders, Results& results) {
  for (const int order : orders) {
    trio::checkpoint();  // Stands for something that waits.
    results.send(order * order);
  }
}

int main() {
  return trio::main([] {
    trio::open_nursery([](trio::Nursery& nursery) {
      auto [number, orders] = trio::open_memory_channel<int>(0);     // send() waits for a receiver
      auto [results, finished] = trio::open_memory_channel<int>(8);  // up to 8 may lie around
      nursery.start_soon([number = std::move(number)]() mutable {
        for (int order = 1; order <= 100; ++order) number.send(order);
      });
      for (int i = 0; i < 3; ++i) {
        // Handles of its own: they close when the task ends, also by an error or cancelled.
        nursery.start_soon(
            [orders = orders, results = results]() mutable { work(orders, results); });
      }
      orders.close();
      results.close();
      int count = 0;
      int sum = 0;
      for (const int result : finished) {
        ++count;
        sum += result;
      }
      std::cout << count << " orders, " << sum << " in all\n";
    });
  });
}
