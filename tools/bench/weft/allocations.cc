// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
//
// How often the heap is asked, an operation, once pools and queues have grown to what they need.

#include <chrono>
#include <cstdint>
#include <utility>

#include "tools/bench/weft/allocation_counter.h"
#include "tools/bench/weft/works.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/memory_channel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/run.h"
#include "weft/fibers/timeouts.h"
#include "weft/loop/event_loop.h"
#include "weft/shim/shim.h"

namespace bench {
namespace {

namespace fibers = weft::fibers;
using fibers::Nursery;

// Counts while operation() is called, after it has been called as often without counting.
template <class F>
void count_allocations(Meter& meter, int times, F&& operation) {
  std::uint64_t before = 0;
  for (int i = 0; i < 2 * times; ++i) {
    if (i == times) before = allocations_so_far();
    operation();
  }
  const auto taken = static_cast<double>(allocations_so_far() - before);
  meter.set(taken / times, "allocations");
}

// Queues itself for ever, and stops the loop for a moment each time.
struct Tick {
  weft::loop::EventLoop* loop;
  void operator()() const {
    loop->call_soon(*this);
    loop->stop();
  }
};

}  // namespace

void allocations_yield(Meter& meter) {
  fibers::run([&] {
    bool stop = false;
    fibers::open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&stop] {
        while (!stop) fibers::checkpoint();
      });
      count_allocations(meter, 10'000, [] { fibers::checkpoint(); });
      stop = true;
    });
  });
}

void allocations_sleep(Meter& meter) {
  fibers::run([&] {
    count_allocations(meter, 1'000, [] { fibers::sleep(std::chrono::microseconds(1)); });
  });
}

// The receiving handle outlives the nursery, so that the sender ends by its cancellation.
void allocations_channel(Meter& meter) {
  fibers::run([&] {
    auto [sender, receiver] = fibers::open_memory_channel<int>(0);
    fibers::open_nursery([&, &sender = sender, &receiver = receiver](Nursery& nursery) {
      nursery.start_soon([&sender] {
        for (;;) sender.send(1);
      });
      count_allocations(meter, 10'000, [&receiver] { keep(receiver.receive()); });
      nursery.cancel_scope().cancel();
    });
  });
}

void allocations_call_soon(Meter& meter) {
  fibers::run([&] {
    fibers::open_nursery([&](Nursery& nursery) {
      weft::loop::EventLoop loop(nursery);
      loop.call_soon(Tick{&loop});
      count_allocations(meter, 10'000, [&loop] { loop.main_loop(); });
    });
  });
}

// The library calls back in a callback of the loop.
void allocations_wait_for_callback(Meter& meter) {
  weft::run([&](weft::EventLoop& loop) {
    count_allocations(meter, 10'000, [&loop] {
      weft::wait_for_callback<void>(
          [&](weft::Completion<void> done) {
            loop.call_soon([done = std::move(done)] { done(); });
          },
          [] { return weft::CancelResult::kWillComplete; });
    });
  });
}

void allocations_aio_as_trio(Meter& meter) {
  weft::run([&] {
    auto answer = weft::aio_as_trio([](int question) { return question + 1; });
    count_allocations(meter, 10'000, [&answer] { keep(answer(1)); });
  });
}

void allocations_spawn(Meter& meter) {
  fibers::run([&] {
    count_allocations(meter, 10'000, [] {
      fibers::open_nursery([](Nursery& nursery) { nursery.start_soon([] {}); });
    });
  });
}

}  // namespace bench
