// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Works about asyncio's tasks: awaits of either kind, chains of callbacks and of futures, timers.

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "tools/bench/common/deadlines.h"
#include "tools/bench/weft/works.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/run.h"
#include "weft/loop/event_loop.h"
#include "weft/loop/gather.h"
#include "weft/loop/queue.h"

namespace bench {
namespace {

namespace fibers = weft::fibers;
namespace loops = weft::loop;
using fibers::Nursery;

// Calls `body(loop)` beside a loop that runs.
template <class Body>
void with_loop(Body body) {
  fibers::run([&] {
    fibers::open_nursery([&](Nursery& nursery) {
      loops::EventLoop loop(nursery);
      loop.start();
      body(loop);
      loop.stop();
      loop.wait_stopped();
    });
  });
}

// A future, and a callback scheduled that will set it.
loops::Future<int> future_set_by_callback(loops::EventLoop& loop) {
  loops::Future<int> future = loop.create_future<int>();
  loop.call_soon([future]() mutable { future.set_result(1); });
  return future;
}

loops::Coro<void> await_futures(loops::EventLoop& loop, std::uint64_t count) {
  for (; count > 0; --count) keep(co_await future_set_by_callback(loop));
}

loops::Coro<int> one() {
  co_return 1;
}
loops::Coro<void> await_coroutines(std::uint64_t count) {
  for (; count > 0; --count) keep(co_await one());
}

// A future whose callback makes the next one, and sets it.
struct Link {
  loops::EventLoop* loop;
  std::uint64_t* left;
  loops::Future<void> end;
  void operator()() {
    if (--*left == 0) return end.set_result();
    loops::Future<void> next = loop->create_future<void>();
    next.add_done_callback(*this);
    next.set_result();
  }
};

// A message of 40 bytes that goes from callback to callback.
struct Hop {
  loops::EventLoop* loop;
  std::uint64_t* left;
  std::array<std::uint64_t, 5> message;
  void operator()() {
    ++message[0];
    keep(message);
    if (*left == 0) return loop->stop();
    --*left;
    loop->call_soon(*this);
  }
};

constexpr std::size_t kGathered = 1000;

loops::Coro<void> gather_futures(loops::EventLoop& loop, std::uint64_t count) {
  std::vector<loops::Future<int>> futures(kGathered);
  for (; count > 0; --count) {
    for (loops::Future<int>& future : futures) future = future_set_by_callback(loop);
    keep(co_await loops::gather(futures));
  }
}

loops::Coro<void> put_numbers(loops::Queue<std::uint64_t>& queue, std::uint64_t count) {
  for (; count > 0; --count) co_await queue.put(count);
}
loops::Coro<void> get_numbers(loops::Queue<std::uint64_t>& queue, std::uint64_t count) {
  for (; count > 0; --count) keep(co_await queue.get());
}

}  // namespace

void callback_chain(Meter& meter) {
  fibers::run([&] {
    fibers::open_nursery([&](Nursery& nursery) {
      loops::EventLoop loop(nursery);
      meter.run([&](std::uint64_t count) {
        std::uint64_t left = count;
        for (std::uint64_t i = 0; i < 10; ++i) loop.call_soon(Hop{&loop, &left, {i}});
        loop.main_loop();
      });
    });
  });
}

void gather_1000(Meter& meter) {
  with_loop([&meter](loops::EventLoop& loop) {
    meter.run(
        [&loop](std::uint64_t count) {
          loops::await(loop.create_task(gather_futures(loop, count)));
        },
        kGathered);
  });
}

void queue(Meter& meter) {
  with_loop([&meter](loops::EventLoop& loop) {
    loops::Queue<std::uint64_t> numbers(loop, 1);
    meter.run([&](std::uint64_t count) {
      auto puts = loop.create_task(put_numbers(numbers, count));
      loops::await(loop.create_task(get_numbers(numbers, count)));
      loops::await(puts);
    });
  });
}

void future_chain(Meter& meter) {
  with_loop([&meter](loops::EventLoop& loop) {
    meter.run([&loop](std::uint64_t count) {
      std::uint64_t left = count + 1;
      loops::Future<void> end = loop.create_future<void>();
      loop.call_soon(Link{&loop, &left, end});
      loops::await(end);
    });
  });
}

void timer_churn(std::size_t timers, Meter& meter) {
  with_loop([timers, &meter](loops::EventLoop& loop) {
    Deadlines deadlines;
    const auto arm = [&] { return loop.call_later(deadlines.next(), [] {}); };
    std::vector<loops::TimerHandle> armed(timers);
    for (loops::TimerHandle& timer : armed) timer = arm();
    std::size_t next = 0;
    meter.run([&](std::uint64_t count) {
      for (; count > 0; --count) {
        armed[next].cancel();
        armed[next] = arm();
        if (++next == timers) next = 0;
      }
    });
    for (loops::TimerHandle& timer : armed) timer.cancel();
  });
}

void task_switch_coroutine(Meter& meter) {
  with_loop([&meter](loops::EventLoop& loop) {
    meter.run([&loop](std::uint64_t count) {
      loops::await(loop.create_task(await_futures(loop, count)));
    });
  });
}

void task_switch_stack(Meter& meter) {
  with_loop([&meter](loops::EventLoop& loop) {
    meter.run([&loop](std::uint64_t count) {
      loops::await(loop.create_task([&loop, count] {
        for (std::uint64_t left = count; left > 0; --left) {
          keep(loops::await(future_set_by_callback(loop)));
        }
      }));
    });
  });
}

void coroutine_call(Meter& meter) {
  with_loop([&meter](loops::EventLoop& loop) {
    meter.run(
        [&loop](std::uint64_t count) { loops::await(loop.create_task(await_coroutines(count))); });
  });
}

void task_spawn_coroutine(Meter& meter) {
  with_loop([&meter](loops::EventLoop& loop) {
    meter.run([&loop](std::uint64_t count) {
      loops::await(loop.create_task([](loops::EventLoop& l, std::uint64_t n) -> loops::Coro<void> {
        for (; n > 0; --n) keep(co_await l.create_task(one()));
      }(loop, count)));
    });
  });
}

}  // namespace bench
