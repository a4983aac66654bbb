// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Works about the border between callbacks and tasks.

#include <cstdint>
#include <utility>

#include "tools/bench/weft/works.h"
#include "weft/loop/sync_loop.h"
#include "weft/shim/shim.h"

namespace bench {
namespace {

weft::loop::Coro<int> next(int question) {
  co_return question + 1;
}

// A library that calls back in a callback of the loop that the program has.
struct Library {
  weft::EventLoop* loop;
  void ask(int question, weft::Completion<int> done) const {
    loop->call_soon([done = std::move(done), question] { done(question + 1); });
  }
};

}  // namespace

void trio_as_aio(Meter& meter) {
  weft::run([&] {
    auto answer = weft::trio_as_aio([](int question) { return question + 1; });
    meter.run([&answer](std::uint64_t count) {
      for (; count > 0; --count) keep(weft::await(answer(1)));
    });
  });
}

void aio_as_trio(Meter& meter) {
  weft::run([&] {
    auto answer = weft::aio_as_trio([](int question) { return question + 1; });
    meter.run([&answer](std::uint64_t count) {
      for (; count > 0; --count) keep(answer(1));
    });
  });
}

void aio_as_trio_coroutine(Meter& meter) {
  weft::run([&] {
    auto answer = weft::aio_as_trio(&next);
    meter.run([&answer](std::uint64_t count) {
      for (; count > 0; --count) keep(answer(1));
    });
  });
}

void wait_for_callback(Meter& meter) {
  weft::run([&](weft::EventLoop& loop) {
    const Library library{&loop};
    meter.run([&library](std::uint64_t count) {
      for (; count > 0; --count) {
        keep(weft::wait_for_callback<int>(
            [&](weft::Completion<int> done) { library.ask(1, std::move(done)); },
            [] { return weft::CancelResult::kWillComplete; }));
      }
    });
  });
}

void open_loop(Meter& meter) {
  weft::fibers::run([&] {
    meter.run([](std::uint64_t count) {
      for (; count > 0; --count) weft::open_loop([](weft::EventLoop& loop) { keep(&loop); });
    });
  });
}

void sync_loop(Meter& meter) {
  weft::loop::SyncLoop loop;
  meter.run([&loop](std::uint64_t count) {
    for (; count > 0; --count) {
      weft::Future<int> answer = loop->create_future<int>();
      loop->call_soon([answer]() mutable { answer.set_result(1); });
      keep(loop.run_until_complete(std::move(answer)));
    }
  });
}

}  // namespace bench
