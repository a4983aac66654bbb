// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Ctrl-C. While an object lives, SIGINT asks a run for a KeyboardInterrupt.

#pragma once

namespace weft::fibers::detail {

class Scheduler;

// Takes SIGINT over on the process's main thread, if it is at its default; else does nothing. Gives
// it back at the end if it is still ours.
class InterruptHandler {
 public:
  InterruptHandler(Scheduler& scheduler, bool wanted);
  InterruptHandler(const InterruptHandler&) = delete;
  InterruptHandler& operator=(const InterruptHandler&) = delete;
  ~InterruptHandler();

 private:
  bool installed_ = false;
};

}  // namespace weft::fibers::detail
