// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Works about the loop: to call soon, to await what a callback sets, to wait inside a callback.

#include <cstdint>

#include "tools/bench/weft/works.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/run.h"
#include "weft/loop/event_loop.h"
#include "weft/loop/future.h"

namespace bench {
namespace {

namespace fibers = weft::fibers;
namespace loops = weft::loop;
using fibers::Nursery;

// Queues itself again until the common count is used up, then stops the loop.
struct Requeue {
  loops::EventLoop* loop;
  std::uint64_t* left;
  void operator()() const {
    if (*left == 0) return loop->stop();
    --*left;
    loop->call_soon(*this);
  }
};

void call_soon(int callbacks, Meter& meter) {
  fibers::run([&] {
    fibers::open_nursery([&](Nursery& nursery) {
      loops::EventLoop loop(nursery);
      meter.run([&](std::uint64_t count) {
        std::uint64_t left = count;
        for (int i = 0; i < callbacks; ++i) loop.call_soon(Requeue{&loop, &left});
        loop.main_loop();
      });
    });
  });
}

// A future, and a callback scheduled that will set it.
loops::Future<int> future_set_by_callback(loops::EventLoop& loop) {
  loops::Future<int> future = loop.create_future<int>();
  loop.call_soon([future]() mutable { future.set_result(1); });
  return future;
}

struct WaitThenRequeue {
  loops::EventLoop* loop;
  std::uint64_t* left;
  void operator()() const {
    keep(loops::await(future_set_by_callback(*loop)));
    if (--*left == 0) return loop->stop();
    loop->call_soon(*this);
  }
};

}  // namespace

void call_soon_1(Meter& meter) {
  call_soon(1, meter);
}
void call_soon_100(Meter& meter) {
  call_soon(100, meter);
}

void await_future(Meter& meter) {
  fibers::run([&] {
    fibers::open_nursery([&](Nursery& nursery) {
      loops::EventLoop loop(nursery);
      loop.start();
      meter.run([&loop](std::uint64_t count) {
        for (; count > 0; --count) keep(loops::await(future_set_by_callback(loop)));
      });
      loop.stop();
      loop.wait_stopped();
    });
  });
}

void blocking_callback(Meter& meter) {
  fibers::run([&] {
    fibers::open_nursery([&](Nursery& nursery) {
      loops::EventLoop loop(nursery);
      meter.run([&loop](std::uint64_t count) {
        std::uint64_t left = count;
        loop.call_soon(WaitThenRequeue{&loop, &left});
        loop.main_loop();
      });
    });
  });
}

}  // namespace bench
