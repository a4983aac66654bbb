// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Small things done once each: an empty nursery, an event, a lock that nobody else wants, a call in
// a thread.

#include <cstdint>

#include "tools/bench/weft/works.h"
#include "weft/fibers/event.h"
#include "weft/fibers/lock.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/run.h"
#include "weft/fibers/to_thread.h"

namespace bench {

namespace fibers = weft::fibers;
using fibers::Nursery;

void nursery_open_close(Meter& meter) {
  fibers::run([&] {
    meter.run([](std::uint64_t count) {
      for (; count > 0; --count) fibers::open_nursery([](Nursery&) {});
    });
  });
}

// Two tasks take turns: each sets the event that the other waits for, and waits for a new one.
void event_wake(Meter& meter) {
  struct Turn {
    fibers::Event* event[2];
  };
  const auto play = [](Turn& turn, int me, std::uint64_t count) {
    for (; count > 0; --count) {
      fibers::Event mine;
      turn.event[me] = &mine;
      turn.event[1 - me]->set();
      mine.wait();
    }
  };
  fibers::run([&] {
    meter.run(
        [&play](std::uint64_t count) {
          fibers::Event start;
          Turn turn{{nullptr, &start}};
          fibers::open_nursery([&](Nursery& nursery) {
            nursery.start_soon([&] {
              start.wait();
              play(turn, 1, count);
            });
            play(turn, 0, count);
            turn.event[1]->set();
          });
        },
        2);
  });
}

void lock_uncontended(Meter& meter) {
  fibers::run([&] {
    fibers::Lock lock;
    meter.run([&lock](std::uint64_t count) {
      for (; count > 0; --count) {
        lock.acquire();
        lock.release();
      }
    });
  });
}

void to_thread(Meter& meter) {
  fibers::run([&] {
    meter.run([](std::uint64_t count) {
      for (; count > 0; --count) keep(fibers::to_thread::run_sync([] { return 1; }));
    });
  });
}

}  // namespace bench
