// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The task that lets Boost's fibers have the thread.

#pragma once

#include <cstddef>
#include <utility>

#include "weft/boost_fiber/algorithm.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"

namespace weft::boost_fiber::detail {

class Pump {
 public:
  explicit Pump(Algorithm& algorithm) : algorithm_(algorithm) { algorithm_.attach(*this); }
  Pump(const Pump&) = delete;
  Pump& operator=(const Pump&) = delete;
  ~Pump() { detach(); }

  // The task's body: until end() and the last call.
  void run();
  void end() {
    ending_ = true;
    wake();
  }
  // There may be something to do for Boost.Fiber. Not called while it has the thread.
  void wake() {
    if (task_ != nullptr) fibers::reschedule(*std::exchange(task_, nullptr));
  }
  void begin_call() { ++calls_; }
  void end_call() {
    if (--calls_ == 0 && ending_) wake();
  }

  fibers::Nursery* tasks = nullptr;  // Of trio_as_boost_fiber(), while there can be new ones.

 private:
  void park(Algorithm::TimePoint until);
  void park_in_real_time(Algorithm::TimePoint until);
  void wait();
  // Nobody gives turns any more: what needs them is refused from now on, and the thread may be
  // shared again.
  void detach() {
    if (!std::exchange(detached_, true)) algorithm_.detach();
  }

  Algorithm& algorithm_;
  fibers::Task* task_ = nullptr;  // While it waits.
  std::size_t calls_ = 0;
  bool ending_ = false;
  bool detached_ = false;
};

}  // namespace weft::boost_fiber::detail
