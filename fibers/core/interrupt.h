// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Ctrl-C. While an object lives, SIGINT asks a run for a KeyboardInterrupt.

#pragma once

namespace weft::fibers::detail {

class Scheduler;

// Takes SIGINT over on the process's main thread, if it is at its default or another run's, which
// is suspended then. Somebody else who has it keeps it, such as a handler of another run's loop; if
// that gives it back, this run is asked, too. The last one restores the default if it is
// still ours.
class InterruptHandler {
 public:
  InterruptHandler(Scheduler& scheduler, bool wanted);
  InterruptHandler(const InterruptHandler&) = delete;
  InterruptHandler& operator=(const InterruptHandler&) = delete;
  ~InterruptHandler();

 private:
  bool counts_ = false;
};

// Whom Ctrl-C asks from now on; null: nobody, and it does what it does by default. For switches
// between runs of the main thread.
void interrupt_asks(Scheduler* scheduler) noexcept;

}  // namespace weft::fibers::detail
