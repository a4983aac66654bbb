// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// How the loop waits for the beginning of a task. Not for use outside weft: see trio_as_aio.h.

#pragma once

#include "weft/fibers/lowlevel.h"

namespace weft::shim::detail {

// Lets the loop's task wait until a task that it has started has begun.
class StartGate {
 public:
  StartGate() = default;
  StartGate(const StartGate&) = delete;
  StartGate& operator=(const StartGate&) = delete;
  // The loop's side. Does not hand the loop over: nothing else is to begin meanwhile.
  // Inline, as FutureCore::wait() is.
  [[gnu::always_inline]] inline void wait() {
    if (opened_) return;
    waiting_ = &fibers::current_task();
    fibers::ParkHook* const hook = fibers::set_park_hook(nullptr);
    fibers::wait_task_rescheduled([](const fibers::RaiseCancel&) { return fibers::Abort::kFailed; },
                                  {"a task to begin", -1, this});
    fibers::set_park_hook(hook);
  }
  // The task's side.
  void open();

 private:
  bool opened_ = false;
  fibers::Task* waiting_ = nullptr;
};

}  // namespace weft::shim::detail
