// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
//
// What an operation costs when there are N of the thing: it should be the same for ten and for a
// million, but for the cache.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "tools/bench/common/deadlines.h"
#include "tools/bench/common/eventfds.h"
#include "tools/bench/weft/works.h"
#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/event.h"
#include "weft/fibers/io.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/run.h"
#include "weft/fibers/timeouts.h"

namespace bench {
namespace {

namespace fibers = weft::fibers;
using fibers::Nursery;

constexpr std::size_t kSmallStack = 64 * 1024;

// How many tasks have been woken, and who waits until it is enough.
struct Count {
  std::uint64_t woken = 0;
  std::uint64_t target = 0;
  fibers::Event* reached = nullptr;

  void add() {
    if (++woken == target) reached->set();
  }
};

void wait_for_ever(int fd, Count& count) {
  for (;; count.add()) {
    fibers::wait_readable(fd);
    read_eventfd(fd);
  }
}

}  // namespace

// One yield, while N tasks take turns.
void scaling_tasks(std::size_t tasks, Meter& meter) {
  fibers::run(
      [&] {
        fibers::open_nursery([&](Nursery& nursery) {
          for (std::size_t i = 1; i < tasks; ++i) {
            nursery.start_soon([] {
              for (;;) fibers::checkpoint();
            });
          }
          meter.run(
              [](std::uint64_t rounds) {
                for (; rounds > 0; --rounds) fibers::checkpoint();
              },
              static_cast<double>(tasks));
          meter.finish();
        });
      },
      {.stack_size = kSmallStack});
}

// A scope with a deadline entered and left, while N tasks sleep.
void scaling_timers(std::size_t timers, Meter& meter) {
  fibers::run(
      [&] {
        fibers::open_nursery([&](Nursery& nursery) {
          Deadlines deadlines;
          for (std::size_t i = 0; i < timers; ++i) {
            nursery.start_soon([length = deadlines.next()] { fibers::sleep(length); });
          }
          fibers::checkpoint();
          meter.run([&deadlines](std::uint64_t count) {
            for (; count > 0; --count)
              keep(fibers::move_on_after(deadlines.next(), [] {}).finished());
          });
          meter.finish();
        });
      },
      {.stack_size = kSmallStack});
}

// One of N descriptors that tasks wait for becomes readable, and its task waits again. A hundred
// are signalled together, in an order that wanders through all of them.
void scaling_descriptors(std::size_t descriptors, Meter& meter) {
  const std::vector<int> all = make_eventfds(descriptors);
  fibers::run(
      [&] {
        fibers::open_nursery([&](Nursery& nursery) {
          Count total;
          for (const int fd : all) {
            nursery.start_soon([fd, &total] { wait_for_ever(fd, total); });
          }
          fibers::checkpoint();
          const std::size_t together = descriptors < 100 ? descriptors : 100;
          std::size_t next = 0;
          meter.run(
              [&](std::uint64_t count) {
                for (; count > 0; --count) {
                  fibers::Event reached;
                  total.target = total.woken + together;
                  total.reached = &reached;
                  for (std::size_t i = 0; i < together; ++i) {
                    signal_eventfd(all[next]);
                    next = (next + kStep) % descriptors;
                  }
                  reached.wait();
                }
              },
              static_cast<double>(together));
          meter.finish();
        });
      },
      {.stack_size = kSmallStack});
}

}  // namespace bench
