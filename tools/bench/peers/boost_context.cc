// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Subject "boost_context": boost::context::fiber, the coroutine of Boost.Context, for what a
// Greenlet does.

#include <boost/context/fiber.hpp>
#include <cstdint>
#include <utility>

#include "tools/bench/common/meter.h"

namespace {

namespace context = boost::context;

// There and back is two.
void greenlet_switch(bench::Meter& meter) {
  context::fiber other([](context::fiber&& main) {
    for (;;) main = std::move(main).resume();
    return std::move(main);
  });
  meter.run(
      [&other](std::uint64_t count) {
        for (; count > 0; --count) other = std::move(other).resume();
      },
      2);
  meter.finish();
}

}  // namespace

int main(int argc, char** argv) {
  return bench::subject_main("boost_context", {{"greenlet_switch", &greenlet_switch}}, argc, argv);
}
