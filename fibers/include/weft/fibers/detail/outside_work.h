// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What goes on outside of a run while its tasks wait for it, counted for clocks that jump. Not for
// use outside weft: see AutojumpWaits.

#pragma once

#include <cstdint>

#include "weft/fibers/detail/requirements.h"

namespace weft::fibers::detail {

enum class OutsideWork : std::uint8_t { kThread, kProcess };

// In this thread's run.
void count_outside_work(OutsideWork kind, int change) noexcept;

// Counts as long as it lives; with -1 it takes back what others count.
class OutsideWorkCounted {
 public:
  explicit OutsideWorkCounted(OutsideWork kind, int change = 1) : kind_(kind), change_(change) {
    count_outside_work(kind_, change_);
  }
  OutsideWorkCounted(const OutsideWorkCounted&) = delete;
  OutsideWorkCounted& operator=(const OutsideWorkCounted&) = delete;
  ~OutsideWorkCounted() { count_outside_work(kind_, -change_); }

 private:
  OutsideWork kind_;
  int change_;
};

}  // namespace weft::fibers::detail
