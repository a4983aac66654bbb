// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Hearing of a run in which nothing can happen any more: every task waits, no deadline is set, no
// descriptor is watched, and nobody outside holds a token.
//
//   run(main, {.instruments = {std::make_shared<DeadlockReport>()}});
//
// Under a clock that jumps (FIBER_TEST, testing::MockClock) such a run ends by itself, with a
// DeadlockError in its main task. A real run is only reported, for a signal may still end it:
// Ctrl-C is what many a program waits for in the end. Nothing is reported while a Token is out, or
// a thread of to_thread, or while some task sleeps or waits for a descriptor: dump_waits() finds
// the cycles of such a run when asked.

#pragma once

#include <functional>
#include <string>

#include "weft/fibers/instrument.h"

namespace weft::fibers {

// A resource, for one run. It looks only when the run is about to sleep.
class DeadlockReport final : public Instrument {
 public:
  // Gets dump_waits() and the task tree, on the run's thread; must not wait. To end the run it may
  // let current_token().run_sync_soon cancel something. Called again only with another text: a run
  // that a signal wakes for nothing is reported once.
  using Sink = std::function<void(const std::string& report)>;

  // Without a sink the report is logged as a warning.
  explicit DeadlockReport(Sink sink = {});

  void before_io_wait(Duration timeout) override;

 private:
  Sink sink_;
  std::string last_;
};

}  // namespace weft::fibers
