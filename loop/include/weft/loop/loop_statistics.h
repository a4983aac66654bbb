// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What a loop has done and holds, for those who watch it.

#pragma once

#include <cstddef>
#include <cstdint>

#include "weft/fibers/detail/requirements.h"

namespace weft::loop {

// A moment of the loop.
struct LoopStatistics {
  std::uint64_t iterations = 0;
  std::uint64_t callbacks_run = 0;
  std::uint64_t callbacks_blocked = 0;  // How many have ever blocked.
  std::size_t ready = 0;                // Scheduled for this iteration or the next.
  std::size_t timers = 0;
  std::size_t readers = 0;
  std::size_t writers = 0;
  std::size_t blocked = 0;       // Callbacks that wait now.
  std::size_t runners_idle = 0;  // Tasks kept for when a callback blocks.
};

}  // namespace weft::loop
