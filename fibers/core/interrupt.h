// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Ctrl-C. While an object lives, SIGINT asks a run for a KeyboardInterrupt.

#pragma once

namespace weft::fibers::detail {

class Scheduler;

// Takes SIGINT over on the process's main thread, if it is at its default or another run's, which
// is suspended then; else does nothing. The last one gives it back if it is still ours.
class InterruptHandler {
 public:
  InterruptHandler(Scheduler& scheduler, bool wanted);
  InterruptHandler(const InterruptHandler&) = delete;
  InterruptHandler& operator=(const InterruptHandler&) = delete;
  ~InterruptHandler();

 private:
  bool installed_ = false;
};

// Whom Ctrl-C asks from now on; null: nobody, and it does what it does by default. For switches
// between runs of the main thread.
void interrupt_asks(Scheduler* scheduler) noexcept;

}  // namespace weft::fibers::detail
