// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A lock for programs that depend on who gets it next.
//
//   StrictFIFOLock lock;
//   nursery.start_soon([&] { Guard guard(lock); send_first_half(); send_second_half(); });

#pragma once

#include "weft/fibers/lock.h"

namespace weft::fibers {

// Tasks get it strictly in the order in which they asked. Lock does the same today, but promises
// only to be fair; who relies on the order says so by this name. Everything else is as there; a
// Condition takes a Lock only. A resource: neither copied nor moved. (Trio: StrictFIFOLock.)
class StrictFIFOLock : private Lock {
 public:
  StrictFIFOLock() = default;

  using Lock::acquire;
  using Lock::acquire_nowait;
  using Lock::locked;
  using Lock::release;
  using Lock::statistics;
};

}  // namespace weft::fibers
