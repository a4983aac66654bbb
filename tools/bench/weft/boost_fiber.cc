// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Works about Boost's fibers on a run's thread.

#include "weft/boost_fiber/boost_fiber.h"

#include <boost/fiber/operations.hpp>
#include <cstdint>

#include "tools/bench/weft/works.h"
#include "weft/fibers/run.h"

namespace bench {

namespace {

template <class F>
void share(F&& body) {
  boost::fibers::use_scheduling_algorithm<weft::boost_fiber::Shared<>>();
  weft::fibers::run([&] { weft::boost_fiber::share_thread(body); });
  boost::fibers::use_scheduling_algorithm<boost::fibers::algo::round_robin>();
}

}  // namespace

void boost_fiber_as_trio(Meter& meter) {
  share([&] {
    meter.run([](std::uint64_t count) {
      for (std::uint64_t i = 0; i < count; ++i)
        keep(weft::boost_fiber_as_trio([i] { return i + 1; }));
    });
  });
}

void trio_as_boost_fiber(Meter& meter) {
  share([&] {
    weft::boost_fiber_as_trio([&] {
      meter.run([](std::uint64_t count) {
        for (std::uint64_t i = 0; i < count; ++i)
          keep(weft::trio_as_boost_fiber([i] { return i + 1; }));
      });
    });
  });
}

}  // namespace bench
