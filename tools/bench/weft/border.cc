// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Works about the border between callbacks and tasks.

#include <cstdint>

#include "tools/bench/weft/works.h"
#include "weft/shim/open_loop.h"
#include "weft/shim/trio_as_aio.h"

namespace bench {

void trio_as_aio(Meter& meter) {
  weft::run([&] {
    auto answer = weft::trio_as_aio([](int question) { return question + 1; });
    meter.run([&answer](std::uint64_t count) {
      for (; count > 0; --count) keep(weft::await(answer(1)));
    });
  });
}

}  // namespace bench
