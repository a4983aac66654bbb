// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Futures that something else ends: see gather.h, shield.h. Not for use outside weft.

#pragma once

#include <exception>
#include <source_location>
#include <utility>

#include "weft/loop/detail/future_box.h"

namespace weft::loop::detail {

// A future and the machine that ends it, in one block. The machine is made of the future, then of
// `args`, and decides what cancel() does.
template <class T, class Machine>
class MachineBox final : public FutureBox<T>, public Machine {
 public:
  template <class... Args>
  explicit MachineBox(LoopCore& loop, std::source_location site, Args&&... args)
      : FutureBox<T>(loop, site),
        Machine(static_cast<FutureBox<T>&>(*this), std::forward<Args>(args)...) {}

  bool cancel(std::exception_ptr payload) override {
    return Machine::request_cancel(std::move(payload));
  }

 private:
  void destroy() noexcept override {
    LoopCore& core = this->loop();
    this->~MachineBox();
    free_block(core, this, sizeof(MachineBox));
  }
};

// With one reference, the caller's.
template <class T, class Machine, class... Args>
MachineBox<T, Machine>* make_machine_box(LoopCore& core, std::source_location site,
                                         Args&&... args) {
  using Box = MachineBox<T, Machine>;
  static_assert(alignof(Box) <= 64, "over-aligned values do not fit the pool");
  require_open(core);
  void* const block = allocate_block(core, sizeof(Box));
  try {
    return ::new (block) Box(core, site, std::forward<Args>(args)...);
  } catch (...) {
    free_block(core, block, sizeof(Box));
    throw;
  }
}

}  // namespace weft::loop::detail
