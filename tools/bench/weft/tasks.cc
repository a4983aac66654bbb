// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Works about tasks as such: to yield, to start and join, to hand over a value, to be parked.

#include <cstddef>
#include <cstdint>
#include <utility>

#include "tools/bench/common/process_memory.h"
#include "tools/bench/weft/works.h"
#include "weft/fibers/greenlet.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/memory_channel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/run.h"
#include "weft/fibers/timeouts.h"

namespace bench {
namespace {

namespace fibers = weft::fibers;
using fibers::Nursery;

// A million tasks want the small stacks; elsewhere the default is measured.
constexpr std::size_t kSmallStack = 64 * 1024;

constexpr std::uint64_t kForEver = ~std::uint64_t{0};

// What every task runs, the measured one too: one loop, one place from which checkpoint() is
// called.
[[gnu::noinline]] void yield_until(const bool& stop, std::uint64_t rounds) {
  for (; rounds > 0 && !stop; --rounds) fibers::checkpoint();
}

void yield_among(std::size_t tasks, Meter& meter) {
  fibers::run([&] {
    bool stop = false;
    fibers::open_nursery([&](Nursery& nursery) {
      for (std::size_t i = 1; i < tasks; ++i) {
        nursery.start_soon([&stop] { yield_until(stop, kForEver); });
      }
      meter.run([&stop](std::uint64_t rounds) { yield_until(stop, rounds); },
                static_cast<double>(tasks));
      stop = true;
    });
  });
}

void spawn_and_join(int children, Meter& meter) {
  fibers::run([&] {
    meter.run(
        [children](std::uint64_t count) {
          for (; count > 0; --count) {
            fibers::open_nursery([children](Nursery& nursery) {
              for (int i = 0; i < children; ++i) nursery.start_soon([] {});
            });
          }
        },
        children);
  });
}

}  // namespace

void yield_2(Meter& meter) {
  yield_among(2, meter);
}
void yield_100(Meter& meter) {
  yield_among(100, meter);
}
void yield_10000(Meter& meter) {
  yield_among(10'000, meter);
}

void spawn_join(Meter& meter) {
  spawn_and_join(1, meter);
}
void spawn_join_100(Meter& meter) {
  spawn_and_join(100, meter);
}

void channel_rendezvous(Meter& meter) {
  fibers::run([&] {
    meter.run([](std::uint64_t count) {
      fibers::open_nursery([count](Nursery& nursery) {
        auto [sender, receiver] = fibers::open_memory_channel<std::uint64_t>(0);
        nursery.start_soon([sender = std::move(sender), count]() mutable {
          for (std::uint64_t i = 0; i < count; ++i) sender.send(i);
        });
        for (std::uint64_t i = 0; i < count; ++i) keep(receiver.receive());
      });
    });
  });
}

void parked_memory(Meter& meter) {
  constexpr std::size_t kTasks = 1'000'000;
  const ProcessMemory before = ProcessMemory::now();
  fibers::run(
      [&] {
        fibers::open_nursery([&](Nursery& nursery) {
          std::size_t parked = 0;
          for (std::size_t i = 0; i < kTasks; ++i) {
            nursery.start_soon([&parked] {
              ++parked;
              fibers::sleep_forever();
            });
          }
          while (parked < kTasks) fibers::checkpoint();
          report_parked_memory(meter, before, kTasks);
          meter.finish();
        });
      },
      {.stack_size = kSmallStack});
}

// There and back is two.
void greenlet_switch(Meter& meter) {
  const fibers::Greenlet main = fibers::getcurrent();
  fibers::Greenlet other([&main] {
    for (;;) main.switch_to();
  });
  meter.run(
      [&other](std::uint64_t count) {
        for (; count > 0; --count) other.switch_to();
      },
      2);
}

}  // namespace bench
