// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Works about cancel scopes: to have a deadline among many, to be cancelled by the thousand.

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "tools/bench/common/deadlines.h"
#include "tools/bench/weft/works.h"
#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/run.h"
#include "weft/fibers/timeouts.h"

namespace bench {
namespace {

namespace fibers = weft::fibers;
using fibers::Nursery;

// Each of the others is a task of its own that sleeps. They are parked before anything is measured.
void scope_deadline(std::size_t others, Meter& meter) {
  fibers::run(
      [&] {
        fibers::open_nursery([&](Nursery& nursery) {
          Deadlines deadlines;
          std::size_t parked = 0;
          for (std::size_t i = 0; i < others; ++i) {
            nursery.start_soon([&parked, length = deadlines.next()] {
              ++parked;
              fibers::sleep(length);
            });
          }
          while (parked < others) fibers::checkpoint();
          meter.run([&deadlines](std::uint64_t count) {
            for (; count > 0; --count)
              keep(fibers::move_on_after(deadlines.next(), [] {}).finished());
          });
          meter.finish();
        });
      },
      {.stack_size = 64 * 1024});
}

constexpr std::uint64_t kForEver = ~std::uint64_t{0};

[[gnu::noinline]] void sleep_until_stopped(const bool& stop, std::uint64_t rounds) {
  for (; rounds > 0 && !stop; --rounds) fibers::sleep(std::chrono::nanoseconds(1));
}

}  // namespace

void scope_deadline_1(Meter& meter) {
  scope_deadline(1, meter);
}
void scope_deadline_1000000(Meter& meter) {
  scope_deadline(1'000'000, meter);
}

// Each sleeps for the shortest time there is, so that all are due when the run looks next.
void sleep_100(Meter& meter) {
  constexpr std::size_t kTasks = 100;
  fibers::run([&] {
    bool stop = false;
    fibers::open_nursery([&](Nursery& nursery) {
      for (std::size_t i = 1; i < kTasks; ++i) {
        nursery.start_soon([&stop] { sleep_until_stopped(stop, kForEver); });
      }
      meter.run([&stop](std::uint64_t rounds) { sleep_until_stopped(stop, rounds); }, kTasks);
      stop = true;
    });
  });
}

// From cancel() until the nursery has taken in every task.
void cancel_parked(Meter& meter) {
  constexpr std::size_t kTasks = 10'000;
  fibers::run([&] {
    while (meter.more()) {
      Moment start;
      fibers::open_nursery([&start](Nursery& nursery) {
        std::size_t parked = 0;
        for (std::size_t i = 0; i < kTasks; ++i) {
          nursery.start_soon([&parked] {
            ++parked;
            fibers::sleep_forever();
          });
        }
        while (parked < kTasks) fibers::checkpoint();
        start = Moment::now();
        nursery.cancel_scope().cancel();
      });
      meter.add(start, kTasks);
    }
  });
}

}  // namespace bench
