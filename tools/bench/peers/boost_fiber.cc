// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Subject "boost_fiber": Boost.Fiber with its default round-robin scheduler.

#include <boost/fiber/all.hpp>
#include <cstdint>
#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "tools/bench/common/meter.h"
#include "tools/bench/common/process_memory.h"

namespace {

namespace fibers = boost::fibers;
using bench::Meter;

constexpr std::size_t kStackSize = 64 * 1024;

template <class F>
fibers::fiber spawn(F&& body) {
  static fibers::pooled_fixedsize_stack stacks(kStackSize);
  return fibers::fiber(fibers::launch::post, std::allocator_arg, stacks, std::forward<F>(body));
}

void join_all(std::vector<fibers::fiber>& all) {
  for (fibers::fiber& one : all) one.join();
}

constexpr std::uint64_t kForEver = ~std::uint64_t{0};

// What every task runs, the measured one too.
[[gnu::noinline]] void yield_until(const bool& stop, std::uint64_t rounds) {
  for (; rounds > 0 && !stop; --rounds) boost::this_fiber::yield();
}

template <std::size_t kTasks>
void yield(Meter& meter) {
  bool stop = false;
  std::vector<fibers::fiber> others;
  for (std::size_t i = 1; i < kTasks; ++i) {
    others.push_back(spawn([&stop] { yield_until(stop, kForEver); }));
  }
  meter.run([&stop](std::uint64_t rounds) { yield_until(stop, rounds); }, kTasks);
  stop = true;
  join_all(others);
}

void spawn_join(Meter& meter) {
  meter.run([](std::uint64_t count) {
    for (; count > 0; --count) spawn([] {}).join();
  });
}

void spawn_join_100(Meter& meter) {
  meter.run(
      [](std::uint64_t count) {
        std::vector<fibers::fiber> children;
        children.reserve(100);
        for (; count > 0; --count) {
          for (int i = 0; i < 100; ++i) children.push_back(spawn([] {}));
          join_all(children);
          children.clear();
        }
      },
      100);
}

void channel_rendezvous(Meter& meter) {
  meter.run([](std::uint64_t count) {
    fibers::unbuffered_channel<std::uint64_t> channel;
    fibers::fiber sender = spawn([&channel, count] {
      for (std::uint64_t i = 0; i < count; ++i) channel.push(i);
      channel.close();
    });
    for (std::uint64_t value : channel) bench::keep(value);
    sender.join();
  });
}

// The part of the callback loop is played by a fiber: it takes promises from a queue and sets them.
void await_future(Meter& meter) {
  std::deque<fibers::promise<int>> queue;
  bool stop = false;
  fibers::fiber loop = spawn([&] {
    while (!stop) {
      for (; !queue.empty(); queue.pop_front()) queue.front().set_value(1);
      boost::this_fiber::yield();
    }
  });
  meter.run([&queue](std::uint64_t count) {
    for (; count > 0; --count) bench::keep(queue.emplace_back().get_future().get());
  });
  stop = true;
  loop.join();
}

// A promise stands for the event: it is as single.
void event_wake(Meter& meter) {
  struct Turn {
    fibers::promise<void>* promise[2];
  };
  const auto play = [](Turn& turn, int me, std::uint64_t count) {
    for (; count > 0; --count) {
      fibers::promise<void> mine;
      turn.promise[me] = &mine;
      turn.promise[1 - me]->set_value();
      mine.get_future().wait();
    }
  };
  meter.run(
      [&play](std::uint64_t count) {
        fibers::promise<void> start;
        Turn turn{{nullptr, &start}};
        fibers::fiber other = spawn([&] {
          start.get_future().wait();
          play(turn, 1, count);
        });
        play(turn, 0, count);
        turn.promise[1]->set_value();
        other.join();
      },
      2);
}

void lock_uncontended(Meter& meter) {
  fibers::mutex mutex;
  meter.run([&mutex](std::uint64_t count) {
    for (; count > 0; --count) {
      mutex.lock();
      mutex.unlock();
    }
  });
}

// A function on another fiber, and a future of what it returns.
void fiber_future(Meter& meter) {
  meter.run([](std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i)
      bench::keep(fibers::async([i] { return i + 1; }).get());
  });
}

// Each guarded stack takes two mappings, and a process may have 65,530 by default.
void parked_memory(Meter& meter) {
  constexpr std::size_t kTasks = 20'000;
  static fibers::mutex mutex;
  static fibers::condition_variable never;
  const auto before = bench::ProcessMemory::now();
  for (std::size_t i = 0; i < kTasks; ++i) {
    fibers::protected_fixedsize_stack stack(kStackSize);
    fibers::fiber(fibers::launch::post, std::allocator_arg, stack, [] {
      std::unique_lock<fibers::mutex> lock(mutex);
      never.wait(lock);
    }).detach();
  }
  boost::this_fiber::yield();
  bench::report_parked_memory(meter, before, kTasks);
}

}  // namespace

int main(int argc, char** argv) {
  return bench::subject_main("boost_fiber",
                             {{"yield/2", &yield<2>},
                              {"yield/100", &yield<100>},
                              {"yield/10000", &yield<10'000>},
                              {"spawn_join", &spawn_join},
                              {"spawn_join/100", &spawn_join_100},
                              {"channel_rendezvous", &channel_rendezvous},
                              {"await_future", &await_future},
                              {"event_wake", &event_wake},
                              {"boost_fiber_as_trio", &fiber_future},
                              {"trio_as_boost_fiber", &fiber_future},
                              {"lock_uncontended", &lock_uncontended},
                              {"parked_memory/1000000", &parked_memory}},
                             argc, argv);
}
